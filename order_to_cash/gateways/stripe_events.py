"""Stripe's events as it lists them, with their bodies unread: what webhooks lost, and what thin events point at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.gateways.stripe_calls import StripeCalls, created_between

# At most so many types in one list: https://docs.stripe.com/api/events/list
MOST_TYPES = 20


@dataclass(frozen=True, slots=True)
class EventsPage:
    """One page, newest first, and the second by Stripe's clock before which nothing was missing from the list.

    `unreadable`: how many more there were that are no events to us.
    """

    events: tuple[StripeEvent, ...]
    at: datetime
    unreadable: int = 0


class StripeEvents(StripeCalls):
    """What the gateway reads of events. Stripe keeps them for 30 days."""

    async def event(self, event_id: str, *, thin: bool = False) -> StripeEvent:
        """The event, its body as Stripe sends it. Raises RecordGone when Stripe has it no more, RecordRejected.

        A thin one comes back as the snapshot event that it stands for, or as itself where it stands for none: what
        it tells of is then to be fetched.
        """
        version = "v2/core" if thin else "v1"
        body, _, raw = await self._read(f"/{version}/events/{event_id}", {})
        snapshot = body.get("snapshot_event") if thin else None
        return await self.event(snapshot) if isinstance(snapshot, str) and snapshot else decode_event(raw)

    async def event_pages(
        self, created_gte: datetime, created_lt: datetime | None = None, types: Iterable[str] = ()
    ) -> AsyncIterator[EventsPage]:
        """Events created since, newest first, 100 a page. `types`: at most 20 of them; none: all."""
        wanted = list(types)
        if len(wanted) > MOST_TYPES:
            raise ValueError(f"Stripe filters by at most {MOST_TYPES} types of events")
        params = {**created_between(created_gte, created_lt), **({"types": wanted} if wanted else {})}
        async for rows, at in self._read_pages("/v1/events", params):
            bodies = (json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() for row in rows)
            events = tuple(event for body in bodies if (event := _readable(body)) is not None)
            yield EventsPage(events, at, len(rows) - len(events))

    async def events_since(
        self, created_gte: datetime, types: Iterable[str] = (), until: datetime | None = None
    ) -> AsyncIterator[StripeEvent]:
        """The events of `event_pages`, one by one."""
        async for page in self.event_pages(created_gte, until, types):
            for event in page.events:
                yield event


def _readable(body: bytes) -> StripeEvent | None:
    try:
        return decode_event(body)
    except RecordRejected:
        return None
