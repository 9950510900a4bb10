"""How fast the inbox may be worked on: the day's share of Salesforce calls, counted over all processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from order_to_cash.domain.linger import (
    DAY_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Bucket,
    Lane,
    Quota,
    linger_seconds,
    open_lanes,
)
from tasks.company import Company

# What a batch of one event costs at most: look for its Account, two waves of records, roll-ups.
FIRST_GUESS = 6.0
_RESERVE = 0.20  # of the org's calls: never ours
_PLENTY = 0.5  # of a full bucket
_LOOK_OUT = 0.25  # of what flows in, when it runs low
_SLICE = timedelta(hours=1)
# Each count reads the rows since the mark; the mark moves on before they become many.
_MARK_LASTS = timedelta(minutes=10)


class Pace:
    """Asks the audit log what was spent, the gateway what the org allows, and says when the next batch may begin."""

    def __init__(self, company: Company, share: Decimal) -> None:
        self._company = company
        self._share = float(share)
        self._bucket: Bucket | None = None
        self._mark = company.clock.now()
        self._counted = 0
        self._lock = asyncio.Lock()
        self._calls_per_batch = FIRST_GUESS
        self.spent = False  # as last asked: the bucket cannot pay for one batch

    async def linger_seconds(self, in_flight: int = 0) -> float:
        """Seconds from the beginning of the last batch to the next; `in_flight` batches are still to be paid."""
        bucket = await self._current()
        if bucket is None:
            return SHORTEST_SECONDS
        at = self._company.clock.now().timestamp()
        self.spent = bucket.level(at) < self._calls_per_batch * (1 + in_flight)
        usage = self._company.salesforce.api_usage
        org_left = usage.limit * (1 - _RESERVE) - usage.used if usage is not None else None
        cost = self._calls_per_batch * (1 + in_flight)
        return linger_seconds(bucket, cost, self._company.clock.now().timestamp(), org_left=org_left)

    async def look_out_seconds(self, wanted: float) -> float:
        """Seconds between two looks for won deals: `wanted`, or more when the day's share runs low.

        Every 10 s makes 8,640 calls a day, more than half of a small org's.
        """
        bucket = await self._current()
        if bucket is None or bucket.fill(self._company.clock.now().timestamp()) >= _PLENTY:
            return wanted
        return max(wanted, min(LONGEST_SECONDS, 1 / (bucket.quota.per_second * _LOOK_OUT)))

    async def lanes(self) -> tuple[Lane, ...]:
        """Whose events may be taken up now."""
        bucket = await self._current()
        return tuple(Lane) if bucket is None else open_lanes(bucket, self._company.clock.now().timestamp())

    def learnt(self, calls: int) -> None:
        """A batch took so many calls. A dearer one is believed at once, a cheaper one slowly."""
        if calls > self._calls_per_batch:
            self._calls_per_batch = float(calls)
        else:
            self._calls_per_batch += (max(FIRST_GUESS, calls) - self._calls_per_batch) * 0.1

    async def _current(self) -> Bucket | None:
        usage = self._company.salesforce.api_usage
        if usage is None:
            return None
        quota = Quota(usage.limit, self._share)
        async with self._lock:  # counted once, however many ask at a time
            if self._bucket is None or self._bucket.quota != quota:
                await asyncio.to_thread(self._replay, quota)
            else:
                await asyncio.to_thread(self._take_over, self._bucket)
        return self._bucket

    def _replay(self, quota: Quota) -> None:
        now = self._company.clock.now()
        audit, spent = self._company.ledger.audit, []
        for since in _slices(now):
            # All of an hour counts as made at its end: the bucket is never believed fuller than it is.
            until = min(since + _SLICE, now)
            spent.append((until.timestamp(), audit.count("salesforce", since, until)))
        self._bucket = Bucket.replayed(quota, spent, now.timestamp())
        self._mark, self._counted = now, 0

    def _take_over(self, bucket: Bucket) -> None:
        now = self._company.clock.now()
        total = self._company.ledger.audit.count("salesforce", self._mark)
        if total > self._counted:
            bucket.spend(total - self._counted, now.timestamp())
            self._counted = total
        if now - self._mark >= _MARK_LASTS:
            self._mark = now
            self._counted = self._company.ledger.audit.count("salesforce", now)


def _slices(now: datetime) -> Iterator[datetime]:
    since = now - timedelta(seconds=DAY_SECONDS)
    while since < now:
        yield since
        since += _SLICE
