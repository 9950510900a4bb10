"""From event to Salesforce record, row by row of R20 to R28: judged by what the org shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def test_a_paid_invoice_shows_everywhere(sync: Sync) -> None:
    """R20, R29, R30: invoice, line, payment, the deal, the Account's roll-ups; and doing it again writes nothing."""
    deal = sync.world.deal()
    account = sync.world.record("Opportunity", deal)["AccountId"]
    customer = sync.customer(known=False, card="pm_card_visa", metadata={"salesforce_account_id": account})
    invoice = sync.invoice(customer, 12_345, metadata={"salesforce_opportunity_id": deal})
    sync.world.update("Opportunity", deal, Stripe_Invoice_Id__c=invoice)
    sync.stripe(f"invoices/{invoice}/pay")
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    record = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)
    assert (record["Status__c"], record["Amount_Paid__c"], record["Amount_Remaining__c"]) == (
        "paid",
        123.45,
        0,
    )
    assert (record["Account__c"], record["Opportunity__c"]) == (account, deal)
    assert sync.record("Stripe_Invoice_Line__c")["Invoice__c"] == record["Id"]
    payment = sync.record("Stripe_Payment__c")
    assert (payment["Invoice__c"], payment["Amount__c"]) == (record["Id"], 123.45)
    assert (payment["Status__c"], payment["Card_Last4__c"]) == ("succeeded", "4242")
    opportunity = sync.world.record("Opportunity", deal)
    assert opportunity["Stripe_Paid__c"] is True
    assert opportunity["Paid_Date__c"]
    shown = sync.world.record("Account", account)
    assert (shown["Stripe_Customer_Id__c"], shown["Stripe_Payment_Health__c"]) == (customer, "Healthy")
    assert shown["Stripe_Last_Payment_Date__c"] == opportunity["Paid_Date__c"]
    before = sync.picture()
    sync.world.forget_calls()
    assert sync.replay() > 10
    again = await sync.apply()
    assert (again.parked, again.written, sync.writes()) == ((), 0, [])
    assert sync.picture() == before


def _overdue(sync: Sync, customer: str) -> None:
    sync.invoice(customer, collection_method="send_invoice", days_until_due=1)
    sync.world.pass_time(days=2)


def _voided(sync: Sync, customer: str) -> None:
    sync.stripe(f"invoices/{sync.invoice(customer)}/void")


def _uncollectible(sync: Sync, customer: str) -> None:
    sync.stripe(f"invoices/{sync.invoice(customer)}/mark_uncollectible")


def _out_of_band(sync: Sync, customer: str) -> None:
    sync.stripe(f"invoices/{sync.invoice(customer)}/pay", paid_out_of_band=True)


def _subscribed(sync: Sync, customer: str) -> None:
    sync.card(customer)
    sync.subscription(customer)


def _plan_changed(sync: Sync, customer: str) -> None:
    sync.card(customer)
    made = sync.subscription(customer)
    item = sync.get(f"subscriptions/{made}")["items"]["data"][0]["id"]
    sync.world.pass_time(hours=1)
    sync.stripe(f"subscriptions/{made}", items=[{"id": item, "quantity": 5}], proration_behavior="none")


def _cancelled(sync: Sync, customer: str) -> None:
    sync.card(customer)
    made = sync.subscription(customer)
    sync.world.pass_time(hours=1)
    sync.delete(f"subscriptions/{made}")


def _paid(sync: Sync, customer: str) -> str:
    sync.card(customer)
    invoice = sync.invoice(customer)
    sync.stripe(f"invoices/{invoice}/pay")
    return str(sync.get("charges", customer=customer)["data"][0]["id"])


def _refunded(sync: Sync, customer: str) -> None:
    sync.stripe("refunds", charge=_paid(sync, customer), amount=2_500, reason="requested_by_customer")


def _credited(sync: Sync, customer: str) -> None:
    sync.stripe("credit_notes", invoice=sync.invoice(customer), amount=1_000, reason="order_change")


def _disputed(sync: Sync, customer: str) -> None:
    sync.world.control("stripe", f"disputes/{_paid(sync, customer)}", {"reason": "fraudulent"})


def _card_attached(sync: Sync, customer: str) -> None:
    sync.card(customer, "pm_card_mastercard")


def _card_renewed(sync: Sync, customer: str) -> None:
    method = sync.card(customer)
    sync.receive()
    sync.world.control("stripe", f"cards/{method}", {"exp_month": 3, "exp_year": 2031})


def _lone_payment(sync: Sync, customer: str) -> None:
    method = sync.card(customer)
    sync.stripe(
        "payment_intents",
        amount=7_000,
        currency="usd",
        customer=customer,
        payment_method=method,
        confirm=True,
        off_session=True,
    )


CASES: dict[str, tuple[Callable[[Sync, str], Any], dict[str, Any], dict[str, Any]]] = {
    "R21 overdue": (
        _overdue,
        {"Stripe_Invoice__c": {"Status__c": "open", "Amount_Remaining__c": 100}},
        {"Stripe_Payment_Health__c": "At Risk", "Stripe_Account_Status__c": "Payment Overdue"},
    ),
    "R22 subscribed": (
        _subscribed,
        {"Stripe_Subscription__c": {"Status__c": "active", "Quantity__c": 2, "MRR__c": 100}},
        {"Stripe_MRR__c": 100, "Stripe_Subscription_Count__c": 1, "Stripe_Account_Status__c": "Active"},
    ),
    "R22 plan changed": (
        _plan_changed,
        {"Stripe_Subscription__c": {"Quantity__c": 5, "MRR__c": 250}, "Task": {"Status": "Completed"}},
        {"Stripe_MRR__c": 250},
    ),
    "R23 cancelled": (
        _cancelled,
        {"Stripe_Subscription__c": {"Status__c": "canceled"}},
        {"Stripe_Account_Status__c": "Churned", "Stripe_MRR__c": 0},
    ),
    "R24 refunded": (
        _refunded,
        {
            "Stripe_Refund__c": {"Amount__c": 25, "Reason__c": "requested_by_customer"},
            "Stripe_Invoice__c": {"Status__c": "paid", "Amount_Paid__c": 100},
            "Stripe_Payment__c": {"Amount_Refunded__c": 25},
        },
        {},
    ),
    "R25 card attached": (
        _card_attached,
        {},
        {"Stripe_Card_Brand__c": "mastercard", "Stripe_Card_Last4__c": "4444"},
    ),
    "R25 card renewed": (
        _card_renewed,
        {},
        {"Stripe_Card_Exp_Month__c": 3, "Stripe_Card_Exp_Year__c": 2031},
    ),
    "R27 lone payment": (
        _lone_payment,
        {"Stripe_Payment__c": {"Status__c": "succeeded", "Amount__c": 70, "Invoice__c": None}},
        {"Stripe_Payment_Health__c": "Healthy"},
    ),
    "R27 credited": (
        _credited,
        {"Stripe_Credit_Note__c": {"Amount__c": 10}, "Stripe_Invoice__c": {"Amount_Remaining__c": 90}},
        {},
    ),
    "R27 disputed": (
        _disputed,
        {"Stripe_Dispute__c": {"Reason__c": "fraudulent", "Amount__c": 100}},
        {"Stripe_Payment_Health__c": "At Risk"},
    ),
    "R27 voided": (_voided, {"Stripe_Invoice__c": {"Status__c": "void"}}, {}),
    "R27 uncollectible": (
        _uncollectible,
        {"Stripe_Invoice__c": {"Status__c": "uncollectible"}},
        {"Stripe_Payment_Health__c": "Failed"},
    ),
    "R27 out of band": (
        _out_of_band,
        {"Stripe_Invoice__c": {"Status__c": "paid", "Amount_Remaining__c": 0}},
        {},
    ),
}


async def test_each_row_ends_in_its_record(sync: Sync) -> None:
    """All rows in one batch, each a customer of its own; then all once more, which changes nothing."""
    customers = {}
    for name, (happen, _, _) in CASES.items():
        customers[name] = sync.customer()
        happen(sync, customers[name])
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    wrong = {name: found for name in CASES if (found := _differs(sync, customers[name], *CASES[name][1:]))}
    assert wrong == {}
    before = sync.picture()
    sync.world.forget_calls()
    sync.replay()
    again = await sync.apply()
    assert (again.parked, sync.writes()) == ((), [])
    assert sync.picture() == before


def _differs(
    sync: Sync, customer: str, records: dict[str, dict[str, Any]], account: dict[str, Any]
) -> dict[str, Any]:
    """What the customer's records and Account do not show as they should."""
    shown = sync.account_of(customer)
    wrong = {name: shown[name] for name, value in account.items() if shown[name] != value}
    for sobject, wanted in records.items():
        of_account = "WhatId" if sobject == "Task" else "Account__c"
        found = [row for row in sync.records(sobject) if row[of_account] == shown["Id"]]
        if not any(wanted.items() <= row.items() for row in found):
            wrong[sobject] = found
    return wrong


async def test_products_and_prices_follow(sync: Sync) -> None:
    """R28: a product is made, then renamed and repriced; the price book entry follows its default price."""
    price = sync.world.seeder.price("Support", 9_900)
    product = sync.get(f"prices/{price}")["product"]
    sync.stripe(f"products/{product}", default_price=price, name="Premium support")
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    record = sync.record("Product2", Stripe_Product_Id__c=product)
    assert (record["Name"], record["IsActive"]) == ("Premium support", True)
    assert record["Stripe_Price_Id__c"] == price
    sync.replay(types=("price.*",))
    await sync.apply()
    entry = sync.record("PricebookEntry", Product2Id=record["Id"])
    assert (entry["UnitPrice"], entry["IsActive"]) == (99, True)


async def test_a_product_that_deals_are_billed_by_is_linked_and_not_made_again(sync: Sync) -> None:
    """Only a price was set by hand, and Stripe's product has no default price: its prices tell which it is."""
    product = sync.get(f"prices/{sync.world.prices['day']}")["product"]
    sync.stripe("prices", product=product, currency="usd", unit_amount=99_000)
    sync.stripe(f"products/{product}", description="A day on site")
    assert sync.receive([event for event in sync.fresh() if event.type == "product.updated"]) == 1
    summary = await sync.apply()
    assert (summary.parked, summary.retried) == ((), 0)
    record = sync.record("Product2", Name="Consulting day")
    assert record["Stripe_Price_Id__c"] == sync.world.prices["day"]
    assert (record["Stripe_Product_Id__c"], record["Description"]) == (product, "A day on site")


async def test_a_key_that_may_not_read_prices_holds_up_no_product(sync: Sync) -> None:
    sync.world.fault("stripe", method="GET", path="/v1/prices", status=403)
    sync.stripe("products", name="Umbrella")
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    assert sync.record("Product2", Name="Umbrella")["Stripe_Product_Id__c"]
