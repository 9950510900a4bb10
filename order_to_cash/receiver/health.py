"""Questions to the database whose answers are kept for a moment, so that whoever asks often costs nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The newest answer of a blocking `question`, asked at most once in `fresh_seconds` and never twice at a time.

    Asked in a thread that nobody waits for at the end: a database that hangs holds no shutdown.
    """

    def __init__(self, question: Callable[[], T], fresh_seconds: float, patience_seconds: float) -> None:
        self._question = question
        self._fresh_seconds = fresh_seconds
        self._patience_seconds = patience_seconds
        self._answer: T | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[T | None] | None = None

    async def get(self) -> T | None:
        """The answer; None when the question raised, or is not answered within `patience_seconds`."""
        loop = asyncio.get_running_loop()
        if self._asking is None:
            if loop.time() - self._asked_at < self._fresh_seconds:
                return self._answer
            self._asked_at = loop.time()
            self._asking = loop.create_future()
            threading.Thread(
                target=self._ask, args=(loop, self._asking), name="question", daemon=True
            ).start()
        done, _ = await asyncio.wait({self._asking}, timeout=self._patience_seconds)
        return self._answer if done else None

    def _ask(self, loop: asyncio.AbstractEventLoop, asking: asyncio.Future[T | None]) -> None:
        answer: T | None = None
        with suppress(Exception):
            answer = self._question()
        with suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(self._heard, answer, asking)

    def _heard(self, answer: T | None, asking: asyncio.Future[T | None]) -> None:
        self._answer, self._asking = answer, None
        asking.set_result(answer)
