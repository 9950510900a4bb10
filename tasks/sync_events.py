"""Events as the newest state of each object: coalesced with what Salesforce shows already, read again on doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from order_to_cash.domain.errors import O2CError, RecordRejected
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.coalesce import coalesce, keys_of
from order_to_cash.domain.sync.fetching import fetched_state, signals_of_fetched
from order_to_cash.domain.sync.shapes import IN_DOUBT, Applied, Coalesced, Fetched, ObjectKey, State
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_batch import Batch, rejected

_REPORT = "Report it with the event's id: o2c does not understand what Stripe sent. Then replay it."


@step("read {count} events")
async def read_events(company: Company, batch: Batch, count: int) -> None:
    """Fill in states, signals and what is ignored. An object in doubt is read from Stripe; so is a thin event's."""
    del count
    events = [claim.event for claim in batch.claims]
    keys = keys_of(events)
    applied = await asyncio.to_thread(company.ledger.applied.get_many, keys)
    batch.known = {key: applied.get(key) for key in keys}
    # Salesforce may show what was written last and not remembered, rather than what is.
    died = keys_of([claim.event for claim in batch.claims if claim.died])
    applied |= {key: replace(applied[key], digest=IN_DOUBT) for key in died if key in applied}
    coalesced = await asyncio.to_thread(_coalesced, events, applied, batch)
    batch.ignored.update(coalesced.ignored)
    batch.signals = list(coalesced.signals)
    batch.cards = coalesced.cards
    for state in coalesced.states:
        _place(batch, state, applied)
    batch.waiting = {state.key: state.event_ids for state in coalesced.states}
    for event_id, problem in coalesced.unreadable.items():
        batch.fail_event(event_id, rejected(problem, event=event_id))
    await _read_again(company, batch, coalesced.refetch, applied)


async def _read_again(
    company: Company,
    batch: Batch,
    refetch: Mapping[ObjectKey, tuple[str, ...]],
    applied: Mapping[ObjectKey, Applied],
) -> None:
    batch.waiting.update(refetch)
    if not refetch:
        return
    events = {claim.event.event_id: claim.event for claim in batch.claims}
    found = await company.stripe.fetch_many(refetch)
    read: list[State] = []
    for key, event_ids in refetch.items():
        waiting = [events[event_id] for event_id in event_ids]
        state = _state(batch, key, found[key], waiting)
        if state is not None:
            read.append(state)
    thin = [event for event in events.values() if event.thin]
    batch.signals += signals_of_fetched(thin, read)
    for state in read:
        _place(batch, state, applied)


def _place(batch: Batch, state: State, applied: Mapping[ObjectKey, Applied]) -> None:
    """What Salesforce shows already is not written again; only its moment is remembered."""
    known = applied.get(state.key)
    shown = known is not None and known.digest == state.digest
    if shown and state.customer_id not in batch.cards:
        batch.unchanged[state.key] = Applied(state.as_of, state.fetched, state.digest)
    else:
        batch.states[state.key] = state


def _state(
    batch: Batch, key: ObjectKey, found: Fetched | O2CError | None, waiting: Sequence[StripeEvent]
) -> State | None:
    """What was read, as of the newest of the events that asked for it: they had happened before."""
    if isinstance(found, O2CError):
        batch.fail(key, found)
        return None
    newest = max(event.created for event in waiting)
    as_of = newest if found is None else max(found.at, newest)
    ids = [event.event_id for event in waiting]
    try:
        return fetched_state(key, None if found is None else found.body, as_of, ids)
    except Exception as error:  # noqa: BLE001 - an object that cannot be understood holds up no other
        batch.fail(key, _not_understood(type(error).__name__, key.id))
        return None


def _coalesced(
    events: Sequence[StripeEvent], applied: Mapping[ObjectKey, Applied], batch: Batch
) -> Coalesced:
    """`coalesce`; an event that breaks it is set aside alone."""
    try:
        return coalesce(events, applied)
    except Exception:  # noqa: BLE001 - found below, one by one
        sound = []
        for event in events:
            try:
                coalesce([event], applied)
            except Exception as error:  # noqa: BLE001 - a bug in reading one event holds up no other
                batch.fail_event(event.event_id, _not_understood(type(error).__name__, event.event_id))
            else:
                sound.append(event)
        return coalesce(sound, applied)


def _not_understood(what: str, about: str) -> RecordRejected:
    return RecordRejected(
        f"What Stripe sent could not be read ({what}).",
        code="not_understood",
        remedy=_REPORT,
        ids={"stripe_id": about},
    )
