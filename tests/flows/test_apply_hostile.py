"""What nobody planned for on the way from Stripe: strangers, histories, catalogues, Accounts that people move."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.sync.scan import scanned
from order_to_cash.domain.sync.shapes import Fetched
from order_to_cash.ledger.inbox_claims import EventSource
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def guest(sync: Sync, number: int, **details: Any) -> StripeEvent:
    """A payment by nobody's customer, told for the `number`th time."""
    method = sync.card(sync.customer())
    made = {
        "amount": 7_000,
        "currency": "usd",
        "payment_method": method,
        "confirm": True,
        "off_session": True,
    }
    customer = sync.get(f"payment_methods/{method}")["customer"]
    sync.stripe("payment_intents", customer=customer, **made)
    body = next(json.loads(one.body) for one in sync.fresh() if one.type == "charge.succeeded")
    charge = body["data"]["object"]
    charge.update(id="ch_guest", customer=None, payment_intent=None, billing_details=details)
    body["id"], charge["description"] = f"evt_guest_{number}", f"told {number}"
    return decode_event(json.dumps(body).encode())


async def test_a_guest_without_an_address_is_a_question(sync: Sync) -> None:
    """Nothing would find the Account that was made for it: each event would make another."""
    told = [guest(sync, number, name="Ada Guest") for number in (1, 2)]
    before = len(sync.records("Account"))
    for event in told:
        sync.receive([event])
        assert {one.code for one in (await sync.apply()).parked} == {"customer_email_missing"}
        sync.world.pass_time(minutes=1)
    assert len(sync.records("Account")) == before


async def test_history_in_parts_makes_no_accounts(sync: Sync) -> None:
    stranger = sync.customer(known=False, card="pm_card_visa")
    invoice = sync.invoice(stranger)
    sync.stripe(f"invoices/{invoice}/pay")
    charge = sync.get("charges", limit=1)["data"][0]["id"]
    sync.stripe("refunds", charge=charge, amount=100)
    sync.fresh()
    before = len(sync.records("Account"))
    for kind in ("refunds", "invoice_payments"):
        rows = sync.get(kind, limit=10)["data"]
        assert rows
        at = datetime.fromtimestamp(rows[0]["created"] + 5, UTC)
        with ledger() as opened:
            opened.inbox.store(
                [scanned(Fetched(row, at), livemode=False, api_version="2026-10-28.endive") for row in rows],
                EventSource.SCAN,
            )
        assert (await sync.apply()).parked == ()
    assert len(sync.records("Account")) == before


async def test_a_product_that_does_not_fit_holds_up_no_invoice(sync: Sync) -> None:
    customer = sync.customer(card="pm_card_visa")
    product = sync.stripe("products", name="N" * 256)["id"]
    price = sync.stripe(
        "prices", product=product, currency="usd", unit_amount=500, recurring={"interval": "month"}
    )["id"]
    sync.stripe("subscriptions", customer=customer, items=[{"price": price}])
    summary = await sync.bring()
    assert {one.type.partition(".")[0] for one in summary.parked} == {"product", "price"}
    assert len(sync.records("Stripe_Subscription__c")) == 1


async def test_of_two_customers_of_merged_accounts_both_are_followed(sync: Sync) -> None:
    """The survivor carries one customer's id, and nothing names the other's any more but the merge itself."""
    one, other = sync.customer(), sync.customer()
    await sync.bring()
    master, loser = sync.account_of(one)["Id"], sync.account_of(other)["Id"]
    sync.world.control("salesforce", "merge", {"master": master, "losers": [loser]})
    sync.world.pass_time(minutes=1)
    invoice = sync.invoice(other)
    await sync.bring()
    for _ in range(3):
        sync.world.pass_time(minutes=1)
        await sync.apply()
    assert sync.parked() == {}
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)["Account__c"] == master


async def test_one_refused_price_holds_up_no_other(sync: Sync) -> None:
    for number in (1, 2):
        price = sync.world.seeder.price(f"Support {number}", 9_900 + number)
        product = sync.get(f"prices/{price}")["product"]
        sync.stripe(f"products/{product}", default_price=price)
    rule = {"object": "PricebookEntry", "when": "UnitPrice = 99.01", "message": "No", "field": "UnitPrice"}
    sync.world.control("salesforce", "validation-rules", rule)
    summary = await sync.bring()
    parked = {one.object_id for one in summary.parked}
    assert len({p for p in parked if p.startswith("prod_")}) == 1


async def test_a_credited_invoice_is_no_paid_deal(sync: Sync) -> None:
    deal = sync.world.deal()
    account = sync.world.record("Opportunity", deal)["AccountId"]
    customer = sync.customer(known=False, metadata={"salesforce_account_id": account})
    invoice = sync.invoice(customer, 12_345, metadata={"salesforce_opportunity_id": deal})
    sync.world.update("Opportunity", deal, Stripe_Invoice_Id__c=invoice)
    sync.stripe("credit_notes", invoice=invoice, amount=12_345, reason="order_change")
    assert (await sync.bring()).parked == ()
    opportunity = sync.world.record("Opportunity", deal)
    assert (opportunity["Stripe_Paid__c"], opportunity["Paid_Date__c"]) == (False, None)


async def test_two_customers_of_one_account_do_not_mix(sync: Sync) -> None:
    """The Account is known by their address only: it shows one of them, with the card of that one."""
    account = sync.world.account(Billing_Email__c="both@acme.example")
    second = max(sync.customer(known=False, email="both@acme.example") for _ in range(2))
    sync.card(second, "pm_card_mastercard")
    assert (await sync.bring()).parked == ()
    shown = sync.world.record("Account", account)
    assert (shown["Stripe_Customer_Id__c"] == second) == (shown["Stripe_Card_Last4__c"] == "4444")


async def test_a_customer_follows_its_metadata_to_another_account(sync: Sync) -> None:
    """What people are told to do about a wrong match; an Account that is not there changes nothing."""
    first, second = sync.world.account(), sync.world.account()
    customer = sync.customer(known=False, metadata={"salesforce_account_id": first})
    await sync.bring()
    sync.world.update("Account", first, Stripe_Customer_Id__c=None)
    shown = []
    for named in (second, "001000000000000AAA"):
        sync.world.pass_time(minutes=1)
        sync.stripe(f"customers/{customer}", metadata={"salesforce_account_id": named})
        invoice = sync.invoice(customer)
        assert (await sync.bring()).parked == ()
        shown.append(sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)["Account__c"])
    assert shown == [second, second]
    assert sync.account_of(customer)["Id"] == second


async def test_cards_that_may_not_be_read_hold_up_no_invoice(sync: Sync) -> None:
    """A restricted key without the right to list payment methods."""
    customer = sync.customer()
    sync.stripe("payment_methods/pm_card_visa/attach", customer=customer)
    sync.invoice(customer)
    refusal = {
        "error": {"type": "invalid_request_error", "message": "The provided key does not have access."}
    }
    sync.world.fault("stripe", method="GET", path="/v1/payment_methods", status=403, response=refusal)
    summary = await sync.bring()
    assert {one.type for one in summary.parked} == {"customer.created", "payment_method.attached"}
    assert summary.retried == 0
    assert len(sync.records("Stripe_Invoice__c")) == 1


async def test_a_field_that_signals_may_not_read_holds_up_nothing_else(sync: Sync) -> None:
    grants = [one["Id"] for one in sync.records("FieldPermissions") if one["Field"] == "Account.CSM__c"]
    sync.world.control("salesforce", "delete", {"ids": grants})
    overdue = sync.invoice(sync.customer(), collection_method="send_invoice", days_until_due=1)
    sync.world.pass_time(days=2)
    sync.invoice(sync.customer())
    summary = await sync.bring()
    assert {(one.type, one.object_id) for one in summary.parked} == {("invoice.overdue", overdue)}
    assert summary.retried == 0
    assert "CSM__c" in summary.parked[0].reason
    assert len(sync.records("Stripe_Invoice__c")) == 2
