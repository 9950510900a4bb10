"""What cannot be written is parked with field and remedy; everything else of the batch goes through."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from order_to_cash.domain.events import decode_event
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def codes(summary: Any) -> set[str]:
    return {one.code for one in summary.parked}


async def test_one_refused_row_in_two_hundred_and_one_poisoned_event(sync: Sync) -> None:
    """A validation rule refuses one invoice of 210; one body is none that Stripe would send."""
    customers = [sync.customer() for _ in range(3)]
    invoices = [sync.invoice(customers[n % 3], 1_000 + n, final=False) for n in range(210)]
    bad = invoices[100]
    rule = {
        "object": "Stripe_Invoice__c",
        "when": f"Stripe_Invoice_Id__c = '{bad}'",
        "message": "No invoice of this kind",
        "field": "Total__c",
    }
    sync.world.control("salesforce", "validation-rules", rule)
    events = sync.fresh()
    poisoned = events[-1]
    body = json.loads(poisoned.body)
    body["id"], body["data"]["object"]["amount_due"] = "evt_poisoned", {"not": "a number"}
    body["data"]["object"]["id"] = "in_poisoned"
    sync.receive([*events, decode_event(json.dumps(body).encode())])
    summary = await sync.apply()
    parked = {one.object_id: one for one in summary.parked}
    assert set(parked) == {bad, "in_poisoned"}
    refused = parked[bad]
    assert refused.code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert "Total__c" in refused.reason
    assert "validation rule" in refused.remedy
    shown = {row["Stripe_Invoice_Id__c"] for row in sync.records("Stripe_Invoice__c")}
    assert shown == set(invoices) - {bad}
    # One call for 200 invoices, one for the rest: the refused one cost nobody a call of his own.
    assert len(sync.world.calls("salesforce", "PATCH", "Stripe_Invoice__c")) == 2
    sync.world.control("salesforce", "validation-rules", method="DELETE")
    sync.replay()
    assert {one.object_id for one in (await sync.apply()).parked} == {"in_poisoned"}
    assert len(sync.records("Stripe_Invoice__c")) == 210


async def test_a_hidden_field_is_named(sync: Sync) -> None:
    customer = sync.customer()
    grants = [
        one for one in sync.records("FieldPermissions") if one["Field"] == "Stripe_Invoice__c.Amount_Due__c"
    ]
    sync.world.control("salesforce", "delete", {"ids": [one["Id"] for one in grants]})
    sync.invoice(customer)
    sync.subscription(customer, payment_behavior="default_incomplete")
    summary = await sync.bring()
    assert {one.type.partition(".")[0] for one in summary.parked} == {"invoice"}
    (refused,) = {(one.code, one.remedy) for one in summary.parked}
    assert refused[0] in {"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"}
    assert "field-level security" in refused[1]
    assert all("Amount_Due__c" in one.reason for one in summary.parked)
    assert len(sync.records("Stripe_Subscription__c")) == 1
    for grant in grants:
        names = ("ParentId", "SobjectType", "Field", "PermissionsRead", "PermissionsEdit")
        sync.world.seeder.salesforce([{"type": "FieldPermissions", **{name: grant[name] for name in names}}])
    sync.replay()
    assert (await sync.apply()).parked == ()
    assert len(sync.records("Stripe_Invoice__c")) == 2


async def test_a_deleted_account_is_named_and_a_merged_one_followed(sync: Sync) -> None:
    gone, merged, fine = sync.customer(), sync.customer(), sync.customer()
    await sync.bring()
    account = {name: sync.account_of(name)["Id"] for name in (gone, merged, fine)}
    sync.world.control("salesforce", "delete", {"ids": [account[gone]]})
    survivor = sync.world.account()
    sync.world.control("salesforce", "merge", {"master": survivor, "losers": [account[merged]]})
    sync.world.update("Account", survivor, Stripe_Customer_Id__c=merged)
    invoices = {name: sync.invoice(name) for name in account}
    summary = await sync.bring()
    for _ in range(3):
        sync.world.pass_time(minutes=1)
        later = await sync.apply()
        summary += later
    assert {one.object_id for one in summary.parked} == {invoices[gone]}
    assert codes(summary) == {"account_gone"}
    shown = {row["Stripe_Invoice_Id__c"]: row["Account__c"] for row in sync.records("Stripe_Invoice__c")}
    assert shown == {invoices[fine]: account[fine], invoices[merged]: survivor}


async def test_whose_is_it(sync: Sync) -> None:
    """Known by its e-mail, by nobody, by two; deleted in Stripe before anybody knew it."""
    known = sync.world.account(Billing_Email__c="known@acme.example")
    for _ in range(2):
        sync.world.account(Billing_Email__c="two@acme.example")
    customers = {
        name: sync.customer(known=False, email=f"{name}@acme.example", name=f"{name} Ltd")
        for name in ("known", "stranger", "two", "dead")
    }
    invoices = {name: sync.invoice(customer) for name, customer in customers.items()}
    sync.delete(f"customers/{customers['dead']}")
    events = [event for event in sync.fresh() if event.object_id != customers["dead"]]
    sync.receive(events)
    summary = await sync.apply()
    parked = {one.object_id: one.code for one in summary.parked}
    assert parked[invoices["two"]] == "customer_ambiguous"
    assert invoices["dead"] in parked
    assert {invoices["known"], invoices["stranger"]}.isdisjoint(parked)
    shown = {row["Stripe_Invoice_Id__c"]: row["Account__c"] for row in sync.records("Stripe_Invoice__c")}
    assert shown[invoices["known"]] == known
    made = sync.record("Account", Id=shown[invoices["stranger"]])
    assert (made["Name"], made["Stripe_Customer_Id__c"]) == ("stranger Ltd", customers["stranger"])
    assert sync.record("Contact", AccountId=made["Id"])["Email"] == "stranger@acme.example"
    sync.replay()
    await sync.apply()
    assert len([row for row in sync.records("Account") if row["Name"] == "stranger Ltd"]) == 1


async def test_strangers_are_parked_where_policy_says_so(sync: Sync, policy: Any) -> None:
    await policy(unknown_customers="park")
    sync.invoice(sync.customer(known=False))
    summary = await sync.bring()
    assert codes(summary) == {"customer_unknown"}
    assert sync.records("Account") == []


async def test_thin_events_show_the_same(sync: Sync) -> None:
    """Thin events say only what they are about: what Salesforce shows is the same."""
    customer = sync.customer(card="pm_card_visa")
    sync.subscription(customer)
    sync.stripe(f"invoices/{sync.invoice(customer)}/pay")
    events = sync.fresh()
    sync.receive(events)
    assert (await sync.apply()).parked == ()
    expected = sync.picture()
    assert expected["Payment"]
    sync.world.control("salesforce", "empty")
    thin = [
        replace(event, thin=True, type=f"v1.{event.type}", body=b"{}", event_id=f"{event.event_id}_thin")
        for event in events
        if event.object_type in {"invoice", "subscription", "charge", "customer"}
    ]
    sync.forget_ledger()
    sync.world.account(Stripe_Customer_Id__c=customer)
    sync.receive(thin)
    assert (await sync.apply()).parked == ()
    assert _without_accounts(sync.picture()) == _without_accounts(expected)


def _without_accounts(picture: dict[str, Any]) -> dict[str, Any]:
    """Names of Accounts and their ids are the test's own."""
    return {
        kind: [{name: value for name, value in row.items() if "Account" not in name} for row in rows]
        for kind, rows in picture.items()
        if kind != "Account"
    }


async def test_an_older_api_version_and_the_wrong_order(sync: Sync) -> None:
    """Events as they were before 2025-03-31, the last one first and in batches of their own."""
    sync.world.settings("stripe", events_api_version="2024-06-20")
    customer = sync.customer(card="pm_card_visa")
    subscription = sync.subscription(customer)
    sync.stripe(f"invoices/{sync.invoice(customer)}/pay")
    events = sync.fresh()
    assert {event.api_version for event in events} == {"2024-06-20"}
    third = len(events) // 3
    for some in (events[2 * third :], events[third : 2 * third], events[:third]):
        sync.receive(some)
        assert (await sync.apply()).parked == ()
    invoices = sync.records("Stripe_Invoice__c")
    assert [row["Status__c"] for row in invoices] == ["paid", "paid"]
    assert {row["Amount_Remaining__c"] for row in invoices} == {0}
    record = sync.record("Stripe_Subscription__c", Stripe_Subscription_Id__c=subscription)
    assert (record["Status__c"], bool(record["Current_Period_End__c"])) == ("active", True)
    assert any(row["Subscription__c"] == record["Id"] for row in invoices)
    assert all(row["Invoice__c"] for row in sync.records("Stripe_Payment__c"))


STEPS = ("fetch_parents", "find_accounts", "map_rows", "write_rows", "roll_up", "raise_signals", "conclude")


async def test_a_crash_after_any_step_is_made_good(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after each step in turn; what is done over and over comes to the same, once."""
    from flows import apply_stripe_events as flow

    class Died(BaseException):
        """As a signal: nothing is tidied up."""

    customer = sync.customer(card="pm_card_chargeCustomerFail")
    sync.stripe(f"invoices/{sync.invoice(customer, final=False)}/finalize", auto_advance=True)
    sync.world.pass_time(hours=2)
    sync.receive()
    for name in STEPS:
        step = getattr(flow, name)

        async def dying(*arguments: Any, step: Any = step) -> None:
            await step(*arguments)
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(flow, name, dying)
            with pytest.raises(Died):
                await flow.apply_stripe_events()
        # The lease of what was claimed ends; a person would wait two minutes.
        sync.world.pass_time(minutes=3)
    assert (await sync.apply()).parked == ()
    assert [row["Status__c"] for row in sync.records("Stripe_Invoice__c")] == ["open"]
    open_tasks = [one for one in sync.records("Task") if one["Status"] != "Completed"]
    assert (len(sync.records("Case")), len(open_tasks), len(sync.world.slack_texts())) == (1, 1, 1)
    assert {row.state for row in sync.rows()} <= {"done", "ignored"}


async def test_what_stripe_cannot_show_holds_those_who_need_it(sync: Sync) -> None:
    """A product that is gone holds nobody; a subscription that cannot be read now holds its invoices, all of them."""
    customer = sync.customer(card="pm_card_visa")
    subscription = sync.subscription(customer)
    sync.world.pass_time(days=32)
    events = [event for event in sync.fresh() if event.object_type == "invoice"]
    gone = {
        "error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such product"}
    }
    sync.world.fault("stripe", method="GET", path="/v1/products/", status=404, response=gone)
    sync.world.fault("stripe", method="GET", path=f"/v1/subscriptions/{subscription}", status=503)
    sync.receive(events)
    summary = await sync.apply()
    assert summary.parked == ()
    assert summary.retried == len(events)
    assert sync.records("Stripe_Invoice__c") == []
    sync.world.no_faults()
    sync.world.fault("stripe", method="GET", path="/v1/products/", status=404, response=gone)
    sync.world.pass_time(minutes=5)
    assert (await sync.apply()).parked == ()
    shown = {row["Stripe_Invoice_Id__c"] for row in sync.records("Stripe_Invoice__c")}
    assert shown == {event.object_id for event in events}
    assert len(sync.records("Stripe_Subscription__c")) == 1


async def test_payments_wait_with_the_invoice_that_waits(sync: Sync) -> None:
    """The subscription cannot be read for now, so its invoice waits: no payment is sent without it."""
    subscription = sync.subscription(sync.customer(card="pm_card_visa"))
    wanted = {"invoice", "charge", "invoice_payment"}
    events = [event for event in sync.fresh() if event.object_type in wanted]
    assert {event.object_type for event in events} == wanted
    sync.world.fault("stripe", method="GET", path=f"/v1/subscriptions/{subscription}", status=503)
    sync.receive(events)
    summary = await sync.apply()
    assert (summary.parked, summary.retried) == ((), len(events))
    assert sync.records("Stripe_Payment__c") == []
    sync.world.no_faults()
    sync.world.pass_time(minutes=5)
    assert (await sync.apply()).parked == ()
    [payment] = sync.records("Stripe_Payment__c")
    assert payment["Invoice__c"] == sync.record("Stripe_Invoice__c")["Id"]
