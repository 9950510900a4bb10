"""Killed with SIGKILL around each outside call and each commit while events are applied, then run again: each record
made once, each failed payment told once. As test_killed_anywhere.py.
"""

from __future__ import annotations

import pytest

from tests.crash.databases import Fresh
from tests.crash.events import Applying
from tests.crash.runs import Runs
from tests.crash.trials import Laboratory
from tests.crash.trying import assert_every_kind, killed_anywhere
from tests.world import World

pytestmark = [pytest.mark.prefect, pytest.mark.crash]

COMMITS = [
    f"commit {what}" for what in ("insert object", "insert operation", "update operation", "update inbox")
]
KINDS = ["Stripe GET", "Salesforce PATCH", "Salesforce POST", "Slack POST", *COMMITS]


@pytest.fixture(scope="module")
def applying(crash_world: World) -> Applying:
    return Applying(crash_world)


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_batch_killed_anywhere_is_completed_by_the_next(
    backend: str,
    applying: Applying,
    crash_world: World,
    crash_runs: Runs,
    fresh_ledger: Fresh,
    capfd: pytest.CaptureFixture[str],
) -> None:
    laboratory = Laboratory(crash_world.clock, crash_runs, fresh_ledger, applying)
    points = killed_anywhere(f"events, {backend}", laboratory, applying.ways, capfd)
    assert_every_kind(points, KINDS)
