"""Many requests, one transaction: a thread commits all that waits, then all of them are answered."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from order_to_cash.domain.errors import O2CError, Retryable
from order_to_cash.receiver.limits import Limits

LOG = logging.getLogger("o2c.receiver")
_END_SECONDS = 1.0  # after the last answer nothing is in hand, unless the database hangs

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting(Generic[T]):
    item: T
    size: int
    done: asyncio.Future[bool]


class Writer(Generic[T]):
    """Commits items in the order in which they come, as many in one transaction as wait at that moment.

    Belongs to one event loop; `commit` runs in a thread of its own and raises when nothing of its batch was written.
    """

    def __init__(self, commit: Callable[[Sequence[T]], object], limits: Limits, name: str) -> None:
        self._commit = commit
        self._limits = limits
        self._name = name
        self._waiting: list[_Waiting[T]] = []
        self._in_hand: list[_Waiting[T]] = []
        self._size = 0
        self._late = False
        self._failed = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[list[_Waiting[T]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Items whose commit is not known yet."""
        return len(self._waiting) + len(self._in_hand)

    @property
    def late(self) -> bool:
        """Whether the database owes an answer for longer than `commit_seconds`."""
        return self._late

    def start(self) -> None:
        """In the event loop to which the writer belongs from then on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"{self._name}-writer", daemon=True)
        self._thread.start()

    async def write(self, item: T, size: int) -> bool:
        """Whether `item` of `size` bytes is committed. False: not, or not known; the sender must send it again.

        At once when too much waits, or while the database owes an answer for longer than `commit_seconds`.
        """
        limits = self._limits
        full = len(self._waiting) >= limits.waiting or self._size + size > limits.waiting_bytes
        if full or self._late:
            return False
        entry = _Waiting(item, size, self._loop.create_future())
        self._waiting.append(entry)
        self._size += size
        if not self._in_hand and len(self._waiting) == 1:
            self._loop.call_soon(self._next)  # whatever else this turn of the loop brings comes along
        return await entry.done

    def close(self) -> None:
        """End the thread after what it has in hand; one that hangs in the database is left behind."""
        self._batches.put(None)
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def _next(self) -> None:
        if self._in_hand or not self._waiting:
            return
        most = self._limits.batch
        self._in_hand, self._waiting = self._waiting[:most], self._waiting[most:]
        self._alarm = self._loop.call_later(self._limits.commit_seconds, self._too_long)
        self._batches.put(self._in_hand)

    def _too_long(self) -> None:
        """Nobody waits longer than a sender does. What is committed after all comes again, and is known then."""
        LOG.error("%s: the database has not answered for %g s.", self._name, self._limits.commit_seconds)
        self._late = True
        abandoned, self._waiting, self._size = [*self._in_hand, *self._waiting], [], 0
        for entry in abandoned:
            _settle(entry, written=False)

    def _finished(self, written: Sequence[bool]) -> None:
        batch, self._in_hand = self._in_hand, []
        if self._alarm is not None:
            self._alarm.cancel()
        if self._late:
            self._late = False
            LOG.info("%s: the database answers again.", self._name)
        else:
            self._size -= sum(entry.size for entry in batch)
        for entry, done in zip(batch, written, strict=True):
            _settle(entry, written=done)
        self._next()

    def _work(self) -> None:
        for batch in iter(self._batches.get, None):
            written = self._write([entry.item for entry in batch])
            try:
                self._loop.call_soon_threadsafe(self._finished, written)
            except RuntimeError:
                return  # the loop ended meanwhile: nobody waits for the answer

    def _write(self, items: Sequence[T]) -> list[bool]:
        error = self._try(items)
        if error is None or isinstance(error, Retryable) or len(items) == 1:
            return [error is None] * len(items)
        # One item that the database refuses must not take the others with it.
        return [self._try([item]) is None for item in items]

    def _try(self, items: Sequence[T]) -> Exception | None:
        try:
            self._commit(items)
        except Exception as error:  # noqa: BLE001 — whatever it is: these are not written, and the thread lives on
            self._tell(len(items), error)
            return error
        if self._failed:
            LOG.info("%s: written again, after %d that were not.", self._name, self._failed)
            self._failed = 0
        return None

    def _tell(self, count: int, error: Exception) -> None:
        """The first of a row of failures. Not the error's own text where it is not ours: it may quote the row."""
        if not self._failed:
            what = str(error) if isinstance(error, O2CError) else type(error).__name__
            LOG.error("%s: %d not written: %s", self._name, count, what)
        self._failed += count


def _settle(entry: _Waiting[T], *, written: bool) -> None:
    if not entry.done.done():
        entry.done.set_result(written)
