"""What operators see in the Prefect UI: named steps, and which follows from which."""

from __future__ import annotations

import asyncio

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName
from prefect.client.schemas.objects import TaskRun, TaskRunResult

from tests.flows.running import run
from tests.world import World

pytestmark = pytest.mark.prefect

STEPS = ("claim", "customer", "draft", "lines", "check total", "finalize", "send", "win post")
PATIENCE_SECONDS = 20


async def runs_named_after(account: str) -> dict[str, TaskRun]:
    """Step → task run of an Account's one deal, once the server has them all: it records them in the background."""
    named = TaskRunFilter(name=TaskRunFilterName(like_=account))
    async with get_client() as client:
        for _ in range(PATIENCE_SECONDS * 5):
            runs = await client.read_task_runs(task_run_filter=named)
            found = {one.name.partition(" · ")[0]: one for one in runs}
            if all(step in found for step in STEPS):
                break
            await asyncio.sleep(0.2)
    return found


async def test_each_step_of_a_deal_is_a_named_task_run_that_follows_from_earlier_ones(books: World) -> None:
    # By this name: the server keeps what other tests ran, and their deals have the same ids.
    await run(books.deal(books.account(Name="Drawn as a graph")))
    found = await runs_named_after("Drawn as a graph")
    assert set(STEPS) <= found.keys()

    def follows_from(step: str) -> set[str]:
        ids = {one.id: name for name, one in found.items()}
        inputs = [used for given in found[step].task_inputs.values() for used in given]
        return {ids[used.id] for used in inputs if isinstance(used, TaskRunResult) and used.id in ids}

    assert {"claim", "customer"} <= follows_from("draft")
    assert "draft" in follows_from("lines")
    assert "lines" in follows_from("check total")
    assert "lines" in follows_from("finalize")
    assert "finalize" in follows_from("send")
