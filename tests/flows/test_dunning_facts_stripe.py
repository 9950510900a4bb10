"""What Stripe says of a ladder's invoice: what ends it, what delays a contact, and what cannot be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from emulators.seeding import form
from order_to_cash.domain.dunning.decision import Sleep, next_step
from order_to_cash.domain.dunning.facts import EndReason, InvoiceStatus, StepState
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.records import CollectionMethod
from tasks.dunning_facts import EXPANDED, still_owed
from tests.flows.facts_world import DECLINED, Facts, end_of, facts_of
from tests.world import World


@pytest.fixture
async def facts(world: World) -> AsyncIterator[Facts]:
    async with facts_of(world) as made:
        yield made


async def test_a_subscription_that_will_end_and_one_that_has(facts: Facts) -> None:
    customer = facts.sync.customer(card="pm_card_visa")
    subscription = facts.sync.subscription(customer)
    facts.sync.card(customer, DECLINED)
    facts.world.pass_time(days=32)
    (invoice,) = [one["id"] for one in facts.sync.get("invoices", status="open")["data"]]
    facts.sync.stripe(f"subscriptions/{subscription}", cancel_at_period_end=True)
    facts.open(invoice)
    item = await facts.read_one(invoice)
    assert item.facts is not None
    assert item.facts.invoice.subscription_id == subscription
    assert item.facts.invoice.subscription_status == "past_due"
    assert item.facts.invoice.subscription_ends_at is not None
    assert item.subscription is not None
    assert item.subscription["id"] == subscription
    assert item.invoice["parent"]["subscription_details"]["subscription"] == subscription
    facts.sync.delete(f"subscriptions/{subscription}")
    assert end_of(await facts.read_one(invoice)) is EndReason.SUBSCRIPTION_CANCELED


async def test_a_deleted_customer_and_what_is_paid_or_voided_ends(facts: Facts) -> None:
    gone, paid, voided = (facts.sync.customer(card=DECLINED) for _ in range(3))
    invoices = [facts.failed(customer) for customer in (gone, paid, voided)]
    facts.open(*invoices)
    facts.sync.delete(f"customers/{gone}")
    facts.sync.stripe(f"invoices/{invoices[1]}/pay", paid_out_of_band=True)
    facts.sync.stripe(f"invoices/{invoices[2]}/void")
    items = await facts.read()
    told = [end_of(items[invoice]) for invoice in invoices]
    assert told[1:] == [EndReason.PAID, EndReason.VOIDED]
    assert told[0] in {EndReason.CUSTOMER_DELETED, EndReason.VOIDED}
    read = items[invoices[0]].facts
    assert read is not None
    assert read.invoice.customer_deleted is True


async def test_nobody_is_contacted_while_a_bank_debit_is_under_way(facts: Facts) -> None:
    invoice = facts.failed(facts.sync.customer(card=DECLINED))
    facts.open(invoice)
    body = facts.sync.get(f"invoices/{invoice}", **form({"expand": list(EXPANDED)}))
    body["payments"]["data"][0]["payment"]["payment_intent"]["status"] = "processing"
    facts.world.fault("stripe", method="GET", path=f"invoices/{invoice}", status=200, response=body)
    item = await facts.read_one(invoice)
    assert item.facts is not None
    assert item.policy is not None
    known = replace(item.facts, ladder=item.facts.ladder.recorded("first-failure", StepState.DONE))
    monday = facts.company.clock.now() + timedelta(days=7)
    decision = next_step(known, item.policy, monday)
    assert isinstance(decision, Sleep)
    assert decision.step.key == "customer-mail"
    assert decision.until >= monday + timedelta(days=1)


async def test_an_invoice_that_is_gone_is_no_error(facts: Facts) -> None:
    invoice = facts.sync.invoice(facts.sync.customer(card=DECLINED), final=False)
    facts.open(invoice)
    facts.sync.delete(f"invoices/{invoice}")
    assert end_of(await facts.read_one(invoice)) is EndReason.INVOICE_GONE


async def test_an_invoice_that_cannot_be_read_stops_no_other(facts: Facts) -> None:
    bad, good = (facts.failed(facts.sync.customer(card=DECLINED)) for _ in range(2))
    facts.open(bad, good)
    facts.world.fault("stripe", method="GET", path=f"invoices/{bad}", status=500, times=100)
    items = await facts.read()
    assert isinstance(items[bad].error, Unavailable)
    assert items[bad].facts is None
    assert items[good].error is None
    assert items[good].facts is not None


async def test_a_key_that_may_not_read_subscriptions_still_tells_what_is_owed(facts: Facts) -> None:
    customer = facts.sync.customer(card="pm_card_visa")
    subscription = facts.sync.subscription(customer)
    facts.sync.card(customer, DECLINED)
    facts.world.pass_time(days=32)
    (invoice,) = [one["id"] for one in facts.sync.get("invoices", status="open")["data"]]
    facts.open(invoice)
    refusal = {
        "error": {"type": "invalid_request_error", "message": "The provided key does not have access."}
    }
    facts.world.fault("stripe", method="GET", path=f"invoices/{invoice}", status=403, response=refusal, nth=1)
    item = await facts.read_one(invoice)
    assert item.facts is not None
    assert item.facts.invoice.status is InvoiceStatus.OPEN
    assert item.facts.invoice.decline_code == "generic_decline"
    assert item.facts.invoice.subscription_id == subscription
    assert item.facts.invoice.subscription_status is None
    assert item.facts.invoice.customer_deleted is None


async def test_a_contact_is_not_made_once_it_is_paid(facts: Facts) -> None:
    paid, open_, unread = (facts.failed(facts.sync.customer(card=DECLINED)) for _ in range(3))
    sent = facts.sync.invoice(facts.sync.customer(), collection_method="send_invoice", days_until_due=1)
    facts.open(paid, open_, unread, sent)
    items = await facts.read()
    assert await still_owed(facts.company, items.values()) == {paid, open_, unread, sent}
    assert items[sent].claim.ladder.state.collection_method is CollectionMethod.SEND_INVOICE
    facts.sync.stripe(f"invoices/{paid}/pay", paid_out_of_band=True)
    facts.world.fault("stripe", method="GET", path=f"invoices/{unread}", status=500, times=100)
    assert await still_owed(facts.company, items.values()) == {open_, sent}
    assert items[paid].error is None
    assert isinstance(items[unread].error, Unavailable)
    assert items[open_].invoice["payments"]["data"]
