"""Dunning ladders: what a thousand cost asleep, and how long it takes when all of them fall due together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.house import emulators
from bench.ladders_house import Chase, Taken
from bench.ladders_prefect import State
from bench.table import Row

ASLEEP, CROWD = 1_000, 5_000
FIRST, MAIL = "first-failure", "customer-mail"
HOUR_SECONDS = 3600.0
PACE = 24  # Stripe requests a second in a sandbox, as O2C_STRIPE_REQUESTS_PER_SECOND has it
_LOAD = "100 ms a Stripe call, paced below 25/s; 200 ms a Salesforce call + 5 ms a record; Slack's limits"


def ladders(*, full: bool = False) -> list[Row]:
    """One house: nothing asleep; `ASLEEP` asleep and woken together; with `full` `CROWD` more, twice together."""
    rows: list[Row] = []
    with TemporaryDirectory(prefix="o2c-ladders-") as folder, emulators() as world:
        chase = Chase(world, Path(folder))
        try:
            for some in _measured(chase, full=full):
                print("\n".join(f"  {row.figure}: {row.value} ({row.how})" for row in some), file=sys.stderr)
                rows += some
        finally:
            chase.close()
    return rows


def _measured(chase: Chase, *, full: bool) -> Iterator[list[Row]]:
    before = chase.server.state()
    yield [_step(FIRST, chase.open(ASLEEP, FIRST))]
    armed = chase.wait_until_armed()
    asleep = chase.server.state()
    yield _asleep(before, asleep)
    relieved = chase.relieve(MAIL)
    yield [
        Row(
            f"{ASLEEP:,} alarms set, taken back",
            f"{armed:.0f} s, {relieved:.0f} s",
            "",
            "a run sets 500 alarms, the sweep, every 5 min, the others; a crowd's are taken back in its last 10 min",
        )
    ]
    yield [_step(MAIL, chase.fall_due(MAIL))]
    if full:
        yield [_step(FIRST, chase.open(CROWD, FIRST))]
        yield [_step(MAIL, chase.fall_due(MAIL))]
    twice = chase.twice()
    if twice:
        raise RuntimeError(f"done more than once: {', '.join(twice[:5])} …")


def _asleep(before: State, after: State) -> list[Row]:
    what = f"`o2c up`, {before.scheduled} and {after.scheduled:,} alarms; load {before.load:.1f} and {after.load:.1f}"
    processes = {role: (before.processes.get(role, 0), count) for role, count in after.processes.items()}
    grown = after.database_bytes - before.database_bytes
    return [
        Row(
            f"processes with {after.scheduled:,} ladders asleep",
            f"{sum(before.processes.values())} → {sum(after.processes.values())}",
            "none more",
            f"{what}; {', '.join(f'{role} {old} → {new}' for role, (old, new) in processes.items())}",
        ),
        Row(
            "Prefect's database",
            f"{_mb(before.database_bytes)} → {_mb(after.database_bytes)}",
            "",
            f"SQLite with its log; {grown / max(after.scheduled, 1) / 1024:.1f} KiB a ladder, with the runs, task "
            "runs and timelines of its first step",
        ),
        Row(
            "Prefect's API, median",
            "; ".join(
                f"{name} {ms:.0f} → {after.answers_ms[name]:.0f} ms" for name, ms in before.answers_ms.items()
            ),
            "",
            f"{what}; {before.refused} and {after.refused} answers 503 on the way, each asked again at once",
        ),
        Row(
            "processor time asleep, of one core",
            "; ".join(f"{role} {before.busy.get(role, 0):.1%} → {after.busy[role]:.1%}" for role in _PARTS),
            "",
            what,
        ),
        Row(
            "memory, peak",
            "; ".join(f"{role} {_mb(before.memory[role])} → {_mb(after.memory[role])}" for role in _PARTS),
            "",
            what,
        ),
    ]


_PARTS: Sequence[str] = ("server", "drain", "worker")


def _step(step: str, taken: Taken) -> Row:
    calls = ", ".join(
        f"{taken.calls[name] / taken.ladders:.2f} {name.capitalize()}" for name in ("stripe", "salesforce")
    )
    made = ", ".join(f"{count:,} {name}s" for name, count in sorted(taken.made.items()) if count)
    crowd = "" if taken.ladders >= CROWD else f"; {CROWD:,} at this pace: {CROWD / taken.a_second:,.0f} s"
    return Row(
        f"{taken.ladders:,} ladders due together: {step}",
        f"{taken.seconds:.0f} s = {taken.a_second:.1f}/s, 95 % within {taken.most_seconds:.0f} s; "
        f"{calls} calls a ladder",
        f"{CROWD:,} ≤ {HOUR_SECONDS:,.0f} s",
        f"{made}; {taken.refused} answers 429 of {taken.calls['stripe']:,}; at 24/s Stripe alone takes "
        f"{taken.calls['stripe'] / PACE:.0f} s; drain {taken.cpu / taken.ladders * 1000:.0f} ms of processor time a "
        f"ladder; load {taken.load[0]:.1f} to {taken.load[1]:.1f}; {_LOAD}{crowd}",
    )


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
