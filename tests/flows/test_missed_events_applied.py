"""What a look for missed events found becomes what Salesforce shows; of history nobody is alerted."""

from __future__ import annotations

import pytest

from tasks.company import kept_open
from tasks.missed_events import Missed, missed_events
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def look() -> Missed:
    async with kept_open("o2c") as company:
        found = await missed_events(company)
        assert found is not None
        return found


def failing(sync: Sync) -> str:
    """An invoice whose payment was declined."""
    customer = sync.customer(card="pm_card_visa")
    invoice = sync.invoice(customer)
    sync.world.seeder._stripe.post(
        f"/v1/invoices/{invoice}/pay", data={"payment_method": "pm_card_chargeCustomerFail"}
    )
    return invoice


async def test_the_first_look_shows_history_and_alerts_nobody(sync: Sync) -> None:
    paid = sync.invoice(sync.customer(card="pm_card_visa"))
    sync.stripe(f"invoices/{paid}/pay")
    failed = failing(sync)
    subscription = sync.subscription(sync.customer(card="pm_card_visa"))
    sync.world.pass_time(days=20)
    products = len(sync.records("Product2"))
    found = await look()
    assert (found.listed, found.gap) == (0, None)
    summary = await sync.apply()
    assert (summary.parked, summary.retried) == ((), 0)
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=paid)["Status__c"] == "paid"
    shown = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=failed)
    assert (shown["Status__c"], shown["Failure_Code__c"]) == ("open", "generic_decline")
    assert (
        sync.record("Stripe_Subscription__c", Stripe_Subscription_Id__c=subscription)["Status__c"] == "active"
    )
    assert (sync.records("Case"), sync.records("Task"), sync.world.slack_texts()) == ([], [], [])
    # Those that Salesforce sells by Stripe's prices are the ones it had; the subscription's is new.
    assert len(sync.records("Product2")) == products + 1


async def test_a_lost_failure_is_alerted_once_it_is_found(sync: Sync) -> None:
    await look()
    failed = failing(sync)
    sync.world.pass_time(minutes=10)
    found = await look()
    assert found.gap is not None
    assert found.gap.types["invoice.payment_failed"] == 1
    await sync.apply()
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=failed)["Status__c"] == "open"
    assert len(sync.records("Case")) == 1
    sync.receive()  # and the webhooks come after all
    await sync.apply()
    assert len(sync.records("Case")) == 1


async def test_history_of_strangers_makes_no_accounts_and_alarms_nobody(sync: Sync) -> None:
    stranger = sync.customer(known=False, card="pm_card_visa")
    sync.stripe(f"invoices/{sync.invoice(stranger)}/pay")
    sync.world.pass_time(days=20)
    accounts = len(sync.records("Account"))
    await look()
    summary = await sync.apply()
    assert (summary.parked, summary.retried, summary.ignored > 0) == ((), 0, True)
    assert len(sync.records("Account")) == accounts
    later = sync.invoice(stranger)
    sync.stripe(f"invoices/{later}/pay")
    await sync.bring()
    assert len(sync.records("Account")) == accounts + 1
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=later)["Status__c"] == "paid"
