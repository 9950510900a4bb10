"""Events that no webhook brought: what Stripe still lists is stored, and what it lists no more is read as objects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.errors import ClaimedElsewhere, RecordRejected, Refused
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.handled import is_handled
from order_to_cash.domain.sync.scan import scanned
from order_to_cash.domain.sync.shapes import Fetched
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.inbox_search import EventFilter
from tasks.company import Company
from tasks.leases import leased

LISTED = "stripe-events"
"""The watermark: every event created before it has been listed. The newest event in the inbox says nothing of older
ones that were lost."""
SCAN = "stripe-scan"
LEASE = "o2c:missed-events"
EVERY = timedelta(hours=1)

# Stripe keeps events for 30 days (https://docs.stripe.com/api/events); half a day is for reading them.
REACH = timedelta(days=29, hours=12)
# An event may show in the list somewhat after its `created`.
OVERLAP = timedelta(minutes=10)
# Younger events may still be on their way as webhooks: they are left to the next look.
ON_ITS_WAY = timedelta(minutes=5)
# How much is listed before the watermark moves on: what a kill costs.
WINDOW = timedelta(hours=6)
# What was made longer ago does not change any more, but for open invoices; older history is for a backfill.
SCAN_BACK = timedelta(days=400)

_DONE = "done"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Objects to scan. `lately`: only what was made within SCAN_BACK. `at_first`: the first time as well."""

    type: str
    lately: bool = False
    at_first: bool = True
    filters: Mapping[str, Any] = field(default_factory=dict)


# Parents first. The first time, customers and products come only with what was billed: making a record of each that
# Stripe has ever had is for somebody to ask for.
_SCANNED = (
    _Kind("product", at_first=False),
    _Kind("price", at_first=False),
    _Kind("customer", at_first=False),
    _Kind("subscription"),
    _Kind("invoice", lately=True),
    _Kind("invoice", filters={"status": "open"}),
    _Kind("charge", lately=True),
    _Kind("invoice_payment", lately=True),
    _Kind("refund", lately=True),
    _Kind("credit_note", lately=True),
    _Kind("dispute", lately=True),
)
_STORED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that webhooks should have brought and did not: `events` of them, created from `since` to `until`."""

    since: datetime
    until: datetime
    events: int
    types: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Missed:
    """What a look found: `listed` events and `scanned` objects were new to the inbox.

    `unreadable` listed events could not be sorted. `gap` tells of what was listed; it is None when webhooks brought
    all that they should have, and on the first look, before which there was nothing to bring.
    """

    listed: int = 0
    scanned: int = 0
    unreadable: int = 0
    gap: Gap | None = None


@dataclass(slots=True)
class _Tally:
    unreadable: int = 0
    found: list[StripeEvent] = field(default_factory=list)

    def gap(self) -> Gap | None:
        if not self.found:
            return None
        moments = [event.created for event in self.found]
        types = Counter(event.type for event in self.found)
        return Gap(min(moments), max(moments), len(self.found), dict(sorted(types.items())))


async def missed_events(
    company: Company, run_id: str = "", *, on_its_way: timedelta = ON_ITS_WAY
) -> Missed | None:
    """List what Stripe has had to say since the last look, and store what is new and older than `on_its_way`.

    The first time, and when the last look is longer ago than events are kept, objects are scanned too. Safe to kill
    and to repeat: it goes on where it was. None: another process is at it. Raises what the gateway and the
    ledger raise; what was stored until then stays, and the next look begins there.
    """
    try:
        async with leased(company, LEASE, run_id):
            return await _look(company, on_its_way)
    except ClaimedElsewhere:
        return None


async def _look(company: Company, on_its_way: timedelta) -> Missed:
    mark = await asyncio.to_thread(company.ledger.watermarks.get, LISTED)
    now = company.clock.now()
    reach = now - REACH
    since = reach if mark is None else max(reach, mark.modstamp - OVERLAP)
    found = 0
    if mark is None or since == reach:
        began, found = await _scan(company, await _at_stripe(company, now), first=mark is None)
        if mark is None:
            # What happened before the first look is history: its state is read, and nobody is told of it now.
            since = began - OVERLAP
    tally = _Tally()
    await _list(company, since, on_its_way, tally)
    return Missed(len(tally.found), found, tally.unreadable, tally.gap() if mark is not None else None)


async def _at_stripe(company: Company, now: datetime) -> datetime:
    """What time it is there: events are stamped by that clock."""
    async for page in company.stripe.event_pages(now - OVERLAP):
        return page.at
    return now


async def _list(company: Company, since: datetime, on_its_way: timedelta, tally: _Tally) -> None:
    """Everything created since, oldest window first, so that a kill loses at most a window's work."""
    while True:
        until = since + WINDOW
        last = until >= company.clock.now()
        settled: datetime | None = None
        async for page in company.stripe.event_pages(since, None if last else until):
            # By Stripe's clock, whatever this machine's says.
            settled = page.at - on_its_way if settled is None else settled
            tally.unreadable += page.unreadable
            events = [each for each in page.events if is_handled(each.type) and each.created < settled]
            tally.found += await asyncio.to_thread(_store, company, events)
        if settled is not None:
            reached = settled if last else min(until, settled)
            await asyncio.to_thread(company.ledger.watermarks.set, LISTED, reached)
        if last:
            return
        since = until


def _store(company: Company, events: Sequence[StripeEvent]) -> list[StripeEvent]:
    """Those that were new."""
    known = _known(company, events)
    company.ledger.inbox.store(events, EventSource.LIST)
    return [event for event in events if event.event_id not in known]


def _known(company: Company, events: Sequence[StripeEvent]) -> set[str]:
    if not events:
        return set()
    wanted = EventFilter(event_ids=tuple(event.event_id for event in events))
    return {row.event_id for row in company.ledger.inbox.find(wanted, len(events))}


async def _scan(company: Company, now: datetime, *, first: bool) -> tuple[datetime, int]:
    """Every object that may show in Salesforce; when the scan began, and how many were stored now.

    A scan that was broken off goes on, unless it began so long ago that the events since then are gone.
    """
    mark = await asyncio.to_thread(company.ledger.watermarks.get, SCAN)
    going_on = mark is not None and mark.record_id != _DONE and mark.modstamp > now - REACH
    began = mark.modstamp if going_on and mark is not None else now
    await asyncio.to_thread(company.ledger.watermarks.set, SCAN, began)
    found = 0
    for place, kind in enumerate(_SCANNED):
        if kind.at_first or not first:
            found += await _scan_kind(company, place, kind, began)
    await asyncio.to_thread(company.ledger.watermarks.set, SCAN, began, _DONE)
    return began, found


async def _scan_kind(company: Company, place: int, kind: _Kind, began: datetime) -> int:
    progress = _Progress(company, f"{SCAN}:{place}:{kind.type}", began)
    after = await asyncio.to_thread(progress.reached)
    if after == _DONE:
        return 0
    bounds = {"created_gte": began - SCAN_BACK} if kind.lately else {}
    filters = {**bounds, **kind.filters}
    try:
        return await _scan_from(company, kind.type, filters, progress, after)
    except Refused:
        if not after:
            raise
        # The object that the last look ended at was deleted meanwhile.
        return await _scan_from(company, kind.type, filters, progress, "")


async def _scan_from(
    company: Company, object_type: str, filters: Mapping[str, Any], progress: _Progress, after: str
) -> int:
    given = {**filters, "starting_after": after} if after else filters
    found, batch = 0, []
    async for one in company.stripe.list_objects(object_type, **given):
        batch.append(one)
        if len(batch) == _STORED_AT_ONCE:
            found += await asyncio.to_thread(_store_scanned, company, batch)
            await asyncio.to_thread(progress.reach, str(batch[-1].body["id"]))
            batch = []
    found += await asyncio.to_thread(_store_scanned, company, batch)
    await asyncio.to_thread(progress.reach, _DONE)
    return found


def _store_scanned(company: Company, batch: Sequence[Fetched]) -> int:
    live, version = company.environment is Environment.LIVE, company.stripe.api_version
    events = []
    for one in batch:
        try:
            events.append(scanned(one, livemode=live, api_version=version))
        except RecordRejected:
            continue  # an object without an id is none
    return company.ledger.inbox.store(events, EventSource.SCAN)


class _Progress:
    """How far the scan of one type has come, as a watermark that only goes forward: step and last id."""

    def __init__(self, company: Company, name: str, began: datetime) -> None:
        self._marks = company.ledger.watermarks
        self._name = name
        self._began = began
        self._step = 0

    def reached(self) -> str:
        """The last id that was stored, `done`, or nothing."""
        mark = self._marks.get(self._name)
        if mark is None or mark.modstamp != self._began:
            return ""
        step, _, object_id = mark.record_id.partition(":")
        self._step = int(step) if step.isdigit() else 0
        return _DONE if mark.record_id == _DONE else object_id

    def reach(self, object_id: str) -> None:
        self._step += 1
        # Digits come before letters: `done` is the end of it.
        text = _DONE if object_id == _DONE else f"{self._step:09d}:{object_id}"
        self._marks.set(self._name, self._began, text)
