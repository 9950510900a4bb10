"""Records that belong to each other go in one call; what that call leaves open is settled kind by kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tasks.company import kept_open
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect
TOGETHER = "/composite$"
CLOCK_SECONDS = 1.1  # the emulators' clock is read once a second
KINDS = ("Subscription", "Invoice", "Invoice_Line", "Payment")


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def renewed(sync: Sync) -> str:
    """A subscription that was paid by card; its customer."""
    customer = sync.customer(card="pm_card_visa")
    sync.subscription(customer)
    return customer


def together(sync: Sync) -> list[Any]:
    """Calls that write several kinds of what Stripe has; products have a call of their own."""
    return [
        call
        for call in sync.world.calls("salesforce", "POST", TOGETHER)
        if "sobjects/Stripe_" in str(call.body)
    ]


def alone(sync: Sync) -> list[str]:
    """The objects of calls that upsert rows of one kind."""
    calls = sync.world.calls("salesforce", "PATCH", "composite/sobjects/Stripe_")
    return [call.path.split("/")[-2] for call in calls]


def counts(sync: Sync) -> list[int]:
    return [len(sync.records(f"Stripe_{kind}__c")) for kind in KINDS]


async def test_a_renewal_is_one_call(sync: Sync) -> None:
    renewed(sync)
    sync.world.forget_calls()
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    assert counts(sync) == [1, 1, 1, 1]
    assert (len(together(sync)), alone(sync)) == (1, [])
    invoice = sync.record("Stripe_Invoice__c")
    assert invoice["Subscription__c"] == sync.record("Stripe_Subscription__c")["Id"]
    assert sync.record("Stripe_Invoice_Line__c")["Invoice__c"] == invoice["Id"]


async def test_a_lost_answer_is_asked_for_again(sync: Sync) -> None:
    renewed(sync)
    sync.world.forget_calls()
    sync.world.fault("salesforce", method="POST", path=TOGETHER, body="sobjects/Stripe_", nth=1, drop="after")
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    assert counts(sync) == [1, 1, 1, 1]
    assert len(together(sync)) == 2


async def test_an_org_that_does_not_take_it_gets_one_kind_after_another(sync: Sync) -> None:
    """As where an administrator has closed the resource."""
    renewed(sync)
    closed = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "Not for you"}]
    sync.world.fault("salesforce", method="POST", path=TOGETHER, body='"PATCH"', status=403, response=closed)
    sync.world.forget_calls()
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    assert counts(sync) == [1, 1, 1, 1]
    assert alone(sync) == [f"Stripe_{kind}__c" for kind in KINDS]


async def test_a_refused_parent_holds_what_refers_to_it_and_nobody_else(sync: Sync) -> None:
    refused, fine = sync.customer(card="pm_card_visa"), sync.customer(card="pm_card_visa")
    bad, good = sync.invoice(refused), sync.invoice(fine)
    for invoice in (bad, good):
        sync.stripe(f"invoices/{invoice}/pay")
    rule = {
        "object": "Stripe_Invoice__c",
        "when": f"Stripe_Invoice_Id__c = '{bad}'",
        "message": "No invoice of this kind",
        "field": "Total__c",
    }
    sync.world.control("salesforce", "validation-rules", rule)
    sync.world.forget_calls()
    summary = await sync.bring()
    assert {one.code for one in summary.parked} == {"FIELD_CUSTOM_VALIDATION_EXCEPTION"}
    assert bad in {one.object_id for one in summary.parked}
    assert good not in {one.object_id for one in summary.parked}
    assert [row["Stripe_Invoice_Id__c"] for row in sync.records("Stripe_Invoice__c")] == [good]
    assert len(sync.records("Stripe_Invoice_Line__c")) == 1
    # The refused row is asked about once more by itself, and nothing else is.
    assert (len(together(sync)), alone(sync)) == (1, ["Stripe_Invoice__c"])
    sync.world.control("salesforce", "validation-rules", method="DELETE")
    sync.replay()
    assert (await sync.apply()).parked == ()
    assert counts(sync)[1:] == [2, 2, 2]


async def test_a_locked_row_is_tried_again_by_itself(sync: Sync) -> None:
    renewed(sync)
    locked = {"object": "Stripe_Invoice__c", "code": "UNABLE_TO_LOCK_ROW", "nth": 1}
    sync.world.control("salesforce", "row-faults", locked)
    sync.world.forget_calls()
    summary = await sync.bring()
    assert (summary.parked, summary.retried) == ((), 0)
    assert counts(sync) == [1, 1, 1, 1]
    # Its line came too early then, and is written once it is there. The payment names the invoice as well.
    assert alone(sync) == ["Stripe_Invoice__c", "Stripe_Invoice_Line__c", "Stripe_Payment__c"]


def another(sync: Sync, customer: str) -> None:
    """A second subscription to the same product."""
    (item,) = sync.get("subscriptions", customer=customer)["data"][0]["items"]["data"]
    sync.stripe("subscriptions", customer=customer, items=[{"price": item["price"]["id"], "quantity": 1}])


async def test_a_product_is_asked_for_once(sync: Sync) -> None:
    async with kept_open("o2c"):
        customer = renewed(sync)
        await sync.bring()
        another(sync, customer)
        await asyncio.sleep(CLOCK_SECONDS)
        await sync.bring()
        sync.world.forget_calls()
        another(sync, customer)
        await asyncio.sleep(CLOCK_SECONDS)
        assert (await sync.bring()).parked == ()
        asked = [str(call.query) for call in sync.world.calls("salesforce", "GET")]
        assert not [soql for soql in asked if "Product2" in soql]
    assert counts(sync) == [3, 3, 3, 3]
    assert len({line["Product__c"] for line in sync.records("Stripe_Invoice_Line__c")}) == 1


async def test_a_product_that_is_gone_is_found_to_be_so(sync: Sync) -> None:
    """It is remembered for minutes: the row that it breaks is tried again without it, and nobody is parked."""
    async with kept_open("o2c"):
        customer = renewed(sync)
        await sync.bring()
        another(sync, customer)
        await asyncio.sleep(CLOCK_SECONDS)
        await sync.bring()
        product = sync.records("Stripe_Invoice_Line__c")[0]["Product__c"]
        sync.world.update("Product2", product, Stripe_Product_Id__c=None)
        another(sync, customer)
        await asyncio.sleep(CLOCK_SECONDS)
        assert (await sync.bring()).parked == ()
        assert {row.state for row in sync.rows()} <= {"done", "ignored"}
    assert counts(sync) == [3, 3, 3, 3]
    assert [bool(line["Product__c"]) for line in sync.records("Stripe_Invoice_Line__c")] == [
        True,
        True,
        False,
    ]
