"""All trials of one play on one database, told as they go."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.crash.trials import SAMPLE, Again, Laboratory, Result, asked_for, chosen, seed

SEED = seed()
# Steps run side by side: now and then the n-th of a kind does not come, or has another name.
MOST_MISSED = 0.1
SHOWN = 10
TOLD_EVERY = 50

Points = Sequence[str]


@dataclass
class Account:
    """What was tried by now."""

    title: str
    points: Points
    began: float
    results: list[Result]

    @property
    def missed(self) -> list[str]:
        return [str(result.trial) for result in self.results if not result.reached]

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if result.problems]

    def __str__(self) -> str:
        kills = sum(result.reached for result in self.results)
        return (
            f"crash · {self.title}: {len(self.points)} points recorded, {len(self.results)} trials "
            f"(O2C_CRASH_SEED={SEED}), {kills} kills, {len(self.missed)} not reached, "
            f"{len(self.failed)} failed, {time.monotonic() - self.began:.0f} s"
        )


def killed_anywhere(
    title: str,
    laboratory: Laboratory,
    ways: Sequence[Again],
    capfd: pytest.CaptureFixture[str],
    among: Callable[[Points], Points] = lambda points: points,
    sample: Mapping[str, int] = SAMPLE,
) -> Points:
    """Record a run, then kill others at its points, of which `among` are worth it; the points.

    `sample`: how many of each kind where nobody asked for all.

    Raises AssertionError when anything is not as it must be in the end.
    """
    began = time.monotonic()
    points = laboratory.record()
    account = Account(title, points, began, [])
    trials = chosen(among(points), asked_for(), random.Random(f"{SEED} {title}"), ways, sample)
    for number, trial in enumerate(trials, 1):
        result = laboratory.attempt(trial)
        account.results.append(result)
        if result.problems or number % TOLD_EVERY == 0 or number == len(trials):
            with capfd.disabled():
                sys.stdout.write(f"\n{account}\n{_told([result]) if result.problems else ''}")
    assert not account.failed, f"{account}\n\n{_told(account.failed)}"
    assert len(account.missed) <= max(1, MOST_MISSED * len(trials)), (
        f"{account}\nnot reached: {account.missed}"
    )
    return points


def assert_every_kind(points: Points, kinds: Sequence[str]) -> None:
    """The recording has seen all of these, in all phases."""
    for kind in kinds:
        phases = {point.rpartition(" · ")[2] for point in points if point.startswith(kind)}
        assert phases == {"before", "during", "after"}, f"{kind}: {phases}"


def _told(failed: Sequence[Result]) -> str:
    lines = [f"- {result.trial}: {result.problems[0].splitlines()[0]}" for result in failed]
    details = ["\n".join((str(result.trial), *result.problems)) for result in failed[:SHOWN]]
    return "\n".join([*lines, "", *details])
