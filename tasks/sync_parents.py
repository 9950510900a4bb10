"""What must stand in Salesforce before: parents that never came as events, and who pays what, are read from Stripe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from order_to_cash.domain.errors import O2CError, RecordGone
from order_to_cash.domain.sync.fetching import fetched_state
from order_to_cash.domain.sync.links import links_of, needs_of
from order_to_cash.domain.sync.parents import parents_of
from order_to_cash.domain.sync.shapes import Body, Fetched, ObjectKey, State
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_batch import Batch

# refund → charge → invoice → subscription → product
_GENERATIONS = 5
# What is read first may name what is to be read next: an intent its charge, a charge its customer.
_ROUNDS = 3
# What hangs on an invoice by way of its payment: a charge that is only read is looked up as one that is told of.
_LINKED = frozenset({"charge", "invoice_payment"})


@step("fetch what {count} objects hang on")
async def fetch_parents(company: Company, batch: Batch, count: int) -> None:
    """Add the states of parents that neither the batch nor Salesforce has; learn how payments hang on invoices."""
    del count
    await _read_sources(company, batch)
    asked: set[ObjectKey | str] = set()
    await _learn_links(company, batch, asked)
    looked = set(batch.states) | set(batch.unchanged)
    fresh = list(batch.states)
    for _ in range(_GENERATIONS):
        wanted: dict[ObjectKey, list[ObjectKey]] = {}
        for key in fresh:
            for parent in parents_of(batch.states[key], batch.links) if key in batch.states else ():
                if parent not in looked:
                    wanted.setdefault(parent, []).append(key)
        looked |= set(wanted)
        if not wanted:
            break
        applied = await asyncio.to_thread(company.ledger.applied.get_many, list(wanted))
        shown = {parent for parent, held in applied.items() if not held.in_doubt}
        missing = {parent: children for parent, children in wanted.items() if parent not in shown}
        batch.known |= {parent: applied.get(parent) for parent in missing}
        fresh = await _fetch(company, batch, missing)
        if any(key.type in _LINKED for key in fresh):
            await _learn_links(company, batch, asked)
    batch.links = links_of([*batch.states.values(), *batch.aside.values()])


async def _read_sources(company: Company, batch: Batch) -> None:
    """What signals are about that name no customer, such as a dispute whose state is known already."""
    wanted = {
        signal.source: signal
        for signal in batch.signals
        if not signal.customer_id and batch.about(signal) is None
    }
    found = await company.stripe.fetch_many(wanted) if wanted else {}
    for key, read in found.items():
        if isinstance(read, Fetched):
            batch.aside[key] = fetched_state(key, read.body, read.at, ())
        elif read is not None:
            batch.fail_event(wanted[key].event_id, read)


async def _learn_links(company: Company, batch: Batch, asked: set[ObjectKey | str]) -> None:
    """Which payment pays which invoice, whose it is: with what the bodies at hand only name read from Stripe."""
    for _ in range(_ROUNDS):
        known = [*batch.states.values(), *batch.aside.values()]
        batch.links = links_of(known)
        needs = needs_of(known, batch.links)
        objects = [key for key in needs.objects if key not in asked and not _at_hand(batch, key)]
        intents = [intent for intent in needs.invoice_payments_of if intent not in asked]
        asked |= {*objects, *intents}
        if not objects and not intents:
            return
        found, payments = await asyncio.gather(
            company.stripe.fetch_many(objects), _invoice_payments(company, batch, intents)
        )
        for key, read in found.items():
            if isinstance(read, Fetched):
                batch.aside[key] = fetched_state(key, read.body, read.at, ())
        for body in payments:
            key = ObjectKey("invoice_payment", str(body["id"]))
            batch.aside[key] = fetched_state(key, body, batch.now, ())
        _wait_for(batch, {key: read for key, read in found.items() if isinstance(read, O2CError)})


def _at_hand(batch: Batch, key: ObjectKey) -> bool:
    """An intent is asked for when its charge is not known: what the batch has of it is from before it succeeded."""
    return key in batch.states and key.type != "payment_intent"


async def _invoice_payments(company: Company, batch: Batch, intents: Sequence[str]) -> list[Body]:
    """What cannot be read now holds those that need it; what Stripe does not have links nothing."""

    async def one(intent: str) -> list[Body]:
        try:
            return await company.stripe.invoice_payments(payment_intent_id=intent)
        except O2CError as error:
            for state in batch.standing() if error.retryable else ():
                if intent in needs_of([state], batch.links).invoice_payments_of:
                    batch.fail(state.key, error)
            return []

    answers = await asyncio.gather(*map(one, intents))
    return [body for bodies in answers for body in bodies]


def _wait_for(batch: Batch, failed: Mapping[ObjectKey, O2CError]) -> None:
    """Whose links needed an object that could not be read, waits for it."""
    if not failed:
        return
    for state in list(batch.states.values()):
        for key in needs_of([state], batch.links).objects:
            if key in failed:
                batch.fail(state.key, failed[key])


async def _fetch(
    company: Company, batch: Batch, missing: Mapping[ObjectKey, Sequence[ObjectKey]]
) -> list[ObjectKey]:
    """Read the parents into the batch. Children of one that cannot be read now wait for it.

    Without their product, records are written all the same: they only do not point at it.
    """
    aside = [parent for parent in missing if parent in batch.aside]
    found = await company.stripe.fetch_many([parent for parent in missing if parent not in batch.aside])
    batch.states |= {parent: batch.aside[parent] for parent in aside}
    batch.states |= {key: _parent(key, read) for key, read in found.items() if isinstance(read, Fetched)}
    for parent, read in found.items():
        if isinstance(read, Fetched) or (parent.type == "product" and not (read and read.retryable)):
            continue
        for child in missing[parent]:
            batch.fail(child, read or _gone(parent))
    return [*aside, *(key for key, read in found.items() if isinstance(read, Fetched))]


def _parent(key: ObjectKey, read: Fetched) -> State:
    return fetched_state(key, read.body, read.at, ())


def _gone(parent: ObjectKey) -> RecordGone:
    return RecordGone(
        f"The {parent.type} that it belongs to is no longer in Stripe.",
        code="parent_gone",
        remedy="Nothing to do if it was deleted on purpose; otherwise replay the event once it is back.",
        ids={"stripe_id": parent.id},
    )
