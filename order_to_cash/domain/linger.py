"""How long events may gather before Salesforce is called: short while the day's share lasts, longer as it runs out.

The share is a bucket of calls that fills evenly over the day. What is in it may be spent at once, in a burst; what
flows in over 24 hours and a full bucket are the share together. So no window of 24 hours sees more calls than the
share, however it lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

DAY_SECONDS = 86_400.0
SHORTEST_SECONDS = 0.3
LONGEST_SECONDS = 60.0

# Of the share: what a burst may take at once, and what covers calls that a batch made beyond its estimate.
_BURST = 0.20
_SPARE = 0.03
# Of a full bucket: above it nothing is slowed down; from there down to empty the linger grows to what flows in.
_CALM = 0.50
# What lower lanes leave in the bucket for what happens meanwhile.
_CATCH_UP_ABOVE = 0.20
_BULK_ABOVE = 0.40


class Lane(StrEnum):
    """What a call is for; the order is the order of precedence."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Quota:
    """`daily_calls`: what Salesforce allows the whole org in 24 hours. `share`: of them what o2c may use, 0 to 0.8."""

    daily_calls: int
    share: float

    @property
    def allowed(self) -> float:
        """Calls in any 24 hours."""
        return self.daily_calls * self.share

    @property
    def capacity(self) -> float:
        """Calls of a full bucket."""
        return self.allowed * _BURST

    @property
    def per_second(self) -> float:
        """Calls that flow in."""
        return self.allowed * (1 - _BURST - _SPARE) / DAY_SECONDS


class Bucket:
    """The calls that may be spent now. `at` is any clock in seconds that does not go back."""

    def __init__(self, quota: Quota, at: float, level: float | None = None) -> None:
        self.quota = quota
        self._level = quota.capacity if level is None else min(level, quota.capacity)
        self._at = at

    @classmethod
    def replayed(cls, quota: Quota, spent: Iterable[tuple[float, int]], at: float) -> Bucket:
        """The bucket after what was spent before: ``(moment, calls)`` of the last 24 hours, oldest first."""
        bucket = cls(quota, at - DAY_SECONDS)
        for moment, calls in spent:
            bucket.spend(calls, moment)
        return bucket

    def level(self, at: float) -> float:
        """Calls in the bucket; below zero when more was spent than was in it."""
        return min(self.quota.capacity, self._level + max(0.0, at - self._at) * self.quota.per_second)

    def spend(self, calls: float, at: float) -> None:
        """So many calls were made."""
        self._level = self.level(at) - calls
        self._at = max(at, self._at)

    def fill(self, at: float) -> float:
        """How full it is, 0 to 1."""
        return max(0.0, self.level(at) / self.quota.capacity) if self.quota.capacity else 0.0


def linger_seconds(
    bucket: Bucket, calls_per_batch: float, at: float, *, org_left: float | None = None
) -> float:
    """The seconds from the beginning of one batch to the next.

    0.3 s while the bucket is half full or more; from there it grows to what `calls_per_batch` need to flow
    in, at most 60 s. More than that only when the bucket cannot pay for one batch: the share is never exceeded.
    `org_left` are the calls that the whole org has left below its reserve: a busy neighbour slows us down as well.
    """
    quota = bucket.quota
    if quota.per_second <= 0:
        return LONGEST_SECONDS
    level = bucket.level(at)
    if level < calls_per_batch:
        return max(LONGEST_SECONDS, (calls_per_batch - level) / quota.per_second)
    fill = level / quota.capacity
    if org_left is not None:
        fill = min(fill, org_left / quota.capacity)
    if fill >= _CALM:
        return SHORTEST_SECONDS
    sustained = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, calls_per_batch / quota.per_second))
    scarce = (_CALM - max(0.0, fill)) / _CALM
    return SHORTEST_SECONDS + (sustained - SHORTEST_SECONDS) * min(1.0, 2 * scarce)


def open_lanes(bucket: Bucket, at: float) -> tuple[Lane, ...]:
    """Whose events may be taken up now. Live ones always: `linger_seconds` paces them."""
    fill = bucket.fill(at)
    lanes = [Lane.LIVE]
    if fill >= _CATCH_UP_ABOVE:
        lanes.append(Lane.CATCH_UP)
    if fill >= _BULK_ABOVE:
        lanes.append(Lane.BULK)
    return tuple(lanes)
