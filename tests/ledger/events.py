"""Events for the inbox's tests."""

from __future__ import annotations

from datetime import datetime, timedelta

from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventSource
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import START


def event(number: int, customer: str = "", kind: str = "invoice.paid", at: datetime = START) -> StripeEvent:
    """Event `evt_<number>` of invoice `in_<number>`, a second younger than the one before."""
    return StripeEvent(
        event_id=f"evt_{number}",
        type=kind,
        account_id="",
        livemode=False,
        created=at + timedelta(seconds=number),
        api_version="2025-09-30.clover",
        object_type="invoice",
        object_id=f"in_{number}",
        partition=customer or f"cus_{number}",
        thin=False,
        body=f'{{"id": "evt_{number}", "name": "Zoë"}}'.encode(),
    )


def stored(ledger: Ledger, *events: StripeEvent, source: EventSource = EventSource.WEBHOOK) -> None:
    assert ledger.inbox.store(events, source) == len(events)


def ids(claims: list[ClaimedEvent]) -> list[str]:
    return [claimed.event.event_id for claimed in claims]
