"""Books that were restored: a ledger or a Prefect database from before does nothing twice, and loses no ladder.

Salesforce, Slack and the mail server know what was done since; they are asked before anything is done again.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from flows.sweep_ladders import sweep_ladders
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.gateways import clock
from order_to_cash.ledger.ladder_records import LadderStatus
from tasks import dunning_alarms
from tasks.company import kept_open
from tests.flows.alarm_world import Chasing, chasing, deployed
from tests.world import World

pytestmark = pytest.mark.prefect
TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
FIRST, MAIL, OUTREACH, LAST = "first-failure", "customer-mail", "csm-outreach", "executive"


@pytest.fixture
def world_on_tuesday(books: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(dunning_alarms, "_BEING_SET", timedelta(0))
    books.clock.set(TUESDAY)
    return books


@pytest.fixture
async def chase(world_on_tuesday: World) -> AsyncIterator[Chasing]:
    async with chasing(world_on_tuesday) as made:
        yield made


def back_up(world: World) -> None:
    """As a night's copy of the ledger."""
    with (
        closing(sqlite3.connect(world.home / "ledger.db")) as ledger,
        closing(sqlite3.connect(world.home / "backup.db")) as backup,
    ):
        ledger.backup(backup)


@asynccontextmanager
async def restored(chase: Chasing) -> AsyncIterator[Chasing]:
    """The copy in place of the ledger, which nobody has open, and a company of another process on it."""
    home = chase.world.home
    for suffix in ("-wal", "-shm"):
        (home / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(home / "backup.db", home / "ledger.db")
    async with kept_open("o2c") as company:
        yield Chasing(chase.sync, company)


def shown(chase: Chasing) -> dict[str, Any]:
    """All that people see: Tasks, Cases, Accounts, mails, and what Slack was told how often."""
    slack = chase.world.services["slack"].journal.entries
    posts = [one.body for one in slack if one.path.endswith("chat.postMessage") and one.effects]
    records = {
        kind: sorted(
            (str(row["O2C_Key__c"]), str(row["Subject"]), str(row["Status"]), str(row["Description"]))
            for row in chase.sync.records(kind)
        )
        for kind in ("Task", "Case")
    }
    accounts = sorted(
        (str(row["Id"]), str(row["Stripe_Payment_Health__c"]), str(row["Stripe_Account_Status__c"]))
        for row in chase.sync.records("Account")
    )
    told = Counter(str(post["metadata"]["event_payload"]["key"]) for post in posts)
    mails = Counter(message.subject for message in chase.world.services["mail"].messages)
    return {**records, "Account": accounts, "mails": mails, "told": told}


def assert_once(seen: dict[str, Any]) -> None:
    for kind in ("Task", "Case"):
        keys = [key for key, *_ in seen[kind]]
        assert len(keys) == len(set(keys)), keys
    assert set(seen["told"].values()) <= {1}, seen["told"]
    assert set(seen["mails"].values()) <= {1}, seen["mails"]


async def test_a_ledger_of_before_the_ladder_opens_it_again_and_finds_what_was_done(
    world_on_tuesday: World,
) -> None:
    async with chasing(world_on_tuesday) as chase:
        first, second = chase.failed(), chase.failed()
        back_up(chase.world)
        await chase.wait_for(hours=80)
        steps = [step.key for step in chase.ladder(first).steps]
        assert steps == [FIRST, MAIL, OUTREACH]
        before = shown(chase)
        failed_at = chase.ladder(first).state.first_failed_at
    assert_once(before)
    assert len(before["mails"]) == 2
    async with restored(chase) as chase:
        assert chase.ladders() == []
        chase.world.forget_calls()
        state = await sweep_ladders(return_state=True)
        assert "2 ladders opened" in str(state.message)
        await chase.wait_for(days=4)  # over a weekend
        for invoice in (first, second):
            ladder = chase.ladder(invoice)
            assert [step.key for step in ladder.steps] == steps
            assert {step.state for step in ladder.steps} == {StepState.DONE}
            assert ladder.next_step == LAST
        assert chase.ladder(first).state.first_failed_at == failed_at
        # Journals were emptied: what is counted here was made after the ledger was restored.
        assert chase.world.effects("salesforce", "Task", "created") == []
        assert chase.world.effects("salesforce", "Case", "created") == []
        assert chase.world.effects("mail", "message", "accepted") == []
        assert shown(chase)["told"] == Counter()
        now = shown(chase)
        assert {kind: now[kind] for kind in ("Task", "Case", "Account")} == {
            kind: before[kind] for kind in ("Task", "Case", "Account")
        }


async def test_a_mail_in_doubt_stays_with_its_person_after_the_ledger_was_restored(
    world_on_tuesday: World,
) -> None:
    """The server was lost after it had the text: nobody knows whether it arrived, so it is never sent again."""
    async with chasing(world_on_tuesday) as chase:
        invoice = chase.failed()
        await chase.look()
        back_up(chase.world)
        chase.world.fault("mail", method="DATA", drop="after")
        await chase.wait_for(hours=25)
        chase.world.no_faults()
        assert MAIL in chase.ladder(invoice).state.journal
        before = shown(chase)
        asked = [subject for _, subject, _, _ in before["Task"] if subject.startswith("Find out whether")]
        assert len(asked) == 1
    async with restored(chase) as chase:
        assert [step.key for step in chase.ladder(invoice).steps] == [FIRST]
        await chase.wait_for(hours=24)
        assert chase.ladder(invoice).state.journal[MAIL] is StepState.DONE
        assert shown(chase) == before


async def test_what_was_paid_since_ends_again_and_says_so_once(world_on_tuesday: World) -> None:
    async with chasing(world_on_tuesday) as chase:
        invoice = chase.failed()
        await chase.wait_for(hours=25)
        back_up(chase.world)
        chase.pay(invoice)
        await chase.look()
        assert chase.ladder(invoice).state.ended is EndReason.PAID
        before = shown(chase)
    assert_once(before)
    async with restored(chase) as chase:
        assert chase.ladder(invoice).status is LadderStatus.WAITING
        await chase.wait_for(days=14)
        assert chase.ladder(invoice).state.ended is EndReason.PAID
        assert shown(chase) == before


async def test_an_empty_prefect_database_has_every_alarm_again_after_one_sweep(chase: Chasing) -> None:
    invoices = [chase.failed() for _ in range(3)]
    await chase.look()
    before = shown(chase)
    lost = {invoice: chase.ladder(invoice).alarm_run_id for invoice in invoices}
    async with get_client() as client:
        for run_id in lost.values():
            await client.delete_flow_run(UUID(run_id))
        deployment = await client.read_deployment_by_name(dunning_alarms.DEPLOYMENT)
        await client.delete_deployment(deployment.id)
        await deployed(client)  # as `o2c up` does
    state = await sweep_ladders(return_state=True)
    assert state.message == "3 alarms set, 3 were missing in Prefect"
    for invoice in invoices:
        (alarm,) = await chase.alarms(invoice)
        ladder = chase.ladder(invoice)
        assert str(alarm.id) == ladder.alarm_run_id != lost[invoice]
        assert alarm.expected_start_time is not None
        late = alarm.expected_start_time.timestamp() - chase.rings_at(ladder).timestamp()
        assert abs(late) < 30
    assert shown(chase) == before
    assert (await sweep_ladders(return_state=True)).message == "nothing was missing"


async def test_a_prefect_database_of_before_the_last_step_wakes_nobody_twice(chase: Chasing) -> None:
    """Yesterday's alarm is there again, today's is not: the first finds nothing to do, the second is set again."""
    invoice = chase.failed()
    await chase.look()
    yesterday = chase.ladder(invoice)
    await chase.wait_for(hours=25)
    today = chase.ladder(invoice)
    assert today.next_step == OUTREACH
    before = shown(chase)
    async with get_client() as client:
        await client.delete_flow_run(UUID(today.alarm_run_id))
        await client.set_flow_run_state(UUID(yesterday.alarm_run_id), Scheduled(), force=True)
    message, _, _ = await chase.rung(invoice, yesterday.generation)
    assert message.startswith("Nothing to do: the ladder has moved on")
    state = await sweep_ladders(return_state=True)
    assert state.message == "1 alarms set, 1 were missing in Prefect, 1 without a ladder taken back"
    (alarm,) = await chase.alarms(invoice)
    assert str(alarm.id) == chase.ladder(invoice).alarm_run_id
    assert await chase.cancelled(yesterday.alarm_run_id)
    assert shown(chase) == before
    await chase.wait_for(hours=60)
    assert [step.key for step in chase.ladder(invoice).steps] == [FIRST, MAIL, OUTREACH]
    assert_once(shown(chase))
