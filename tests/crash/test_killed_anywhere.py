"""Killed with SIGKILL around each outside call and each commit, then run again: billed once, told once.

`make test-crash` tries every point (O2C_CRASH_POINTS=all); without it a sample is drawn, by O2C_CRASH_SEED if given.
O2C_CRASH_POINTS="finalize #1" tries the points that contain this, in every way of going on.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

import pytest

from tests.crash.databases import Fresh
from tests.crash.runs import Runs
from tests.crash.trials import Laboratory, Result, asked_for, chosen, seed, seen_by_stripe
from tests.world import World

pytestmark = [pytest.mark.prefect, pytest.mark.crash]

SEED = seed()
# The steps of two deals run side by side: now and then the n-th of a kind does not come, or has another name.
MOST_MISSED = 0.1
SHOWN = 10
TOLD_EVERY = 50


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
    began = time.monotonic()
    laboratory = Laboratory(crash_world, crash_runs, fresh_ledger, idempotency=idempotency)
    points = laboratory.record()
    assert_every_kind(points)
    rng = random.Random(f"{SEED} {backend} {idempotency}")
    trials = chosen(points if idempotency else seen_by_stripe(points), asked_for(), rng)
    results: list[Result] = []
    for trial in trials:
        results.append(laboratory.attempt(trial))
        summary = _summary(backend, idempotency, points, results, time.monotonic() - began)
        if results[-1].problems or len(results) % TOLD_EVERY == 0 or len(results) == len(trials):
            with capfd.disabled():
                sys.stdout.write(f"\n{summary}\n{_told(results[-1:]) if results[-1].problems else ''}")
    failed = [result for result in results if result.problems]
    assert not failed, f"{summary}\n\n{_told(failed)}"
    missed = [str(result.trial) for result in results if not result.reached]
    assert len(missed) <= max(1, MOST_MISSED * len(trials)), f"{summary}\nnot reached: {missed}"


def assert_every_kind(points: Sequence[str]) -> None:
    """The recording has seen all three services and the ledger, in all phases."""
    commits = [f"commit {what}" for what in ("insert obligation", "update operation", "update quarantine")]
    for what in ("Stripe POST", "Salesforce PATCH", "Slack POST", *commits):
        phases = {point.rpartition(" · ")[2] for point in points if point.startswith(what)}
        assert phases == {"before", "during", "after"}, f"{what}: {phases}"


def _summary(
    backend: str, idempotency: bool, points: Sequence[str], results: Sequence[Result], seconds: float
) -> str:
    kills = sum(result.reached for result in results)
    missed = [str(result.trial) for result in results if not result.reached]
    failed = sum(bool(result.problems) for result in results)
    return (
        f"crash · {backend}, Stripe's idempotency {'on' if idempotency else 'off'}: {len(points)} points recorded, "
        f"{len(results)} trials (O2C_CRASH_SEED={SEED}), {kills} kills, {len(missed)} not reached, "
        f"{failed} failed, {seconds:.0f} s"
    )


def _told(failed: Sequence[Result]) -> str:
    lines = [f"- {result.trial}: {result.problems[0].splitlines()[0]}" for result in failed]
    details = ["\n".join((str(result.trial), *result.problems)) for result in failed[:SHOWN]]
    return "\n".join([*lines, "", *details])
