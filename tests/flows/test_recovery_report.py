"""The recovery report: the ledger's ladders as figures, and Slack told once a day, by Slack's own journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from flows.recovery_report import recovery_report
from order_to_cash.cli.wiring import open_ledger
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStatus, NewLadder, Settled, Subject
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tasks.recovery import KEY, Report
from tests.world import World

POLICY = default_policy()


@pytest.fixture
def opened(books: World) -> Iterator[Ledger]:
    with open_ledger(load_settings(), books.clock) as found:
        found.ladders.keep_policy(POLICY.version, POLICY.model_dump(mode="json"), POLICY.name)
        yield found


def began(world: World, opened: Ledger, invoice: str, amount: Money | None, *steps: str) -> ClaimedLadder:
    """A ladder that was read once, with these steps taken; claimed."""
    now = world.clock.now()
    new = NewLadder(
        invoice_id=invoice,
        customer_id=f"cus_{invoice}",
        collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
        policy_version=POLICY.version,
        due_at=now,
        first_failed_at=now,
    )
    assert opened.ladders.open([new]) == {invoice}
    claimed = claim(opened, invoice)
    for key in steps:
        opened.ladders.begin_step(claimed, key, "run-1")
        opened.ladders.finish_step(claimed, key, state=StepState.DONE)
    slept = Settled(
        claim=claimed,
        status=LadderStatus.WAITING,
        next_step="",
        due_at=now + timedelta(days=1),
        subject=Subject(amount_remaining=amount),
    )
    assert opened.ladders.settle([slept]) == {}
    return claim(opened, invoice)


def claim(opened: Ledger, invoice: str) -> ClaimedLadder:
    (claimed,) = opened.ladders.claim("test", customers=1, invoice_ids={invoice}, lease_seconds=10**6)
    return claimed


async def run(**parameters: Any) -> tuple[Any, Report]:
    state = await recovery_report(return_state=True, **parameters)
    report = await state.aresult(raise_on_failure=False)
    assert isinstance(report, Report), state
    return state, report


def told(world: World) -> list[str]:
    return [text for text in world.slack_texts() if text.startswith("Recovery report")]


@pytest.mark.prefect
async def test_what_the_ledger_knows_is_counted_and_told_once_a_day(books: World, opened: Ledger) -> None:
    paid = began(books, opened, "in_paid", Money(10_000, "usd"), "first-failure", "customer-mail")
    lost = began(books, opened, "in_lost", Money(5_000, "eur"), "first-failure")
    began(books, opened, "in_open", Money(700, "usd"), "first-failure")
    began(books, opened, "in_unread", None)
    books.pass_time(days=2)
    opened.ladders.end([(paid, EndReason.PAID), (lost, EndReason.SUBSCRIPTION_CANCELED)])
    opened.ladders.hold(invoice_id="in_open", until=None, reason="", by="ada")
    books.pass_time(minutes=1)
    state, report = await run(post=True)
    figures = report.figures
    assert (figures.open.count, figures.open.amounts, figures.open.unknown) == (2, (Money(700, "usd"),), 1)
    assert (figures.held, figures.opened) == (1, 4)
    assert figures.recovered.amounts == (Money(10_000, "usd"),)
    assert list(figures.by_step) == ["customer-mail"]
    assert figures.churned.amounts == (Money(5_000, "eur"),)
    assert figures.median is not None
    assert timedelta(days=2) <= figures.median < timedelta(days=2, minutes=5)
    assert state.message == "2 open, 1 recovered, 1 lost; Slack was told"
    assert len(told(books)) == 1
    assert "2 open ($7.00 USD, 1 of unknown amount), 1 recovered in 30 d" in told(books)[0]
    (doubt,) = report.doubts
    assert doubt.startswith("in_lost: The subscription ended after 2 d; the policy says 14 days")
    shown = await artifact()
    assert "## Stripe did other than the policy says" in shown
    assert "| Ask for another payment method | 1 | 1 | $100.00 USD |" in shown
    assert "- **Recovery rate**: 50 % of what was recovered or lost" in shown
    state, _ = await run(post=True)
    assert "Slack was told" not in str(state.message)
    assert len(told(books)) == 1, "once a day"
    books.pass_time(days=1)
    await run(post=True)
    assert len(told(books)) == 2, "and each day"
    _, later = await run(days=1)
    assert later.figures.recovered.count == 0
    assert len(told(books)) == 2, "the form alone tells nobody"


async def artifact() -> str:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    async with get_client() as client:
        (newest,) = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[KEY])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    return str(newest.data)


@pytest.mark.prefect
@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_lost_answer_of_slack_posts_nothing_twice(books: World, opened: Ledger, drop: str) -> None:
    began(books, opened, "in_open", Money(700, "usd"))
    books.fault("slack", path="chat.postMessage", drop=drop, times=1)
    await run(post=True)
    assert len(told(books)) == 1
    await run(post=True)
    assert len(told(books)) == 1


@pytest.mark.prefect
async def test_where_there_is_nothing_to_tell_slack_is_left_in_peace(books: World) -> None:
    state, report = await run(post=True)
    assert report.empty
    assert state.message == "0 open, 0 recovered, 0 lost"
    assert told(books) == []
    assert "Nothing was recovered in this period." in await artifact()
