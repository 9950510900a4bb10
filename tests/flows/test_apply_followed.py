"""A customer whom a person gives to another Account is followed there, with all of its records."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect

OF_AN_ACCOUNT = ("Subscription", "Invoice", "Payment", "Refund", "Credit_Note", "Dispute")


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def give(sync: Sync, customer: str, to: str) -> str:
    """As a person does it: the id is taken from one Account and given to another; where it was."""
    before = str(sync.account_of(customer)["Id"])
    sync.world.update("Account", before, Stripe_Customer_Id__c=None)
    sync.world.update("Account", to, Stripe_Customer_Id__c=customer)
    return before


def accounts_of(sync: Sync, customer: str) -> set[str]:
    """The Accounts that the customer's records hang on."""
    rows = [row for kind in OF_AN_ACCOUNT for row in sync.records(f"Stripe_{kind}__c")]
    return {row["Account__c"] for row in rows if row["Stripe_Customer_Id__c"] == customer}


async def lived(sync: Sync, **fields: Any) -> str:
    """A customer with records of every kind but disputes."""
    customer = sync.customer(card="pm_card_visa", **fields)
    sync.subscription(customer)
    paid = sync.invoice(customer)
    sync.stripe(f"invoices/{paid}/pay")
    charge = sync.get("charges", customer=customer)["data"][0]["id"]
    sync.stripe("refunds", charge=charge, amount=2_500)
    sync.stripe("credit_notes", invoice=sync.invoice(customer), amount=1_000, reason="order_change")
    assert (await sync.bring()).parked == ()
    return customer


async def test_all_records_follow_and_both_accounts_are_rolled_up(sync: Sync) -> None:
    customer, other = await lived(sync), sync.customer()
    sync.invoice(other)
    await sync.bring()
    assert sync.account_of(customer)["Stripe_MRR__c"] == 100
    to = sync.world.account()
    before = give(sync, customer, to)
    sync.world.pass_time(minutes=1)
    sync.invoice(customer, collection_method="send_invoice", days_until_due=1)
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {to}
    assert accounts_of(sync, other) == {sync.account_of(other)["Id"]}
    left, shown = sync.world.record("Account", before), sync.world.record("Account", to)
    assert (left["Stripe_MRR__c"], left["Stripe_Subscription_Count__c"]) == (0, 0)
    assert (left["Stripe_Account_Status__c"], left["Stripe_Last_Payment_Date__c"]) == ("Prospect", None)
    assert (shown["Stripe_MRR__c"], shown["Stripe_Account_Status__c"]) == (100, "Active")
    assert left["Stripe_Customer_Id__c"] is None
    sync.world.pass_time(days=2)
    sync.world.forget_calls()
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {to}
    task = sync.record("Task", WhatId=to, Status="Not Started")
    assert task["WhatId"] == to


async def test_an_id_is_not_written_back_to_the_account_that_it_was_taken_from(sync: Sync) -> None:
    """The customer's own event, and its metadata still names the Account that it was made for."""
    first, to = sync.world.account(), sync.world.account()
    customer = sync.customer(known=False, metadata={"salesforce_account_id": first})
    sync.invoice(customer)
    await sync.bring()
    assert sync.account_of(customer)["Id"] == first
    give(sync, customer, to)
    for name in ("Acme Ltd & Sons", "Acme plc"):
        sync.world.pass_time(minutes=1)
        sync.stripe(f"customers/{customer}", name=name)
        assert (await sync.bring()).parked == ()
        assert sync.account_of(customer)["Id"] == to
        assert accounts_of(sync, customer) == {to}
    back = give(sync, customer, first)
    sync.world.pass_time(minutes=1)
    sync.invoice(customer)
    assert (await sync.bring()).parked == ()
    assert (back, accounts_of(sync, customer)) == (to, {first})


async def test_metadata_that_names_another_account_takes_the_records_along(sync: Sync) -> None:
    """The Account that it leaves goes on carrying its id, and the other one carries another's: it stays there."""
    customer, other = sync.customer(), sync.customer()
    sync.invoice(customer)
    await sync.bring()
    to = sync.account_of(other)["Id"]
    sync.world.pass_time(minutes=1)
    sync.stripe(f"customers/{customer}", metadata={"salesforce_account_id": to})
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {to}
    sync.invoice(customer)
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {to}


async def test_an_id_on_two_accounts_is_for_a_person_to_say(sync: Sync) -> None:
    customer, fine = sync.customer(), sync.customer()
    sync.invoice(customer)
    await sync.bring()
    two = [sync.world.account() for _ in range(2)]
    before = give(sync, customer, two[0])
    # Where the field is the org's own and not unique.
    record = {"type": "Account", "id": two[1], "Stripe_Customer_Id__c": customer}
    sync.world.seeder.salesforce([record], raw=True)
    invoices = {name: sync.invoice(name) for name in (customer, fine)}
    summary = await sync.bring()
    assert {one.code for one in summary.parked} == {"customer_ambiguous"}
    assert {one.object_id for one in summary.parked} == {invoices[customer]}
    assert all(name in summary.parked[0].reason for name in two)
    sync.world.update("Account", two[1], Stripe_Customer_Id__c=None)
    sync.replay()
    assert (await sync.apply()).parked == ()
    assert accounts_of(sync, customer) == {two[0]}
    assert before not in accounts_of(sync, fine)


async def test_an_id_that_nobody_carries_comes_back(sync: Sync) -> None:
    customer = sync.customer()
    await sync.bring()
    account = sync.account_of(customer)["Id"]
    sync.world.update("Account", account, Stripe_Customer_Id__c=None)
    sync.world.pass_time(minutes=1)
    sync.stripe(f"customers/{customer}", name="Acme plc")
    sync.invoice(customer)
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {account}
    assert sync.account_of(customer)["Id"] == account


async def test_a_refused_record_holds_the_customer_until_all_have_followed(sync: Sync) -> None:
    customer = sync.customer()
    kept = sync.invoice(customer)
    await sync.bring()
    to = sync.world.account()
    before = give(sync, customer, to)
    rule = {
        "object": "Stripe_Invoice__c",
        "when": f"Stripe_Invoice_Id__c = '{kept}'",
        "message": "Closed",
        "field": "Account__c",
    }
    sync.world.control("salesforce", "validation-rules", rule)
    sync.invoice(customer)
    summary = await sync.bring()
    assert summary.parked
    assert accounts_of(sync, customer) == {before, to}
    sync.world.control("salesforce", "validation-rules", method="DELETE")
    sync.world.pass_time(minutes=1)
    sync.invoice(customer)
    assert (await sync.bring()).parked == ()
    assert accounts_of(sync, customer) == {to}
