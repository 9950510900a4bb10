"""A customer with several unpaid invoices, and contacts that do not come through at once: one mail a day, each told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from order_to_cash.domain.errors import RowLocked
from order_to_cash.gateways import clock
from order_to_cash.ledger.ladder_tables import LADDER
from tasks import dunning_acts, dunning_runs
from tasks.company import Company
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_steps import take_steps
from tests.flows.ladder_world import Climbing, NotedSteps
from tests.flows.mails_world import Mails, mails_of
from tests.world import World

TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
ADDRESS = {"Name": "Acme Ltd", "Billing_Email__c": "billing@acme.example"}


@pytest.fixture
async def mails(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mails]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(dunning_runs, "arm", no_alarms)
    world.clock.set(TUESDAY)
    world.settings("stripe", payment_retry_seconds=[])
    async with mails_of(world) as made:
        yield made


async def no_alarms(company: Company, limit: int = 0) -> int:
    del company
    return 0


def mail_tasks(mails: Mails) -> list[dict[str, Any]]:
    return [row for row in mails.records("Task") if str(row["O2C_Key__c"]).startswith("o2c:contact:email:")]


def told(mails: Mails, invoice: str) -> int:
    """In how many mails."""
    number = mails.facts.sync.get(f"invoices/{invoice}")["number"]
    return sum(number in message.body("plain") for message in mails.inbox())


async def test_what_is_due_later_on_the_day_of_a_mail_by_hand_is_told_as_well(mails: Mails) -> None:
    mails.fault(method="RCPT", status=550)
    customer, first = mails.unpaid(**ADDRESS)
    second = mails.again(customer)
    mails.facts.open(first, second)
    await mails.mail(first)
    await mails.mail(second, run_id="run-2")
    descriptions = "\n".join(row["Description"] for row in mail_tasks(mails))
    assert f"({first})" in descriptions
    assert f"({second})" in descriptions


async def test_what_is_due_later_on_the_day_of_a_mail_that_was_not_sent_is_sent(mails: Mails) -> None:
    customer, first = mails.unpaid(**ADDRESS)
    second = mails.again(customer)
    mails.facts.open(first, second)
    items = await mails.claimed("customer-mail", first)
    mails.pay(first)
    await mails.act(items)
    assert mails.inbox() == []
    await mails.mail(second, run_id="run-2")
    assert told(mails, second) == 1


async def test_a_mail_of_yesterday_and_one_of_today_are_one(mails: Mails) -> None:
    customer, first = mails.unpaid(**ADDRESS)
    second = mails.again(customer)
    mails.facts.open(first, second)
    mails.fault(method="DATA", nth=1, status=451)
    await mails.mail(first)
    assert mails.inbox() == []
    mails.world.pass_time(days=1)
    await mails.mail(first, second, run_id="run-2")
    assert len(mails.inbox()) == 1
    assert told(mails, first) == told(mails, second) == 1


async def test_a_contact_counts_though_the_rest_of_its_step_is_tried_again(
    mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail has left, the Case is not made yet, and another invoice of the customer falls due."""
    customer, first = mails.unpaid(**ADDRESS)
    climbing = Climbing(mails.facts, NotedSteps())
    mails.facts.open(first)

    async def locked(
        company: Company, items: Sequence[LadderItem], run_id: str
    ) -> dict[str, list[ActionOutcome]]:
        outcomes = await take_steps(company, items, run_id)
        cases = [one for one in outcomes.get(first, []) if one.action.kind == "case"]
        for one in cases:
            outcomes[first].remove(one)
            outcomes[first].append(replace(one, error=RowLocked("The Account is locked.")))
        return outcomes

    monkeypatch.setattr(dunning_acts, "take_steps", locked)
    await climbing.live(hours=23, minutes=30)
    assert told(mails, first) == 1
    second = mails.again(customer)
    mails.facts.open(second)
    began_before(mails, second, timedelta(hours=25))
    await climbing.live(hours=4)
    assert told(mails, second) == 0  # the customer was written to on this day
    await climbing.live(hours=24)
    assert told(mails, first) == told(mails, second) == 1
    assert len({message.at.date() for message in mails.inbox()}) == 2


def began_before(mails: Mails, invoice: str, ago: timedelta) -> None:
    """As a failure that nobody told of, and that the sweep found."""
    with mails.company.ledger.database.write() as connection:
        failed = LADDER.c.invoice_id == invoice
        connection.execute(
            update(LADDER).where(failed).values(first_failed_at=mails.company.clock.now() - ago)
        )
