"""One movable clock for every service of a process."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")
Timer = tuple[datetime, int, Callable[[], None]]


class Clock:
    """Real time plus an offset that tests move.

    Timers set with `at` fire on the event loop: when real time reaches them, or while the clock is being
    moved past them (then in order, each with the clock standing at its own moment). Moving the clock from
    a thread other than the loop's waits until the timers have fired.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta(0)
        self._stands_at: datetime | None = None
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: int | None = None
        self._handle: asyncio.TimerHandle | None = None
        if start is not None:
            self._offset = start.astimezone(UTC) - datetime.now(UTC)

    def now(self) -> datetime:
        """The emulators' present, timezone-aware, in UTC."""
        return self._stands_at or datetime.now(UTC) + self._offset

    def epoch(self) -> int:
        """`now` in whole seconds since 1970, as Stripe stamps its objects."""
        return int(self.now().timestamp())

    def advance(self, seconds: float) -> datetime:
        """Move the clock by `seconds` (negative: back; timers never fire twice) and fire what became due."""
        return self._on_loop(lambda: self._move(self.now() + timedelta(seconds=seconds)))

    def set(self, at: datetime) -> datetime:
        """Move the clock to `at` (aware) and fire what became due."""
        return self._on_loop(lambda: self._move(at.astimezone(UTC)))

    def at(self, when: datetime, callback: Callable[[], None]) -> None:
        """Call `callback` once the clock reaches `when`; a past moment fires on the loop's next turn."""
        heapq.heappush(self._timers, (when.astimezone(UTC), next(self._order), callback))
        self._arm()

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """`at`, counted from now."""
        self.at(self.now() + timedelta(seconds=seconds), callback)

    def clear_timers(self) -> None:
        """Forget every timer (a reset of the services)."""
        self._timers.clear()
        self._arm()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fire timers on `loop`; called on the loop's own thread by whoever runs it."""
        self._loop, self._loop_thread = loop, threading.get_ident()
        self._arm()

    def unbind(self) -> None:
        """Stop firing by real time (the loop is going away)."""
        if self._handle is not None:
            self._handle.cancel()
        self._loop = self._loop_thread = self._handle = None

    def _on_loop(self, work: Callable[[], T]) -> T:
        loop = self._loop
        if loop is None or threading.get_ident() == self._loop_thread:
            return work()

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), loop).result(timeout=30)

    def _move(self, target: datetime) -> datetime:
        self._fire(until=target)
        self._offset = target - datetime.now(UTC)
        self._arm()
        return target

    def _fire(self, until: datetime) -> None:
        try:
            while self._timers and self._timers[0][0] <= until:
                when, _, callback = heapq.heappop(self._timers)
                self._stands_at = max(when, self.now())
                callback()
        finally:
            self._stands_at = None

    def _fire_due(self) -> None:
        self._handle = None
        self._fire(until=self.now())
        self._arm()

    def _arm(self) -> None:
        loop = self._loop
        if loop is None or self._stands_at is not None:
            return
        if threading.get_ident() != self._loop_thread:
            loop.call_soon_threadsafe(self._arm)
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._timers:
            wait = (self._timers[0][0] - self.now()).total_seconds()
            self._handle = loop.call_later(max(0.0, wait), self._fire_due)
