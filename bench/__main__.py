"""`python -m bench [NAME …]`: measure and print. Names: help, deal, batch, poll, hand; none: all, in five minutes."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.by_hand import by_hand
from bench.deals import batch, one_deal
from bench.house import Emulators, House, emulators
from bench.startup import help_time, memory
from bench.table import Row, machine, markdown

NAMES = ("help", "deal", "batch", "poll", "hand")
USUAL_POLL, QUICK_POLL = 10, 2


def main(asked: Sequence[str]) -> None:
    """Print the asked figures; what each part costs in time goes to stderr."""
    wrong = [name for name in asked if name not in NAMES]
    if wrong:
        sys.exit(f"Unknown: {', '.join(wrong)}. Known: {', '.join(NAMES)}.")
    names = list(asked) or list(NAMES)
    print(f"{machine()}\n", flush=True)
    rows: list[Row] = help_time() if "help" in names else []
    if set(names) - {"help"}:
        rows += _measured(names)
    print(markdown(rows))


def _measured(names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder, emulators() as world:
        world.slow()
        if "deal" in names or "batch" in names:
            rows += _usual(world, Path(folder) / "usual", names)
        if "poll" in names:
            rows += _quick(world, Path(folder) / "quick")
        if "hand" in names:
            rows += _timed("by hand", lambda: by_hand(world))
    return rows


def _usual(world: Emulators, home: Path, names: Sequence[str]) -> list[Row]:
    house = House(world, home, USUAL_POLL)
    try:
        house.wait_until_warm()
        idle = house.memory()
        rows: list[Row] = []
        if "deal" in names:
            rows += _timed("one deal", lambda: one_deal(house, USUAL_POLL))
        if "batch" in names:
            rows += _timed("200 deals", lambda: batch(house))
            rows += memory(idle, house.memory())
        return rows
    finally:
        house.stop()


def _quick(world: Emulators, home: Path) -> list[Row]:
    house = House(world, home, QUICK_POLL)
    try:
        house.wait_until_warm()
        return _timed("one deal, quick poll", lambda: one_deal(house, QUICK_POLL))
    finally:
        house.stop()


def _timed(what: str, measure: Callable[[], list[Row]]) -> list[Row]:
    began = time.monotonic()
    rows = measure()
    found = "; ".join(f"{row.figure}: {row.value}" for row in rows)
    print(f"{what} ({time.monotonic() - began:.0f} s): {found}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
