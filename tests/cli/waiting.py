"""Waiting for what other processes and threads do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECONDS = 15.0
PAUSE_SECONDS = 0.02


async def until(holds: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return once `holds()`; AssertionError when patience is over."""
    for _ in range(int(patience_seconds / PAUSE_SECONDS)):
        if holds():
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("it did not come true")


def until_now(holds: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """The same without an event loop."""
    for _ in range(int(patience_seconds / PAUSE_SECONDS)):
        if holds():
            return
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("it did not come true")
