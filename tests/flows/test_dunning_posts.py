"""Slack and ladders: a thread each, shared messages for many, each step of each ladder told exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from tests.flows.steps_world import Steps, policy, steps_of
from tests.world import World

MANY = 23


@pytest.fixture
async def steps(world: World) -> AsyncIterator[Steps]:
    async with steps_of(world) as made:
        yield made


def many(steps: Steps, count: int = MANY) -> dict[str, str]:
    """Invoice → the name of its Account; their ladders are open."""
    customers = {}
    for number in range(count):
        name = f"Company no. {number:03d}"
        customer = steps.facts.sync.customer(known=False, card="pm_card_chargeCustomerFail")
        steps.world.account(Stripe_Customer_Id__c=customer, Name=name)
        invoice = steps.facts.sync.invoice(customer, final=False)
        steps.facts.sync.stripe(f"invoices/{invoice}/finalize", auto_advance=True)
        customers[invoice] = name
    steps.world.pass_time(hours=2)
    steps.facts.open(*customers, policy=policy("slack"))
    return customers


def named(steps: Steps) -> Counter[str]:
    """How often the channel shows each Account."""
    shown = [str(post["blocks"]) for post in steps.posts()]
    return Counter(
        name for text in shown for name in (f"Company no. {n:03d}" for n in range(MANY)) if name in text
    )


async def test_many_ladders_share_messages(steps: Steps) -> None:
    invoices = many(steps)
    outcomes = await steps.take("one", *invoices)
    assert not any(one.error or one.note for some in outcomes.values() for one in some)
    assert len(steps.posts()) == 2
    assert steps.posts()[0]["text"] == "20 ladders: Look at it (20)"
    assert len(steps.world.calls("slack", path="history")) == 1
    assert named(steps) == Counter(invoices.values())


@pytest.mark.parametrize("between", ["killed", "ledger emptied"])
async def test_each_is_told_once_though_the_run_is_repeated(steps: Steps, between: str) -> None:
    invoices = many(steps)
    steps.world.fault("slack", path="chat.postMessage", nth=[2, 3], drop="after")
    for run in ("run-1", "run-2", "run-3"):
        await steps.take("one", *invoices, run_id=run, finish=False)
        if between == "killed":
            steps.expire_leases()
        else:
            steps.forget_effects()
    assert named(steps) == Counter(invoices.values())


async def test_those_that_were_told_alone_are_left_out_of_what_many_share(steps: Steps) -> None:
    invoices = many(steps)
    await steps.take("one", *list(invoices)[:3], finish=False)
    assert len(steps.posts()) == 3
    await steps.take("one", *invoices, run_id="run-2")
    assert named(steps) == Counter(invoices.values())


async def test_slack_down_is_not_waited_for_by_each_message(steps: Steps) -> None:
    invoices = many(steps)
    steps.world.fault("slack", path="chat.postMessage", status=503)
    outcomes = await steps.take("one", *invoices)
    assert {one.note for some in outcomes.values() for one in some} == {"slack: outcome_unknown"}
    assert (
        len(steps.world.calls("slack", path="chat.postMessage")) == 2
    )  # the gateway's two tries of the first
    assert len(steps.records("Task")) == MANY


async def test_many_that_end_share_messages_too(steps: Steps) -> None:
    invoices = many(steps)
    await steps.take("one", *invoices)
    steps.world.forget_calls()
    assert set((await steps.end(EndReason.PAID, *invoices)).values()) == {None}
    assert steps.posts()[0]["text"] == "20 ladders: Paid (20)"
    assert named(steps) == Counter(invoices.values())


async def test_later_steps_answer_in_the_thread(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack"))
    await steps.take("one", invoice)
    await steps.take("later", invoice)
    first, second = steps.posts()
    assert "thread_ts" not in first
    assert second["thread_ts"] == steps.ts_of(first)


async def test_an_executive_alert_stands_in_the_thread_and_in_the_channel(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice)
    await steps.take("first-failure", invoice)
    for run in ("run-1", "run-2"):
        await steps.take("executive", invoice, run_id=run, finish=run == "run-2")
        steps.forget_effects()
    first, alert = steps.posts()
    assert alert["thread_ts"] == steps.ts_of(first)
    assert alert["reply_broadcast"] is True


async def test_a_thread_is_found_again_when_the_ledger_lost_it(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack"))
    await steps.take("one", invoice)
    steps.forget_effects()
    await steps.take("later", invoice, finish=False)
    steps.forget_effects()
    await steps.take("later", invoice, run_id="run-2")
    first, second = steps.posts()
    assert second["thread_ts"] == steps.ts_of(first)


async def test_a_step_taken_days_late_is_not_told_again_with_a_ledger_of_before(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack"))
    await steps.take("one", invoice, finish=False)
    steps.forget_effects()
    steps.world.pass_time(days=3)
    await steps.take("one", invoice, run_id="run-2", late=timedelta(days=3))
    assert len(steps.posts()) == 1


async def test_a_thread_whose_beginning_was_deleted_is_begun_anew(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack"))
    await steps.take("one", invoice)
    gone = {"ok": False, "error": "thread_not_found"}
    steps.world.fault("slack", path="replies", status=200, response=gone)
    steps.world.fault("slack", path="chat.postMessage", nth=1, status=200, response=gone)
    outcomes = await steps.take("later", invoice)
    assert [one.note for one in outcomes[invoice]] == [""]
    assert "thread_ts" not in steps.posts()[-1]


async def test_a_history_that_may_not_be_read_keeps_nobody_from_hearing(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack"))
    steps.world.settings("slack", scopes="chat:write")
    outcomes = await steps.take("one", invoice)
    assert [one.note for one in outcomes[invoice]] == [""]
    assert len(steps.posts()) == 1


async def test_a_channel_of_its_own_has_a_thread_of_its_own(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack", {"kind": "slack", "channel": "#sales", "owner": "csm"}))
    await steps.take("one", invoice)
    await steps.end(EndReason.PAID, invoice)
    billing, sales, *answers = steps.posts()
    assert (billing["channel"], sales["channel"]) == ("#billing", "#sales")
    assert {one["channel"]: one["thread_ts"] for one in answers} == {
        "#billing": steps.ts_of(billing),
        "#sales": steps.ts_of(sales),
    }


async def test_without_slack_nothing_is_missing(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("slack", "task"))
    steps.company.slack = None
    outcomes = await steps.take("one", invoice)
    assert [(one.note, one.error) for one in outcomes[invoice]] == [("", None), ("", None)]
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}


@pytest.mark.prefect
async def test_slack_is_tried_again_within_the_run(books: World) -> None:
    from prefect import flow

    async with steps_of(books) as steps:
        _, invoice = steps.unpaid()
        steps.facts.open(invoice, policy=policy("slack"))
        books.fault("slack", path="chat.postMessage", status=503, times=3)  # the first two are one try's

        @flow
        async def climb() -> None:
            outcomes = await steps.take("one", invoice)
            assert [(one.note, one.error) for one in outcomes[invoice]] == [("", None)]

        await climb()
        assert len(steps.posts()) == 1
