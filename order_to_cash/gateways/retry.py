"""When a call is tried again: bounded exponential backoff with full jitter, shared by every gateway."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_attempts` tries within `max_elapsed_seconds`, counted from the first.

    The wait before try n + 1 is uniform in [0, min(cap, base · 2^(n-1))] ("full jitter"); a Retry-After
    is honoured in full, with up to one base on top so that a crowd does not come back together.
    """

    max_attempts: int = 4
    base_seconds: float = 0.5
    cap_seconds: float = 8.0
    max_elapsed_seconds: float = 60.0

    def delay(
        self, attempt: int, *, elapsed: float, retry_after: float | None, rng: random.Random
    ) -> float | None:
        """Seconds to wait after try `attempt` (1-based) failed, or None: give up."""
        if attempt >= self.max_attempts:
            return None
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60))
        wait = rng.uniform(0, ceiling)
        if retry_after is not None:
            wait = retry_after + rng.uniform(0, self.base_seconds)
        return None if elapsed + wait > self.max_elapsed_seconds else wait


class Attempts:
    """The tries of one call: how many, since when, and whether one of them may have had its effect."""

    def __init__(
        self,
        policy: RetryPolicy,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._rng = rng
        self._monotonic = monotonic
        self._started = monotonic()
        self.made = 0
        self.effect_possible = False

    def next_delay(self, retry_after: float | None = None) -> float | None:
        """Seconds until the next try, or None: give up."""
        elapsed = self._monotonic() - self._started
        return self._policy.delay(self.made, elapsed=elapsed, retry_after=retry_after, rng=self._rng)


def parse_retry_after(value: str | None, *, now: Callable[[], datetime]) -> float | None:
    """Seconds from a Retry-After header: a number or an HTTP date (RFC 9110, 10.2.3), else None."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now()).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None
