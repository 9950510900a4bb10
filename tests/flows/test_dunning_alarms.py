"""Alarms: set, moved, taken back; lost with Prefect's database and set again; too many at once, and stale ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from order_to_cash.domain.records import Environment
from order_to_cash.gateways import clock
from order_to_cash.gateways.clock import SystemClock
from tasks import dunning_alarms
from tasks.dunning_alarms import TAG, arm, check, relieve_crowd
from tasks.dunning_claims import claim_due, is_any_due
from tests.flows.alarm_world import Chasing, chasing
from tests.world import World

pytestmark = pytest.mark.prefect
TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
async def chase(books: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chasing]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(dunning_alarms, "_BEING_SET", timedelta(0))
    books.clock.set(TUESDAY)
    async with chasing(books) as made:
        yield made


async def test_the_next_step_lies_in_prefect_where_people_see_it(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    ladder = chase.ladder(invoice)
    (alarm,) = await chase.alarms(invoice)
    assert ladder.alarm_run_id == str(alarm.id)
    assert ladder.alarm_generation == ladder.generation
    number = chase.sync.get(f"invoices/{invoice}")["number"]
    assert alarm.name == f"{ladder.subject.account_name} · {number} · customer mail"
    assert ladder.subject.account_name.startswith("Company")
    assert {"dunning", TAG, f"invoice:{invoice}"} <= set(alarm.tags)
    assert alarm.parameters == {"invoice": invoice, "generation": ladder.generation, "company": "o2c"}
    assert alarm.expected_start_time is not None
    rings_at = chase.rings_at(ladder)
    assert abs(alarm.expected_start_time.timestamp() - rings_at.timestamp()) < 30
    assert await arm(chase.company) == 0
    assert len(await chase.alarms(invoice, waiting=False)) == 1


async def test_a_step_that_moves_has_another_alarm_and_the_old_one_wakes_nobody(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    before = chase.ladder(invoice)
    chase.world.pass_time(hours=22)  # 24 hours after the failure
    await chase.take()
    after = chase.ladder(invoice)
    assert [step.key for step in after.steps] == ["first-failure", "customer-mail"]
    assert after.alarm_run_id != before.alarm_run_id
    assert await chase.cancelled(before.alarm_run_id)
    (alarm,) = await chase.alarms(invoice)
    assert str(alarm.id) == after.alarm_run_id
    effects = len(chase.sync.writes())
    message, name, summary = await chase.rung(invoice, before.generation)
    assert message.startswith("Nothing to do: the ladder has moved on; its next step is 2027-03-0")
    assert name.endswith("nothing to do")
    assert summary is not None
    assert summary.ladders == 0
    assert len(chase.sync.writes()) == effects


async def test_paid_takes_the_alarm_back_and_a_worker_that_wakes_says_so(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    ladder = chase.ladder(invoice)
    chase.pay(invoice)
    await chase.look()
    assert await chase.cancelled(ladder.alarm_run_id)
    assert await chase.alarms(invoice) == []
    message, _, _ = await chase.rung(invoice, ladder.generation)
    assert message == "Nothing to do: the ladder ended (paid)."
    message, _, _ = await chase.rung("in_unknown", 1)
    assert message == "Nothing to do: there is no ladder for this invoice."


async def test_an_alarm_that_rings_takes_its_step_and_sets_the_next(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    ladder = chase.ladder(invoice)
    chase.world.pass_time(hours=22)
    message, _, _ = await chase.rung(invoice, ladder.generation)
    assert message == "1 ladder: 1 step taken"
    after = chase.ladder(invoice)
    assert [step.key for step in after.steps] == ["first-failure", "customer-mail"]
    assert after.steps[-1].run_id
    assert [str(one.id) for one in await chase.alarms(invoice)] == [after.alarm_run_id]


async def test_an_empty_prefect_database_is_filled_again(chase: Chasing) -> None:
    invoices = [chase.failed() for _ in range(2)]
    await chase.look()
    lost = chase.ladder(invoices[0]).alarm_run_id
    async with get_client() as client:
        await client.delete_flow_run(UUID(lost))
    assert await check(chase.company) == (1, 0)
    assert await arm(chase.company) == 1
    for invoice in invoices:
        (alarm,) = await chase.alarms(invoice)
        assert chase.ladder(invoice).alarm_run_id == str(alarm.id)
    assert chase.ladder(invoices[0]).alarm_run_id != lost
    assert await check(chase.company) == (0, 0)


async def test_an_alarm_that_a_person_cancelled_is_set_once_more(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    cancelled = chase.ladder(invoice).alarm_run_id
    async with get_client() as client:
        await client.set_flow_run_state(UUID(cancelled), Cancelled())
    assert await check(chase.company) == (1, 0)
    assert await arm(chase.company) == 1
    assert chase.ladder(invoice).alarm_run_id != cancelled
    assert len(await chase.alarms(invoice)) == 1


async def test_an_alarm_of_no_ladder_is_taken_back(chase: Chasing) -> None:
    """As after the ledger was restored from before the ladder was opened."""
    invoice = chase.failed()
    await chase.look()
    alarm = chase.ladder(invoice).alarm_run_id
    chase.company.ledger.ladders.alarms_gone([alarm])
    assert await check(chase.company) == (0, 1)
    assert await chase.cancelled(alarm)
    assert await arm(chase.company) == 1
    assert len(await chase.alarms(invoice)) == 1


async def test_a_crowd_is_taken_from_its_alarms_and_done_in_one_process(chase: Chasing) -> None:
    customers = [chase.sync.customer(card="pm_card_chargeCustomerFail") for _ in range(6)]
    invoices = [chase.sync.invoice(customer, final=False) for customer in customers]
    for invoice in invoices:
        chase.sync.stripe(f"invoices/{invoice}/finalize", auto_advance=True)
    await chase.look()
    assert [len(await chase.alarms(invoice)) for invoice in invoices] == [1] * 6
    assert await relieve_crowd(chase.company) == 0
    chase.world.pass_time(hours=23, minutes=55)
    chase.company.environment = Environment.TEST  # where alarms are waited for
    assert not await is_any_due(chase.company)
    assert await relieve_crowd(chase.company) == 6
    assert [len(await chase.alarms(invoice)) for invoice in invoices] == [0] * 6
    assert await arm(chase.company) == 0, "they are not set again"
    chase.world.pass_time(minutes=6)
    assert await is_any_due(chase.company)
    claims = await claim_due(chase.company)
    assert {claim.ladder.invoice_id for claim in claims} == set(invoices)


async def test_a_ladder_with_an_alarm_is_left_to_it_for_a_minute(chase: Chasing) -> None:
    invoice = chase.failed()
    await chase.look()
    due = chase.ladder(invoice).due_at
    assert due is not None
    chase.company.environment = Environment.TEST
    chase.world.clock.set(due + timedelta(seconds=30))
    assert not await is_any_due(chase.company)
    assert await claim_due(chase.company) == []
    chase.world.clock.set(due + timedelta(seconds=61))
    assert await is_any_due(chase.company)
    claims = await claim_due(chase.company)
    assert [claim.ladder.invoice_id for claim in claims] == [invoice]


async def test_a_late_answer_of_prefect_makes_no_second_alarm(chase: Chasing) -> None:
    """Killed after the run was made and before the ledger knew: the same key gives the same run."""
    invoice = chase.failed()
    await chase.look()
    alarm = chase.ladder(invoice).alarm_run_id
    chase.company.ledger.ladders.alarms_gone([alarm])
    assert await arm(chase.company) == 1
    assert chase.ladder(invoice).alarm_run_id == alarm
    assert SystemClock().now() < chase.rings_at(chase.ladder(invoice))
