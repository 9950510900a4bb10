"""A person at the terminal and a ladder that climbs: what is held stays put, what is resumed goes on, and it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from order_to_cash.cli.app import app
from order_to_cash.gateways import clock
from order_to_cash.ledger.ladder_records import LadderStatus
from tasks import dunning_acts, dunning_runs
from tasks.company import Company
from tests.flows.ladder_world import Climbing, NotedSteps, climbing
from tests.world import World

TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
FIRST, MAIL, OUTREACH = "first-failure", "customer-mail", "csm-outreach"


@pytest.fixture
async def ladders(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Climbing]:
    async def no_alarms(company: Company, limit: int = 0) -> int:
        del company
        return 0

    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    world.clock.set(TUESDAY)
    steps = NotedSteps()
    monkeypatch.setattr(dunning_acts, "take_steps", steps.take_steps)
    monkeypatch.setattr(dunning_acts, "end_ladders", steps.end_ladders)
    world.settings("stripe", payment_retry_seconds=[])
    monkeypatch.setattr(dunning_runs, "arm", no_alarms)
    async with climbing(world, steps) as made:
        yield made


def o2c(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def said(*words: str) -> str:
    done = o2c("ladder", *words)
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


async def test_held_at_the_terminal_and_resumed_there(ladders: Climbing) -> None:
    (invoice,) = ladders.failed()
    await ladders.take()
    shown = said("show", invoice)
    assert f"{invoice} " in shown
    assert "next customer-mail (Ask for another payment method)" in shown
    assert "24h after the first failure" in shown
    assert "done first-failure (Payment failed)" in shown
    assert "Held until resumed: 1 ladder." in said("hold", invoice, "--reason", "waits for a PO")
    await ladders.live(days=3)
    assert ladders.ladder(invoice).status is LadderStatus.HELD
    assert ladders.steps.steps_of(invoice) == [FIRST]
    assert "waits for a PO" in said("list", "--held")
    assert "this invoice until resumed, said by" in said("show", invoice)
    assert "Resumed: 1 ladder." in said("resume", invoice)
    await ladders.take()
    assert ladders.steps.steps_of(invoice) == [FIRST, MAIL]
    assert said("list", "--held").startswith("No ladder matches.")


async def test_a_snooze_ends_by_itself_and_a_payment_ends_a_held_ladder(ladders: Climbing) -> None:
    snoozed, held = ladders.failed(2)
    await ladders.take()
    said("snooze", snoozed, "--for", "5d")
    customer = ladders.ladder(held).customer_id
    said("hold", "--customer", customer)
    await ladders.live(days=4)
    assert ladders.steps.steps_of(snoozed) == [FIRST]
    ladders.pay(held)
    await ladders.live(days=2)
    assert ladders.steps.steps_of(snoozed)[:2] == [FIRST, MAIL]
    assert ladders.steps.steps_of(held) == [FIRST]
    assert "ended: paid" in said("list", "--ended")
    ended = o2c("ladder", "resume", held)
    assert ended.exit_code == 1
    assert "has ended: paid" in ended.output


async def test_a_customer_who_was_held_beforehand_is_never_written_to(ladders: Climbing) -> None:
    first, second = ladders.of_one_customer(2)
    customer = ladders.ladder(first).customer_id
    assert "2 ladders" in said("hold", "--customer", customer)
    await ladders.live(days=4)
    assert ladders.steps.took == []
    assert {ladders.ladder(one).status for one in (first, second)} == {LadderStatus.HELD}
    said("resume", "--customer", customer)
    await ladders.take()
    assert ladders.steps.steps_of(first)[0] == ladders.steps.steps_of(second)[0] == FIRST
