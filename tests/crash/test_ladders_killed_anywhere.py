"""Killed with SIGKILL around each outside call and each commit while ladders are moved, then run again: each record
made once, each mail sent once or a person asked about it, nobody chased who has paid. As test_killed_anywhere.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.crash.alarms import Alarms
from tests.crash.databases import Fresh
from tests.crash.ladders import Chasing
from tests.crash.runs import Runs
from tests.crash.trials import SAMPLE, Laboratory
from tests.crash.trying import assert_every_kind, killed_anywhere
from tests.crash.zygote import COMPANY
from tests.world import World

pytestmark = [pytest.mark.prefect, pytest.mark.crash]

COMMITS = [
    f"commit {what}"
    for what in (
        *("insert operation", "update operation"),
        *("insert ladder_step", "update ladder_step", "update ladder + update ladder_customer"),
    )
]
KINDS = ["Stripe GET", "Salesforce POST", "Slack POST", "Mail DATA", "Prefect POST", *COMMITS]
# A trial runs ladders three times at least: yesterday, killed, and again.
SAMPLES = {"sqlite": SAMPLE, "postgresql": {"call": 2, "commit": 1}}


@pytest.fixture(scope="module")
async def ladder_alarms(crash_blocks: str) -> AsyncIterator[Alarms]:
    """Ladders are on, and their alarms have a deployment."""
    from prefect.client.orchestration import get_client

    from blocks.dunning_policy import DunningPolicyBlock
    from tasks.dunning_alarms import TAG
    from tests.flows.alarm_world import deployed

    async with get_client() as client:
        await deployed(client)
    await DunningPolicyBlock(enabled=True).asave(COMPANY, overwrite=True)
    yield Alarms(crash_blocks, TAG)
    await DunningPolicyBlock(enabled=False).asave(COMPANY, overwrite=True)


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_ladders_killed_anywhere_are_moved_on_by_the_next(
    backend: str,
    crash_world: World,
    ladder_alarms: Alarms,
    crash_runs: Runs,
    fresh_ledger: Fresh,
    capfd: pytest.CaptureFixture[str],
) -> None:
    chasing = Chasing(crash_world, crash_runs, ladder_alarms)
    laboratory = Laboratory(crash_world.clock, crash_runs, fresh_ledger, chasing)
    points = killed_anywhere(f"ladders, {backend}", laboratory, chasing.ways, capfd, sample=SAMPLES[backend])
    assert_every_kind(points, KINDS)
