"""Two batches at once: what one writes of a customer is never overwritten by what the other had read before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from flows.apply_stripe_events import apply_stripe_events, summary_of
from order_to_cash.domain.events import decode_event
from order_to_cash.ledger.inbox_claims import ClaimedEvent
from tasks.sync_claims import handing_over
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect

SLOW_SECONDS = 3.0


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def stored(sync: Sync, events: Iterable[dict[str, Any]]) -> list[ClaimedEvent]:
    """Received and claimed, as a batch of its own."""
    sync.receive([decode_event(json.dumps(event).encode()) for event in events])
    with ledger() as opened:
        return opened.inbox.claim("drain")


async def applied(claims: list[ClaimedEvent]) -> Any:
    with handing_over(claims):
        return await summary_of(await apply_stripe_events(return_state=True))


@pytest.mark.parametrize("nameless", ["invoice_payment.paid", "refund.created"])
async def test_an_event_without_customer_beside_a_batch_of_the_customer(sync: Sync, nameless: str) -> None:
    """Its invoice is read from Stripe and written, while the other batch is about to write what it was before."""
    customer = sync.customer(card="pm_card_visa")
    invoice = sync.invoice(customer)
    opened = sync.events()
    sync.stripe(f"invoices/{invoice}/pay")
    charge = sync.get("charges", customer=customer)["data"][0]["id"]
    sync.stripe("refunds", charge=charge, amount=2_500)
    later = [event for event in sync.events() if event not in opened]
    alone = [event for event in later if event["type"] == nameless]
    assert alone
    slow = stored(sync, [event for event in opened if event["data"]["object"].get("customer") == customer])
    sync.world.fault("salesforce", path="query", body=None, nth=1, delay_seconds=SLOW_SECONDS)
    running = asyncio.create_task(applied(slow))
    await asyncio.sleep(SLOW_SECONDS / 3)
    await applied(stored(sync, alone))
    await running
    sync.receive(decode_event(json.dumps(event).encode()) for event in later)
    for _ in range(3):
        await sync.apply()
        sync.world.pass_time(minutes=3)
    assert sync.parked() == {}
    shown = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)
    assert (shown["Status__c"], shown["Amount_Paid__c"]) == ("paid", 100)
    payment = sync.record("Stripe_Payment__c", Stripe_Charge_Id__c=charge)
    assert (payment["Status__c"], payment["Amount_Refunded__c"]) == ("succeeded", 25)
