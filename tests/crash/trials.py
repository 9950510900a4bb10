"""Which points are tried, and what one trial is: killed there, run again, judged."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.databases import Fresh
from tests.crash.points import AUDIT_COMMIT
from tests.crash.runs import Run, Runs
from tests.crash.scene import Scene, opened, problems, stage
from tests.world import World

# A claim is leased for 120 s (tasks/obligations.py); nobody may take it before.
SOON = 130
# Stripe forgets idempotency keys after 24 hours.
NEXT_DAY = 25 * 3600
KILLED_TWICE = 1
SAMPLE = {"call": 4, "commit": 2, "audit": 1}


@dataclass(frozen=True)
class Trial:
    """A run is killed at each of `kills` in turn; after each, `pause_seconds` pass on the emulators' clock."""

    kills: tuple[str, ...]
    pause_seconds: int = SOON

    def __str__(self) -> str:
        later = " (run again the next day)" if self.pause_seconds == NEXT_DAY else ""
        return f"killed at {', then at '.join(self.kills)}{later}"


@dataclass(frozen=True)
class Result:
    """`reached`: how many of the trial's kills happened. `problems`: empty when all is well in the end."""

    trial: Trial
    reached: int
    problems: tuple[str, ...]


def every_point_asked_for() -> bool:
    """Whether all points are to be tried (`make test-crash`), and not a sample."""
    return os.environ.get("O2C_CRASH_POINTS") == "all"


def seed() -> int:
    """What the sample is drawn by: O2C_CRASH_SEED, or by chance."""
    given = os.environ.get("O2C_CRASH_SEED", "")
    return int(given) if given else random.randrange(10**6)


def chosen(points: Sequence[str], rng: random.Random, *, every: bool) -> list[Trial]:
    """Trials of every point, or of some spread over the run; then some of two kills, continued the next day."""
    kinds = _by_kind(points)
    once = (
        list(points) if every else [one for kind in SAMPLE for one in _spread(kinds[kind], SAMPLE[kind], rng)]
    )
    eventful = kinds["call"] + kinds["commit"]
    twice = [
        (rng.choice(eventful), rng.choice(eventful))
        for _ in range(len(points) // 20 if every else KILLED_TWICE)
    ]
    return [*(Trial((point,)) for point in once), *(Trial(pair, NEXT_DAY) for pair in twice)]


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
            if not run.killed and run.status != 0:
                return Result(trial, reached, (f"a run failed by itself: {run.log[-1500:]}",))
            self._world.clock.advance(trial.pause_seconds)
            ids = self._due(scene, ledger_url)
        last = self._runs.run(ids, ledger_url)
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
