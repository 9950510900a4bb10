"""The client-side rate limit, below the far side's: one smooth token bucket for threads and coroutines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

_LOWER_BY = 0.85  # what a refusal leaves of the rate: most are strays, and what lasts is refused every second
_LOWER_AT_MOST_EVERY_SECONDS = 1.0  # refusals of calls that were in flight together count once
_FLOOR = 0.1  # of the configured rate
_RECOVERY_SECONDS = 30.0  # from nothing to the full rate
_LONGEST_PAUSE_SECONDS = 60.0
_WINDOW_SECONDS = 1.01  # of `most_a_second`, with a hundredth for what arrives closer together than it left


class Pacer:
    """Hands out departure times `1 / rate` apart; after idling, at most `burst` calls leave together.

    Slots are reserved ahead, so a late wake-up costs its own call some milliseconds but never the rate:
    many callers together keep `per_second`. Late calls leave close together, though; with `most_a_second`
    no second sees more departures than that, however late they are. `slow_down` lowers the rate, which
    recovers with time.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst: float = 1.0,
        most_a_second: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError("a pacer needs a rate above 0 and a burst of at least 1")
        self._full = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._low = per_second
        self._lowered_at = float("-inf")
        self._left: deque[float] | None = deque(maxlen=most_a_second) if most_a_second else None

    @property
    def rate(self) -> float:
        """Calls per second allowed right now."""
        with self._lock:
            return self._rate(self._monotonic())

    def _rate(self, now: float) -> float:
        regained = self._full * (now - self._lowered_at) / _RECOVERY_SECONDS
        return min(self._full, self._low + regained)

    def reserve(self) -> float:
        """Take the next slot and return the seconds to wait for it."""
        with self._lock:
            now = self._monotonic()
            interval = 1 / self._rate(now)
            slot = max(self._next, now - (self._burst - 1) * interval)
            self._next = slot + interval
            return max(0.0, slot - now)

    def slow_down(self, retry_after_seconds: float | None = None) -> None:
        """The far side said 429: lower the rate, and let nothing leave before `retry_after_seconds`."""
        with self._lock:
            now = self._monotonic()
            if now - self._lowered_at >= _LOWER_AT_MOST_EVERY_SECONDS:
                self._low = max(self._full * _FLOOR, self._rate(now) * _LOWER_BY)
                self._lowered_at = now
            if retry_after_seconds is not None:
                pause = min(retry_after_seconds, _LONGEST_PAUSE_SECONDS)
                self._next = max(self._next, now + pause)

    def depart(self) -> float:
        """Leave now, and return 0; or the seconds after which to ask again, when this second is full."""
        with self._lock:
            if self._left is None:
                return 0.0
            now = self._monotonic()
            if len(self._left) == self._left.maxlen and now < self._left[0] + _WINDOW_SECONDS:
                return self._left[0] + _WINDOW_SECONDS - now
            self._left.append(now)
            return 0.0

    async def acquire(self) -> None:
        delay = self.reserve()
        while delay > 0 or (delay := self.depart()) > 0:
            await asyncio.sleep(delay)
            delay = 0.0

    def acquire_blocking(self, stop: threading.Event) -> bool:
        """Wait for the slot in this thread; False when `stop` was set meanwhile."""
        delay = self.reserve()
        while delay > 0 or (delay := self.depart()) > 0:
            if stop.wait(delay):
                return False
            delay = 0.0
        return not stop.is_set()
