"""Ladders move as far as they go now: in order, one step at a time, never after an end, and none holds up another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.errors import RecordRejected, Unavailable
from order_to_cash.gateways import clock
from order_to_cash.ledger.ladder_records import LadderStatus
from tasks import dunning_acts, dunning_alarms, dunning_runs
from tasks.company import Company
from tasks.dunning_alarms import arm
from tests.flows.ladder_world import Climbing, NotedSteps, climbing
from tests.world import World

TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
FIRST, MAIL, OUTREACH, LAST = "first-failure", "customer-mail", "csm-outreach", "executive"


@pytest.fixture
async def ladders(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Climbing]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    world.clock.set(TUESDAY)
    steps = NotedSteps()
    monkeypatch.setattr(dunning_acts, "take_steps", steps.take_steps)
    monkeypatch.setattr(dunning_acts, "end_ladders", steps.end_ladders)
    # Stripe gives up after its first attempt: nothing but the ladder moves.
    world.settings("stripe", payment_retry_seconds=[])
    monkeypatch.setattr(dunning_runs, "arm", no_alarms)
    async with climbing(world, steps) as made:
        yield made


async def no_alarms(company: Company, limit: int = 0) -> int:
    del company
    return 0


async def test_prefect_being_away_stops_no_ladder(ladders: Climbing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dunning_runs, "arm", arm)
    (invoice,) = ladders.failed()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # nobody answers there
        summary = await ladders.take()
    assert summary.in_words == "1 ladder: 1 step taken"
    assert ladders.steps.steps_of(invoice) == [FIRST]
    ladder = ladders.ladder(invoice)
    assert ladder.next_step == MAIL
    assert ladder.alarm_run_id == ""


async def test_prefect_that_cannot_even_be_asked_stops_no_ladder(
    ladders: Climbing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_client() -> PrefectClient:
        raise RuntimeError("the temporary server did not start")

    monkeypatch.setattr(dunning_runs, "arm", arm)
    monkeypatch.setattr(dunning_alarms, "get_client", no_client)
    (invoice,) = ladders.failed()
    assert (await ladders.take()).in_words == "1 ladder: 1 step taken"
    assert ladders.ladder(invoice).next_step == MAIL


async def test_two_weeks_in_seconds_each_step_once_and_in_order(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.live(days=16)
    assert ladders.steps.steps_of(invoice) == [FIRST, MAIL, OUTREACH, LAST]
    journal = ladders.journal(invoice)
    assert [(step.key, step.state) for step in journal] == [
        (key, StepState.DONE) for key in (FIRST, MAIL, OUTREACH, LAST)
    ]
    assert all(step.run_id == "run-1" for step in journal)
    assert [step.contacted_at is not None for step in journal] == [False, True, True, False]
    started = ladders.ladder(invoice).state.first_failed_at
    assert started is not None
    days = [(one.at - started).days for one in ladders.steps.took]
    assert days[0] == 0
    assert 1 <= days[1] <= 4
    assert 3 <= days[2] <= 7
    assert 9 <= days[3] <= 12
    ladder = ladders.ladder(invoice)
    assert ladder.status is LadderStatus.RESTING
    assert ladder.due_at is not None


async def test_paid_between_two_steps(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.live(hours=1)
    assert ladders.ladder(invoice).next_step == MAIL
    ladders.pay(invoice)
    ladders.company.ledger.ladders.wake(invoice_ids=[invoice])
    summary = await ladders.take()
    assert summary.in_words == "1 ladder: 1 ended (paid)"
    assert ladders.ladder(invoice).state.ended is EndReason.PAID
    assert ladders.steps.cleared == [(invoice, "paid")]
    await ladders.live(days=16)
    assert ladders.steps.steps_of(invoice) == [FIRST]
    assert ladders.steps.cleared == [(invoice, "paid")]


async def test_paid_while_the_first_step_is_done_nothing_follows(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    ladders.world.pass_time(days=7)  # the mail is due by then, and at this time of day
    ladders.steps.meanwhile = lambda: ladders.pay(invoice)
    summary = await ladders.take()
    assert ladders.steps.steps_of(invoice) == [FIRST]
    assert summary.in_words == "1 ladder: 1 step taken, 1 ended (paid)"


async def test_five_days_without_anybody_are_made_up_one_step_at_a_time(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.live(hours=1)
    ladders.world.pass_time(days=5)
    await ladders.live(days=4)
    assert ladders.steps.steps_of(invoice) == [FIRST, MAIL, OUTREACH]
    mailed, called = (one.at for one in ladders.steps.took[1:])
    assert called - mailed >= timedelta(hours=20)


async def test_what_fails_for_now_is_resumed_later_and_later(ladders: Climbing) -> None:
    good, bad = ladders.failed(2)
    ladders.steps.errors[bad] = [Unavailable("Salesforce answered 503.")] * 3
    summary = await ladders.take()
    assert summary.in_words == "2 ladders: 1 step taken, 1 tried again later (unavailable)"
    assert ladders.steps.steps_of(good) == [FIRST]
    waits = []
    for failures in (1, 2, 3):
        ladder = ladders.ladder(bad)
        assert (ladder.failures, ladder.code) == (failures, "unavailable")
        assert "503" in ladder.reason
        assert [(step.key, step.state) for step in ladder.steps] == [(FIRST, StepState.BEGUN)]
        assert ladder.due_at is not None
        wait = ladder.due_at - ladders.company.clock.now()
        waits.append(wait)
        ladders.world.pass_time(seconds=wait.total_seconds() - 5)
        assert (await ladders.take()).ladders == 0
        ladders.world.pass_time(seconds=10)
        await ladders.take()
    assert waits[0] < waits[1] < waits[2] < timedelta(minutes=6)
    ladder = ladders.ladder(bad)
    assert (ladder.failures, ladder.code, ladder.reason) == (0, "", "")
    assert ladders.steps.steps_of(bad) == [FIRST] * 4


async def test_an_end_that_cannot_be_cleared_away_is_tried_again(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.take()
    ladders.pay(invoice)
    ladders.steps.errors[invoice] = [Unavailable("Salesforce answered 503.")]
    ladders.company.ledger.ladders.wake(invoice_ids=[invoice])
    await ladders.take()
    assert ladders.ladder(invoice).state.ended is None
    ladders.world.pass_time(minutes=2)
    await ladders.take()
    assert ladders.ladder(invoice).state.ended is EndReason.PAID


async def test_one_that_breaks_stands_alone_in_the_end(ladders: Climbing) -> None:
    invoices = ladders.failed(7)
    ladders.steps.breaks = {invoices[3]}
    summary = await ladders.take()
    assert summary.broken
    assert [failure.invoice_id for failure in summary.failures] == [invoices[3]]
    for invoice in invoices:
        assert ladders.steps.steps_of(invoice) == ([] if invoice == invoices[3] else [FIRST])
    broken = ladders.ladder(invoices[3])
    assert (broken.code, broken.failures) == ("ladder_unforeseen", 1)
    assert broken.due_at is not None
    ladders.steps.breaks = set()
    ladders.world.pass_time(minutes=2)
    await ladders.take()
    assert ladders.steps.steps_of(invoices[3]) == [FIRST]


async def test_an_invoice_that_stripe_does_not_show_stops_no_other(ladders: Climbing) -> None:
    good, bad = ladders.failed(2)
    ladders.world.fault("stripe", method="GET", path=f"invoices/{bad}", status=500, times=100)
    await ladders.take()
    assert ladders.steps.steps_of(good) == [FIRST]
    assert ladders.steps.steps_of(bad) == []
    assert ladders.ladder(bad).failures == 1


async def test_a_permanent_error_of_one_ladder_is_told(ladders: Climbing) -> None:
    good, bad = ladders.failed(2)
    ladders.steps.errors[bad] = [RecordRejected("No.", code="no")]
    summary = await ladders.take()
    assert summary.broken
    assert "1 failed (no)" in summary.in_words
    assert ladders.steps.steps_of(good) == [FIRST]


async def test_several_invoices_of_one_customer_are_one_batch_and_one_contact(ladders: Climbing) -> None:
    invoices = ladders.of_one_customer(3)
    other = ladders.failed()
    await ladders.live(days=5)
    mails = [one for one in ladders.steps.took if one.step == MAIL and one.invoice in invoices]
    assert {one.invoice for one in mails} == set(invoices)
    assert len(mails) == 3
    assert len({one.batch for one in mails}) == 1, "one contact is made in one go"
    assert ladders.steps.steps_of(other[0])[:2] == [FIRST, MAIL]


async def test_held_until_a_person_resumes(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.take()
    ladders.company.ledger.ladders.hold(
        invoice_id=invoice, until=None, reason="Their bank is moving", by="Kim"
    )
    summary = await ladders.take()
    assert summary.in_words == "1 ladder: 1 held"
    assert ladders.ladder(invoice).status is LadderStatus.HELD
    ladders.world.pass_time(days=3)
    await ladders.live(hours=3)
    assert ladders.steps.steps_of(invoice) == [FIRST]
    assert ladders.company.ledger.ladders.resume(invoice_id=invoice, by="Kim")
    await ladders.live(days=3)
    assert ladders.steps.steps_of(invoice)[:2] == [FIRST, MAIL]


async def test_switched_off_nothing_is_chased_and_what_is_paid_still_ends(ladders: Climbing) -> None:
    paid, unpaid = ladders.failed(2)
    await ladders.take()
    ladders.company.dunning = None
    ladders.pay(paid)
    ladders.world.pass_time(days=9)
    await ladders.live(hours=3)
    assert ladders.steps.steps_of(unpaid) == [FIRST]
    assert ladders.ladder(unpaid).status is LadderStatus.HELD
    assert ladders.ladder(paid).state.ended is EndReason.PAID
    assert ladders.steps.cleared == [(paid, "paid")]


async def test_a_ladder_keeps_the_policy_that_it_began_with(ladders: Climbing) -> None:
    from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY
    from order_to_cash.domain.dunning.reading import read_policy

    (invoice,) = ladders.failed()
    await ladders.take()
    one_step = {**DEFAULT_POLICY["charged"], "steps": DEFAULT_POLICY["charged"]["steps"][:1]}
    ladders.company.dunning = read_policy({**DEFAULT_POLICY, "charged": one_step})
    await ladders.live(days=4)
    assert ladders.steps.steps_of(invoice)[:2] == [FIRST, MAIL]


async def test_another_process_that_took_over_is_left_alone(ladders: Climbing) -> None:
    mine, _ = ladders.failed(2)
    stolen: list[str] = []

    def steal() -> None:
        # Somebody let the process sleep for longer than its lease.
        if not stolen:
            ladders.world.pass_time(minutes=5)
            taken = ladders.company.ledger.ladders.claim("another", customers=1, invoice_ids=[mine])
            stolen.extend(claim.token for claim in taken)

    ladders.steps.meanwhile = steal
    summary = await ladders.take()
    assert stolen
    assert summary.lost == 1
    journal = ladders.journal(mine)
    assert [(step.key, step.state) for step in journal] == [(FIRST, StepState.BEGUN)]


async def test_a_ladder_that_is_woken_meanwhile_is_read_once_more(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()

    def wake() -> None:
        ladders.company.ledger.ladders.wake(invoice_ids=[invoice])

    ladders.steps.meanwhile = wake
    await ladders.take()
    ladder = ladders.ladder(invoice)
    assert ladder.due_at is not None
    assert ladder.due_at <= ladders.company.clock.now()
