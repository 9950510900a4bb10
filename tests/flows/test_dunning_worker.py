"""A real worker starts the alarm of a ladder in a process of its own, from the deployments of prefect.yaml."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled

from order_to_cash.gateways import clock
from order_to_cash.gateways.clock import SystemClock
from tests.flows.alarm_world import Chasing, chasing
from tests.world import World

pytestmark = pytest.mark.prefect
ROOT = Path(__file__).resolve().parents[2]
TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)


async def prefect(home: Path, *words: str) -> str:
    environment = {
        **os.environ,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(home),
        "NO_COLOR": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", *words),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 240)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, output.decode()[-3000:]
    return output.decode()


@pytest.fixture
async def chase(books: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chasing]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    books.clock.set(TUESDAY)
    async with chasing(books) as made:
        yield made


async def test_a_worker_takes_the_step_and_a_stale_alarm_says_that_there_is_none(
    chase: Chasing, tmp_path: Path
) -> None:
    await prefect(tmp_path, "work-pool", "create", "o2c", "--type", "process", "--overwrite")
    await prefect(tmp_path, "deploy", "--all")
    invoices = [chase.failed(), chase.failed()]
    await chase.look()
    chase.world.pass_time(hours=24)
    # The second was paid; the worker had fetched its alarm before that was heard of.
    chase.pay(invoices[1])
    alarms = [chase.ladder(invoice).alarm_run_id for invoice in invoices]
    chase.company.ledger.ladders.wake(invoice_ids=[invoices[1]])
    names = {}
    # The stale one first: the run of the other takes it back.
    for run_id in reversed(alarms):
        async with get_client() as client:
            names[run_id] = (await client.read_flow_run(UUID(run_id))).name
            at = SystemClock().now() - timedelta(seconds=1)
            await client.set_flow_run_state(UUID(run_id), Scheduled(scheduled_time=at), force=True)
        await prefect(tmp_path, "worker", "start", "--pool", "o2c", "--type", "process", "--run-once")
    runs = [await chase.run(run_id) for run_id in alarms]
    told = [str(run.state.message) if run.state is not None else "" for run in runs]
    assert told[0] == "1 ladder: 1 step taken"
    assert told[1].startswith("Nothing to do: the ladder has moved on")
    assert [run.name for run in runs] == [names[alarms[0]], f"{names[alarms[1]]} · nothing to do"]
    ladder = chase.ladder(invoices[0])
    assert [(step.key, step.run_id) for step in ladder.steps][1:] == [("customer-mail", alarms[0])]
    assert len(chase.world.effects("mail", "message", "delivered")) == 1
