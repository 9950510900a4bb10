"""Which points are tried, and what one trial is: killed there, run again, judged."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.crash.databases import Fresh
from tests.crash.points import AUDIT_COMMIT
from tests.crash.runs import Run, Runs
from tests.crash.scene import Scene, opened, problems, stage, with_news
from tests.world import World

# A claim is leased for 120 s (tasks/obligations.py); nobody may take it before.
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
    NEWS = "run again when the lease is over and another deal has to be held"
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


def chosen(points: Sequence[str], wanted: str, rng: random.Random) -> list[Trial]:
    """Every point in a way that is drawn, or the named ones in every way, or a sample spread over the run.

    All and the sample also have trials of two kills, continued the next day.
    """
    kinds = _by_kind(points)
    if wanted and wanted != "all":
        return [Trial((point,), way) for point in points if wanted in point for way in Again]
    once, twice = list(points), len(points) // 40
    if not wanted:
        once = [point for kind in SAMPLE for point in _spread(kinds[kind], SAMPLE[kind], rng)]
        twice = KILLED_TWICE
    ways = [way for way in Again if way is not Again.NEXT_DAY]
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


class Laboratory:
    """Runs recordings and trials on one kind of database, with Stripe's idempotency on or off."""

    def __init__(self, world: World, runs: Runs, fresh: Fresh, *, idempotency: bool) -> None:
        self._world = world
        self._runs = runs
        self._fresh = fresh
        self._idempotency = idempotency

    def record(self) -> tuple[str, ...]:
        """The points of a run that nobody disturbs. Raises AssertionError when that run is not as it must be."""
        scene, ledger_url = self._prepared()
        run = self._runs.run(scene.ids, ledger_url)
        found = self._problems(scene, ledger_url, run)
        assert not found, f"without any kill: {found}"
        return tuple(dict.fromkeys(run.points))

    def attempt(self, trial: Trial) -> Result:
        """Kill, let time pass, run again to the end, judge."""
        scene, ledger_url = self._prepared()
        ids = scene.ids
        reached = 0
        for point in trial.kills:
            run = self._runs.run(ids, ledger_url, kill_at=point)
            reached += run.killed
            if trial.again is Again.AT_ONCE and run.killed:
                run = self._runs.run(self._due(scene, ledger_url), ledger_url)
            if not run.killed and run.status != 0:
                return Result(trial, reached, (f"a run failed by itself: {run.log[-3000:]}",))
            self._world.clock.advance(trial.again.pause_seconds)
            if trial.again is Again.NEWS:
                scene = with_news(self._world, scene)
            ids = self._due(scene, ledger_url)
        last = self._runs.run([] if trial.again is Again.SWEEP else ids, ledger_url)
        return Result(trial, reached, self._problems(scene, ledger_url, last))

    def _prepared(self) -> tuple[Scene, str]:
        self._world.settings("stripe", idempotency=self._idempotency)
        return stage(self._world), self._fresh()

    def _due(self, scene: Scene, ledger_url: str) -> list[str]:
        """What `o2c drain` would name: won deals that carry no invoice, and those that a run left unfinished."""
        with opened(self._world, ledger_url) as ledger:
            left = [owed.opportunity_id for owed in ledger.obligations.unfinished()]
        return list(dict.fromkeys([*scene.ids, *left]))

    def _problems(self, scene: Scene, ledger_url: str, last: Run) -> tuple[str, ...]:
        found = problems(self._world, scene, ledger_url)
        if last.status != 0:
            found.insert(0, f"the last run ended with status {last.status}")
        if found:
            found.append(f"log of the last run:\n{last.log[-3000:]}")
        return tuple(found)
