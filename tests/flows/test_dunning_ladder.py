"""A failed payment is chased over the wire: events open and end ladders, the clock moves them, the sweep mends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.dunning_ladder import dunning_ladder
from flows.sweep_ladders import sweep_ladders
from order_to_cash.cli import ladder_watch
from order_to_cash.cli.ladder_watch import LadderWatch
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.dunning.pages import timeline_key
from order_to_cash.gateways import clock
from order_to_cash.ledger.ladder_records import LadderStatus
from tasks.dunning_hints import BEGAN
from tests.flows.alarm_world import DECLINED, Chasing, chasing
from tests.world import World

pytestmark = pytest.mark.prefect
TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
FIRST, MAIL, OUTREACH, LAST = "first-failure", "customer-mail", "csm-outreach", "executive"


@pytest.fixture
async def chase(books: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chasing]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    books.clock.set(TUESDAY)
    async with chasing(books) as made:
        yield made


def open_tasks(chase: Chasing) -> list[dict[str, Any]]:
    return [one for one in chase.sync.records("Task") if one["Status"] == "Not Started"]


def mails(chase: Chasing) -> list[str]:
    """Ids of what the mail server took."""
    return chase.world.effects("mail", "message", "delivered")


async def page(invoice: str) -> str:
    """The newest timeline."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[timeline_key(invoice)]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=wanted, limit=200)
    newest = max(found, key=lambda one: str(one.created))
    return str(newest.data)


async def test_three_days_in_seconds_and_paid_in_the_end(chase: Chasing) -> None:
    invoice = chase.failed()
    customer = chase.ladder_customer(invoice)
    await chase.wait_for(hours=80)
    ladder = chase.ladder(invoice)
    assert [(step.key, step.state) for step in ladder.steps] == [
        (key, StepState.DONE) for key in (FIRST, MAIL, OUTREACH)
    ]
    assert ladder.next_step == LAST
    account = chase.sync.account_of(customer)
    assert account["Stripe_Payment_Health__c"] == "Failed"
    assert len(chase.sync.records("Case")) == 1
    assert len(open_tasks(chase)) == 2, "to look at it, and to call"
    assert len(mails(chase)) == 1
    shown = await page(invoice)
    assert "**Next: Before Stripe cancels, 2027-03-" in shown
    assert shown.count("| done") == 3
    assert "customer contacted" in shown
    chase.pay(invoice)
    await chase.look()
    ladder = chase.ladder(invoice)
    assert ladder.state.ended is EndReason.PAID
    assert open_tasks(chase) == []
    assert [one["Status"] for one in chase.sync.records("Case")] == ["Closed"]
    assert chase.sync.account_of(customer)["Stripe_Payment_Health__c"] != "Failed"
    assert "paid" in await page(invoice)
    chase.world.forget_calls()
    await chase.wait_for(days=14)
    assert mails(chase) == []
    assert chase.sync.writes() == []


async def test_paid_before_anybody_hears_of_the_failure_opens_no_ladder(chase: Chasing) -> None:
    invoice = chase.failed()
    chase.pay(invoice)
    await chase.look()
    assert chase.company.ledger.ladders.get(invoice) is None
    assert mails(chase) == []


async def test_paid_and_the_event_is_still_on_its_way(chase: Chasing) -> None:
    """The mail is due, nobody has told us that it is paid: the invoice is read before anything is done."""
    invoice = chase.failed()
    await chase.look()
    chase.world.pass_time(hours=23)
    chase.pay(invoice)
    await chase.take()
    assert chase.ladder(invoice).state.ended is EndReason.PAID
    assert mails(chase) == []
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST]


async def test_replayed_events_open_nothing_again(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    first = chase.ladder(invoice)
    chase.pay(invoice)
    await chase.look()
    chase.sync.replay()
    await chase.look()
    assert chase.ladder(invoice).state.opened_at == first.state.opened_at
    assert chase.ladder(invoice).state.ended is EndReason.PAID


async def test_five_days_without_a_drain_are_made_up_by_the_sweep_one_step_at_a_time(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    chase.world.clock.set(datetime(2027, 3, 8, 10, 0, tzinfo=UTC))  # the Monday after
    state = await sweep_ladders(return_state=True)
    assert "1 ladder: 1 step taken" in (state.message or "")
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST, MAIL]
    chase.world.clock.set(datetime(2027, 3, 9, 10, 0, tzinfo=UTC))
    state = await sweep_ladders(return_state=True)
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST, MAIL, OUTREACH]
    assert len(mails(chase)) == 1
    assert len(await chase.alarms(invoice)) == 1


async def test_the_sweep_opens_what_no_event_told_of(chase: Chasing) -> None:
    failed = chase.failed()
    sync = chase.sync
    customer = sync.customer()
    sent = sync.invoice(customer, collection_method="send_invoice", days_until_due=1, final=False)
    sync.stripe(f"invoices/{sent}/finalize")
    later = sync.invoice(customer, collection_method="send_invoice", days_until_due=30, final=False)
    sync.stripe(f"invoices/{later}/finalize")
    untried = sync.invoice(sync.customer(card=DECLINED))
    chase.world.pass_time(days=2)
    await sync.bring()  # Salesforce hears of all, as if the events of failures had been lost
    with_ladder = {one.invoice_id for one in chase.ladders()}
    chase.company.ledger.watermarks.set(BEGAN, chase.company.clock.now())
    assert failed in with_ladder
    assert untried not in with_ladder
    state = await sweep_ladders(return_state=True)
    ladders = {one.invoice_id for one in chase.ladders()}
    assert {failed, sent} <= ladders
    assert not {later, untried} & ladders
    assert state.is_completed(), state.message
    again = await sweep_ladders(return_state=True)
    assert again.message == "nothing was missing"


async def test_history_is_left_alone(chase: Chasing) -> None:
    """Switched on a year late, nobody is written to about what Stripe gave up long ago."""
    old = chase.failed()
    chase.sync.fresh()  # as if received before there were ladders
    chase.world.pass_time(days=60)
    fresh = chase.failed()
    await sweep_ladders(return_state=True)
    assert {one.invoice_id for one in chase.ladders()} == {fresh}
    assert old != fresh


async def test_holds_and_write_offs_of_people_are_seen_by_the_sweep(chase: Chasing) -> None:
    held, given_up = chase.failed(), chase.failed()
    await chase.look()
    account = chase.sync.account_of(chase.ladder_customer(held))
    chase.world.update("Account", account["Id"], Dunning_Hold__c=True)
    record = chase.sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=given_up)
    chase.world.update("Stripe_Invoice__c", record["Id"], Written_Off__c=True)
    await sweep_ladders(return_state=True)
    assert chase.ladder(held).status is LadderStatus.HELD
    assert chase.ladder(given_up).state.ended is EndReason.WRITTEN_OFF
    chase.world.update("Account", account["Id"], Dunning_Hold__c=False)
    await sweep_ladders(return_state=True)
    assert chase.ladder(held).status is LadderStatus.WAITING
    assert len(await chase.alarms(held)) == 1


async def test_the_watch_takes_what_is_woken_by_itself(
    chase: Chasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder_watch, "POLL_SECONDS", 0.05)
    stop = asyncio.Event()
    watch = LadderWatch(chase.company, stop)
    watching = asyncio.create_task(watch.run())
    invoice = chase.failed()
    await chase.sync.bring()
    async with asyncio.timeout(60):
        while chase.ladder(invoice).due_at is None or not chase.ladder(invoice).steps:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while watch.ladders < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        stop.set()
        await watching
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST]


async def test_without_prefect_ladders_are_taken_all_the_same(
    chase: Chasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(**_: Any) -> None:
        raise ConnectionError("All connection attempts failed")

    invoice = chase.failed()
    await chase.sync.bring()
    monkeypatch.setattr("flows.dunning_ladder.dunning_ladder", away)
    await chase.take()
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST]
    assert len(open_tasks(chase)) == 1


async def test_a_person_may_look_at_one_invoice_by_the_form(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    state = await dunning_ladder(invoice, return_state=True)
    assert state.message == "1 ladder: nothing to do yet"
    state = await dunning_ladder(return_state=True)
    assert state.message == "Nothing to do: no ladder is due."


async def test_many_are_one_run_and_few_tasks(chase: Chasing) -> None:
    customers = [chase.sync.customer(card=DECLINED) for _ in range(12)]
    for customer in customers:
        made = chase.sync.invoice(customer, final=False)
        chase.sync.stripe(f"invoices/{made}/finalize", auto_advance=True)
    await chase.sync.bring()
    state = await dunning_ladder(return_state=True)
    assert state.message == "12 ladders: 12 steps taken"
    run = await chase.run(str(state.state_details.flow_run_id))
    async with get_client() as client:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        tasks = await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    assert len(tasks) < 12
