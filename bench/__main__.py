"""`python -m bench [NAME …]`: measure and print. Names: help, acknowledge, events, budget, ladders, deal, batch,
poll, hand; none: all but ladders.

All take about thirteen minutes; ladders take ten by themselves, and with `--full` (5,000 due together) half an hour.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.acknowledge import acknowledge
from bench.budget import budget
from bench.by_hand import by_hand
from bench.deals import batch, one_deal
from bench.events import events
from bench.house import Emulators, House, emulators
from bench.ladders import ladders
from bench.startup import help_time, memory
from bench.table import Row, machine, markdown

NAMES = ("help", "acknowledge", "events", "budget", "ladders", "deal", "batch", "poll", "hand")
LONG, FULL = {"ladders"}, "--full"
USUAL_POLL, QUICK_POLL = 10, 2


def main(asked: Sequence[str]) -> None:
    """Print the asked figures; what each part costs in time goes to stderr."""
    full, asked = FULL in asked, [name for name in asked if name != FULL]
    wrong = [name for name in asked if name not in NAMES]
    if wrong:
        sys.exit(f"Unknown: {', '.join(wrong)}. Known: {', '.join(NAMES)}.")
    names = asked or [name for name in NAMES if name not in LONG]
    print(f"{machine()}\n", flush=True)
    rows: list[Row] = help_time() if "help" in names else []
    if "acknowledge" in names:
        rows += _timed("acknowledged", acknowledge)
    if "events" in names:
        rows += _timed("events", events)
    if "budget" in names:
        rows += _timed("daily budget", budget)
    if "ladders" in names:
        rows += _timed("ladders", lambda: ladders(full=full))
    if set(names) & {"deal", "batch", "poll", "hand"}:
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
