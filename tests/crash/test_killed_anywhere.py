"""Killed with SIGKILL around each outside call and each commit, then run again: billed once, told once.

`make test-crash` tries every point (O2C_CRASH_POINTS=all); without it a sample is drawn, by O2C_CRASH_SEED if given.
O2C_CRASH_POINTS="finalize #1" tries the points that contain this, in every way of going on.
"""

from __future__ import annotations

import pytest

from tests.crash.databases import Fresh
from tests.crash.runs import Runs
from tests.crash.scene import Billing
from tests.crash.trials import Laboratory, seen_by_stripe
from tests.crash.trying import assert_every_kind, killed_anywhere
from tests.world import World

pytestmark = [pytest.mark.prefect, pytest.mark.crash]

COMMITS = [f"commit {what}" for what in ("insert obligation", "update operation", "update quarantine")]
KINDS = ["Stripe POST", "Salesforce PATCH", "Slack POST", *COMMITS]


@pytest.mark.parametrize("idempotency", [True, False], ids=["keys", "no-keys"])
@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_run_killed_anywhere_is_completed_by_the_next(
    backend: str,
    idempotency: bool,
    crash_world: World,
    crash_runs: Runs,
    fresh_ledger: Fresh,
    capfd: pytest.CaptureFixture[str],
) -> None:
    billing = Billing(crash_world, idempotency=idempotency)
    points = killed_anywhere(
        f"{backend}, Stripe's idempotency {'on' if idempotency else 'off'}",
        Laboratory(crash_world.clock, crash_runs, fresh_ledger, billing),
        billing.ways,
        capfd,
        among=(lambda every: every) if idempotency else seen_by_stripe,
    )
    assert_every_kind(points, KINDS)
