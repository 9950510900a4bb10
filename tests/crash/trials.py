"""Which points are tried, and what one trial is: killed there, run again, judged."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from emulators.engine.clock import Clock
from tests.crash.databases import Fresh
from tests.crash.points import AUDIT_COMMIT
from tests.crash.runs import Run, Runs

# Claims are leased for 120 s (tasks/obligations.py, tasks/sync_outcomes.py); nobody may take them before.
SOON = 130
# Stripe forgets idempotency keys after 24 hours.
NEXT_DAY = 25 * 3600
KILLED_TWICE = 1
SAMPLE = {"call": 4, "commit": 2, "audit": 1}


class Again(StrEnum):
    """How the work goes on after a kill. No run may take a claim that is not given back before its lease is over."""

    NAMED = "run again when the lease is over"
    AT_ONCE = "run again at once, and when the lease is over"
    SWEEP = "swept up when the lease is over"
    NEWS = "run again when the lease is over and more has happened"
    NEXT_DAY = "run again the next day"

    @property
    def pause_seconds(self) -> int:
        return NEXT_DAY if self is Again.NEXT_DAY else SOON


@dataclass(frozen=True)
class Trial:
    """A run is killed at each of `kills` in turn, with a pause on the emulators' clock after each."""

    kills: tuple[str, ...]
    again: Again

    def __str__(self) -> str:
        return f"killed at {', then at '.join(self.kills)}; {self.again}"


@dataclass(frozen=True)
class Result:
    """`reached`: how many of the trial's kills happened. `problems`: empty when all is well in the end."""

    trial: Trial
    reached: int
    problems: tuple[str, ...]


def asked_for() -> str:
    """O2C_CRASH_POINTS: `all` (`make test-crash`), a text that the points to try contain, or nothing for a sample."""
    return os.environ.get("O2C_CRASH_POINTS", "")


def seed() -> int:
    """What the sample is drawn by: O2C_CRASH_SEED, or by chance."""
    given = os.environ.get("O2C_CRASH_SEED", "")
    return int(given) if given else random.randrange(10**6)


def chosen(
    points: Sequence[str],
    wanted: str,
    rng: random.Random,
    every: Sequence[Again],
    sample: Mapping[str, int] = SAMPLE,
) -> list[Trial]:
    """Every point in a way that is drawn, or the named ones in every way, or a sample spread over the run.

    All and the sample also have trials of two kills, continued the next day.
    """
    kinds = _by_kind(points)
    if wanted and wanted != "all":
        return [Trial((point,), way) for point in points if wanted in point for way in every]
    once, twice = list(points), len(points) // 40
    if not wanted:
        once = [point for kind, count in sample.items() for point in _spread(kinds[kind], count, rng)]
        twice = KILLED_TWICE
    ways = [way for way in every if way is not Again.NEXT_DAY]
    eventful = kinds["call"] + kinds["commit"]
    pairs = [(rng.choice(eventful), rng.choice(eventful)) for _ in range(twice)]
    return [
        *(Trial((point,), rng.choice(ways)) for point in once),
        *(Trial(pair, Again.NEXT_DAY) for pair in pairs),
    ]


def seen_by_stripe(points: Sequence[str]) -> list[str]:
    """Without the commits of audit rows: what Stripe has done with its idempotency keys does not hang on them."""
    return [point for point in points if not point.startswith(AUDIT_COMMIT)]


def _by_kind(points: Sequence[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {kind: [] for kind in SAMPLE}
    for point in points:
        kind = "audit" if point.startswith(AUDIT_COMMIT) else point.partition(" ")[0]
        kinds[kind if kind in kinds else "call"].append(point)
    return kinds


def _spread(points: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """One point of each of `count` equal stretches."""
    bounds = [len(points) * number // count for number in range(count + 1)]
    return [rng.choice(points[low:high]) for low, high in itertools.pairwise(bounds) if high > low]


class Play(Protocol):
    """A recipe with its scene: what a run is told to do, and what must be true once the last run has ended."""

    ways: Sequence[Again]

    def stage(self, ledger_url: str) -> None:
        """Begin anew, on an empty ledger."""

    def work(self, ledger_url: str, *, sweep: bool = False) -> Mapping[str, Any]:
        """What the next run does; `sweep`: without being told of what."""

    def news(self, ledger_url: str) -> None:
        """More happens."""

    def left(self, ledger_url: str) -> bool:
        """Whether something is to be tried again later, as it may be."""

    def problems(self, ledger_url: str) -> list[str]:
        """What is not as it must be."""


MOST_RUNS = 3


class Laboratory:
    """Runs recordings and trials of one play on one kind of database."""

    def __init__(self, clock: Clock, runs: Runs, fresh: Fresh, play: Play) -> None:
        self._clock = clock
        self._runs = runs
        self._fresh = fresh
        self._play = play

    def record(self) -> tuple[str, ...]:
        """The points of a run that nobody disturbs. Raises AssertionError when that run is not as it must be."""
        ledger_url = self._staged()
        run = self._runs.run(self._play.work(ledger_url), ledger_url)
        found = self._problems(ledger_url, run)
        assert not found, f"without any kill: {found}"
        return tuple(dict.fromkeys(run.points))

    def attempt(self, trial: Trial) -> Result:
        """Kill, let time pass, run again to the end, judge."""
        ledger_url = self._staged()
        work = self._play.work(ledger_url)
        reached = 0
        for point in trial.kills:
            run = self._runs.run(work, ledger_url, kill_at=point)
            reached += run.killed
            if trial.again is Again.AT_ONCE and run.killed:
                run = self._runs.run(self._play.work(ledger_url), ledger_url)
            if not run.killed and run.status != 0:
                return Result(trial, reached, (f"a run failed by itself: {run.log[-3000:]}",))
            self._clock.advance(trial.again.pause_seconds)
            if trial.again is Again.NEWS:
                self._play.news(ledger_url)
            work = self._play.work(ledger_url, sweep=trial.again is Again.SWEEP)
        last = self._runs.run(work, ledger_url)
        for _ in range(MOST_RUNS):
            if not self._play.left(ledger_url):
                break
            self._clock.advance(SOON)
            last = self._runs.run(self._play.work(ledger_url), ledger_url)
        return Result(trial, reached, self._problems(ledger_url, last))

    def _staged(self) -> str:
        ledger_url = self._fresh()
        self._play.stage(ledger_url)
        return ledger_url

    def _problems(self, ledger_url: str, last: Run) -> tuple[str, ...]:
        found = self._play.problems(ledger_url)
        if last.status != 0:
            found.insert(0, f"the last run ended with status {last.status}")
        if found:
            found.append(f"log of the last run:\n{last.log[-3000:]}")
        return tuple(found)
