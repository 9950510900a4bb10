"""More than a day of events against the day's share of Salesforce calls: the drain's own governor, simulated time.

What a batch costs is a model, taken from the calls that `python -m bench events` counts: its records together, a query
for the Accounts' roll-ups, a write of the Accounts that paid. The look-out for deals is counted too.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from bench.events_run import percentile
from bench.table import Row
from order_to_cash.cli.inbox_watch import BATCHES_AT_ONCE, POLL_SECONDS
from order_to_cash.domain.linger import DAY_SECONDS, SHORTEST_SECONDS
from order_to_cash.gateways.salesforce_budget import ApiUsage
from tasks.sync_claims import MOST_EVENTS
from tasks.sync_pace import Pace

DAILY_CALLS = 100_000  # Enterprise Edition, https://developer.salesforce.com/docs (API request limits)
SHARE = Decimal("0.5")
RATES = (0.1, 1.0, 10.0)
HOURS = 30
LOOK_OUT_SECONDS = 10
ROWS_A_CALL, ACCOUNTS_A_CALL = 200, 100
_SEED = 20
_BEGAN = datetime(2026, 11, 20, tzinfo=UTC)
# Of a renewal's five events, the kinds of records each writes.
_KINDS = (("subscription",), ("invoice",), ("invoice", "line"), ("payment",), ("invoice", "line"))
_ALWAYS = 1
_CALL_SECONDS = 0.3
_MANY = 50


@dataclass
class Day:
    """The world that the governor asks: what time it is, and which calls were made."""

    now: float = 0.0
    calls: list[float] = field(
        default_factory=list
    )  # moments, ascending up to what batches under way will make

    def count(self, system: str, since: datetime, until: datetime | None = None) -> int:
        """As `AuditLog.count`: what was made by now."""
        del system
        last = self.now if until is None else min(self.now, (until - _BEGAN).total_seconds())
        return bisect_right(self.calls, last) - bisect_right(self.calls, (since - _BEGAN).total_seconds())

    def company(self) -> Any:
        """As much of a company as `Pace` looks at."""
        day = self

        class _Salesforce:
            @property
            def api_usage(self) -> ApiUsage:
                used = day.count("", _BEGAN + timedelta(seconds=day.now - DAY_SECONDS))
                return ApiUsage(used, DAILY_CALLS)

        clock = SimpleNamespace(now=lambda: _BEGAN + timedelta(seconds=day.now))
        ledger = SimpleNamespace(audit=SimpleNamespace(count=self.count))
        return SimpleNamespace(clock=clock, ledger=ledger, salesforce=_Salesforce())

    def made(self, moments: Iterable[float]) -> None:
        for moment in moments:
            insort(self.calls, moment)


@dataclass(frozen=True)
class Spent:
    """What a rate came to. `most`: calls in the worst 24 hours."""

    most: int
    calls: int
    lingers: list[float]
    freshness: list[float]


def simulated(rate: float) -> Spent:
    """Events at random moments, `rate` a second on average."""
    return asyncio.run(_simulated(rate))


async def _simulated(rate: float) -> Spent:
    rng = random.Random(_SEED)
    end = HOURS * 3600.0
    day = Day()
    day.made(float(at) for at in range(0, int(end), LOOK_OUT_SECONDS))
    pace = Pace(cast("Any", day.company()), SHARE)
    arrivals = _arrivals(rng, rate, end)
    waiting: list[float] = []
    coming = next(arrivals)
    running: list[tuple[float, int]] = []  # ends at, calls
    began, full = float("-inf"), False
    lingers: list[float] = []
    fresh: list[float] = []
    while day.now < end:
        for ended, calls in [one for one in running if one[0] <= day.now]:
            running.remove((ended, calls))
            pace.learnt(calls)
        while coming <= day.now:
            waiting.append(coming)
            coming = next(arrivals)
        if not waiting:
            day.now = max(coming, day.now) + rng.uniform(0, POLL_SECONDS)
            continue
        if len(running) >= BATCHES_AT_ONCE:
            day.now += POLL_SECONDS
            continue
        linger = await pace.linger_seconds(len(running))
        rest = 0.0 if full and linger <= SHORTEST_SECONDS else began + linger - day.now
        if rest > 0:
            day.now += min(rest, SHORTEST_SECONDS)
            continue
        batch, waiting = waiting[:MOST_EVENTS], waiting[MOST_EVENTS:]
        full = len(batch) == MOST_EVENTS
        calls = _cost(rng, len(batch))
        lasts = min(calls, 12) * _CALL_SECONDS
        day.made(day.now + lasts * (number + 1) / calls for number in range(calls))
        lingers.append(day.now - began if lingers else linger)
        fresh += [day.now + lasts - at for at in batch]
        running.append((day.now + lasts, calls))
        began = day.now
    return Spent(_worst_day(day.calls), len(day.calls), sorted(lingers), sorted(fresh))


def _arrivals(rng: random.Random, rate: float, end: float) -> Iterator[float]:
    at = 0.0
    while at < end:
        at += rng.expovariate(rate)
        yield at
    yield float("inf")


def _cost(rng: random.Random, events: int) -> int:
    """Calls of a batch, its events at random places of their renewals, each of another customer."""
    rows: Counter[str] = Counter()
    for kinds, share in zip(_KINDS, _shares(rng, events), strict=True):
        rows.update(dict.fromkeys(kinds, share))
    return _ALWAYS + -(-rows.total() // ROWS_A_CALL) + -(-rows["payment"] // ACCOUNTS_A_CALL)


def _shares(rng: random.Random, events: int) -> list[int]:
    """How many of the events are of each kind: by chance when they are few."""
    if events > _MANY:
        return [events // len(_KINDS)] * len(_KINDS)
    drawn = Counter(rng.randrange(len(_KINDS)) for _ in range(events))
    return [drawn[number] for number in range(len(_KINDS))]


def _worst_day(calls: list[float]) -> int:
    most = first = 0
    for last, at in enumerate(calls):
        while calls[first] <= at - DAY_SECONDS:
            first += 1
        most = max(most, last - first + 1)
    return most


def budget() -> list[Row]:
    """A row for each rate."""
    allowed = int(DAILY_CALLS * SHARE)
    rows = []
    for rate in RATES:
        spent = simulated(rate)
        fresh, lingers = spent.freshness, spent.lingers
        rows.append(
            Row(
                f"daily budget at {rate:g} events/s",
                f"{spent.most:,} calls in the worst 24 h: {spent.most / allowed:.0%} of the share",
                f"≤ {allowed:,}",
                f"between batches p50 {percentile(lingers, 50):.1f} s, p95 {percentile(lingers, 95):.0f} s; "
                f"fresh within p50 {percentile(fresh, 50):.1f} s, p95 {percentile(fresh, 95):.0f} s; "
                f"{HOURS} h simulated, {DAILY_CALLS:,} calls a day, share {SHARE}, "
                f"look-out every {LOOK_OUT_SECONDS} s included",
            )
        )
    return rows
