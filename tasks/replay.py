"""Stripe events that are to be applied again: which, and how those that never came get in.

Imports no Prefect: `o2c events replay` does the same without a server.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from order_to_cash.domain.errors import RecordGone, RecordRejected
from order_to_cash.domain.events import EventState, StripeEvent
from order_to_cash.domain.moments import moment
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.inbox_search import EventFilter, Reopened

if TYPE_CHECKING:
    from order_to_cash.ledger.inbox import Inbox

CAP = 1000
"""How many events one replay opens unless it is told otherwise: about as many Salesforce rows are written again."""

_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}|scan:[A-Za-z0-9_:.-]{1,250}")
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")


class ReadsEvents(Protocol):
    """What is needed of the Stripe gateway."""

    async def event(self, event_id: str, *, thin: bool = False) -> StripeEvent: ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, or, as a dry run, would do.

    `fetched`: events that were not in the inbox and that Stripe still had. `missing`: ids that neither knows.
    """

    reopened: Reopened
    fetched: tuple[StripeEvent, ...] = ()
    missing: tuple[str, ...] = ()
    left: int = 0
    dry_run: bool = False

    @property
    def count(self) -> int:
        return len(self.reopened.events) + len(self.fetched)

    @property
    def in_words(self) -> str:
        """Such as “12 events opened again, 3 left for another replay”."""
        done = "would be opened again" if self.dry_run else "opened again"
        parts = [f"{self.count} {'event' if self.count == 1 else 'events'} {done}"]
        for number, words in (
            (len(self.fetched), "of them fetched from Stripe"),
            (self.left, "left for another replay"),
            (self.reopened.waiting, "waiting or being applied already"),
            (len(self.reopened.without_body), "too old: their content is forgotten"),
            (len(self.missing), "unknown to the inbox and to Stripe"),
        ):
            if number:
                parts.append(f"{number} {words}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for, as they typed it."""

    event_ids: Sequence[str] = ()
    types: Sequence[str] = ()
    since: str = ""
    until: str = ""
    object_id: str = ""
    parked_only: bool = False
    states: Sequence[EventState] = field(default_factory=tuple)

    def selection(self, now: datetime) -> EventFilter:
        """As a filter. Raises RecordRejected for what cannot be meant, with the `field` that says it."""
        ids = [one.strip() for one in self.event_ids if one.strip()]
        for one in ids:
            if not _EVENT_ID.fullmatch(one):
                raise _unclear(f"{one[:40]!r} is no id of an event.", "They begin with evt_.", "event_ids")
        for one in self.types:
            if not _TYPE.fullmatch(one):
                remedy = "Such as invoice.paid, or invoice.* for all."
                raise _unclear(f"{one[:40]!r} is no type of event.", remedy, "types")
        since = moment(self.since, now, "since") if self.since.strip() else None
        until = moment(self.until, now, "until") if self.until.strip() else None
        if since and until and since >= until:
            raise _unclear("The time range ends before it begins.", "Swap the two moments.", "until")
        states = (EventState.PARKED,) if self.parked_only else tuple(self.states)
        return EventFilter(tuple(ids), states, tuple(self.types), since, until, self.object_id.strip())

    def to_replay(self, now: datetime) -> EventFilter:
        """As a filter that a replay may use: ids, or a selection, and not everything by mistake."""
        selection = self.selection(now)
        if selection == EventFilter():
            raise _unclear(
                "Nothing says which events to replay.",
                "Give ids, a type, a time range or an object, or ask for parked ones only.",
            )
        if selection.event_ids and selection != EventFilter(event_ids=selection.event_ids):
            raise _unclear("Events are named by id and selected at once.", "Give either ids or a selection.")
        return selection


async def replay(
    inbox: Inbox, stripe: ReadsEvents | None, selection: EventFilter, cap: int = CAP, *, dry_run: bool = False
) -> Replayed:
    """Open again what matches, oldest first; what was named and never came is fetched from Stripe and stored.

    At most `cap` in all. `stripe` None: nothing is fetched. Safe to repeat: what waits already is left alone, and
    what is applied again changes nothing that is right already. Raises what ledger and gateway raise; what was
    opened until then stays open.
    """
    reopened = await asyncio.to_thread(inbox.reopen, selection, cap, dry_run=dry_run)
    room = cap - len(reopened.events)
    fetched, missing = await _fetched(stripe, reopened.unknown[:room])
    if fetched and not dry_run:
        await asyncio.to_thread(inbox.store, fetched, EventSource.REPLAY)
    left = reopened.left + len(reopened.unknown[room:])
    return Replayed(reopened, tuple(fetched), tuple(missing), left, dry_run)


async def _fetched(
    stripe: ReadsEvents | None, event_ids: Sequence[str]
) -> tuple[list[StripeEvent], list[str]]:
    fetched: list[StripeEvent] = []
    missing: list[str] = []
    for event_id in event_ids:
        event = await _event(stripe, event_id) if stripe and event_id.startswith("evt_") else None
        if event is None:
            missing.append(event_id)
        else:
            fetched.append(event)
    return fetched, missing


async def _event(stripe: ReadsEvents, event_id: str) -> StripeEvent | None:
    for thin in (False, True):
        try:
            return await stripe.event(event_id, thin=thin)
        except RecordGone:
            continue
    return None


def _unclear(message: str, remedy: str, field_name: str = "") -> RecordRejected:
    ids = {"field": field_name} if field_name else {}
    return RecordRejected(message, code="events_unclear", remedy=remedy, ids=ids)
