"""A failed payment is heard of once: one Case, one Task, one alert, whatever is repeated, lost or coalesced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows import apply_stripe_events as flow
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import StripeEvent, decode_event
from tests.flows.running import set_dunning
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect
DECLINED = "pm_card_chargeCustomerFail"


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def failed_payment(sync: Sync) -> tuple[str, str]:
    """A customer whose card is declined, and the invoice."""
    customer = sync.customer(card=DECLINED)
    invoice = sync.invoice(customer, final=False)
    sync.stripe(f"invoices/{invoice}/finalize", auto_advance=True)
    sync.world.pass_time(hours=2)
    return customer, invoice


def thrice(events: list[StripeEvent]) -> list[StripeEvent]:
    """Each of them, and twice more as Stripe tells of one change by several events."""
    more = []
    for event in events:
        for number in (2, 3):
            body = json.loads(event.body) | {"id": f"{event.event_id}_{number}"}
            more.append(decode_event(json.dumps(body).encode()))
    return [*events, *more]


def heard(sync: Sync) -> tuple[int, int, int]:
    """How many Cases, open Tasks and alerts there are."""
    tasks = [one for one in sync.records("Task") if one["Status"] != "Completed"]
    return len(sync.records("Case")), len(tasks), len(sync.world.slack_texts())


async def test_once_though_told_thrice_and_replayed(sync: Sync) -> None:
    customer, invoice = failed_payment(sync)
    events = sync.fresh()
    assert any(event.type == "invoice.payment_failed" for event in events)
    sync.receive(thrice(events))
    assert (await sync.apply()).parked == ()
    assert heard(sync) == (1, 1, 1)
    account = sync.account_of(customer)
    assert account["Stripe_Payment_Health__c"] == "Failed"
    assert sync.record("Case")["AccountId"] == account["Id"]
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)["Failure_Code__c"]
    sync.world.forget_calls()
    sync.replay()
    await sync.apply()
    assert sync.writes() == []
    assert heard(sync)[:2] == (1, 1)
    assert sync.world.calls("slack", path="chat.postMessage") == []


async def test_each_attempt_is_a_task_and_the_case_stays_one(sync: Sync) -> None:
    failed_payment(sync)
    await sync.bring()
    sync.world.pass_time(days=9)
    fresh = sync.fresh()
    attempts = {event.type for event in fresh}
    assert "invoice.payment_failed" in attempts
    sync.receive(fresh)
    assert (await sync.apply()).parked == ()
    cases, tasks, alerts = heard(sync)
    assert cases == 1
    assert tasks >= 2
    assert 2 <= alerts <= tasks  # attempts that are heard of together are told together


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_lost_answers_are_looked_for(sync: Sync, drop: str) -> None:
    """The insert of the Case, the Task and the post to Slack each lose their connection once."""
    failed_payment(sync)
    sync.world.fault("salesforce", method="POST", path="composite/sobjects", nth=1, drop=drop)
    sync.receive()
    first = await sync.apply()
    assert first.retried > 0
    sync.world.fault("salesforce", method="POST", path="composite/sobjects", nth=2, drop=drop)
    sync.world.fault("slack", path="chat.postMessage", nth=1, drop=drop)
    for _ in range(4):
        sync.world.pass_time(minutes=5)
        await sync.apply()
    assert heard(sync) == (1, 1, 1)
    assert sync.parked() == {}


async def test_what_nobody_must_hear_of_does_not_wait_for_the_signals(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_payment(sync)
    quiet = sync.invoice(sync.customer())
    ended: list[str] = []

    async def breaks(company: Any, batch: Any, count: int) -> None:
        ended.extend(row.object_id for row in sync.rows() if row.state == "done")
        raise Unavailable("Salesforce is away.")

    with monkeypatch.context() as away:
        away.setattr(flow, "raise_signals", breaks)
        summary = await sync.bring()
    assert quiet in ended
    waiting = {row.type for row in sync.rows() if row.state == "retry"}
    assert "invoice.payment_failed" in waiting
    assert summary.done == len(ended)
    assert summary.done + summary.retried + summary.ignored == summary.events == len(sync.rows())
    sync.world.pass_time(minutes=5)
    again = await sync.apply()
    assert (again.events, again.parked) == (summary.retried, ())
    assert heard(sync) == (1, 1, 1)


async def test_slack_that_refuses_parks_the_event_alone(sync: Sync) -> None:
    failed_payment(sync)
    sync.world.fault(
        "slack", path="chat.postMessage", status=200, response={"ok": False, "error": "channel_not_found"}
    )
    summary = await sync.bring()
    assert {one.code for one in summary.parked} == {"channel_not_found"}
    assert heard(sync) == (1, 1, 0)
    sync.world.no_faults()
    sync.replay()
    assert (await sync.apply()).parked == ()
    assert heard(sync) == (1, 1, 1)


async def test_many_alerts_are_few_messages(sync: Sync) -> None:
    for _ in range(7):
        customer = sync.customer(card=DECLINED)
        invoice = sync.invoice(customer, final=False)
        sync.stripe(f"invoices/{invoice}/finalize", auto_advance=True)
    sync.world.pass_time(hours=2)
    assert (await sync.bring()).parked == ()
    cases, tasks, messages = heard(sync)
    assert (cases, tasks) == (7, 7)
    assert 1 <= messages < 7


async def test_where_ladders_climb_it_is_history_on_the_timeline(sync: Sync) -> None:
    await set_dunning(enabled=True)
    customer, invoice = failed_payment(sync)
    sent = sync.invoice(sync.customer(), collection_method="send_invoice", days_until_due=1)
    sync.world.pass_time(days=2)
    events = sync.fresh()
    assert {"invoice.payment_failed", "invoice.overdue"} <= {event.type for event in events}
    sync.receive(thrice(events))
    assert (await sync.apply()).parked == ()
    assert heard(sync) == (0, 0, 0)
    told = {one["O2C_Key__c"]: one for one in sync.records("Task")}
    assert len(told) == len(sync.records("Task"))
    assert f"o2c:signal:overdue:{sent}:activity" in told
    first = told[f"o2c:signal:payment_failed:{invoice}:1:activity"]
    assert first["WhatId"] == sync.account_of(customer)["Id"]
    assert first["Subject"].startswith("Payment failed (attempt 1)")
    assert sync.account_of(customer)["Stripe_Payment_Health__c"] == "Failed"
    sync.replay()
    await sync.apply()
    assert len(sync.records("Task")) == len(told)
