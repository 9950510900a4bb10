"""What goes on beside a block of code: leases that are renewed, a beat, upkeep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from order_to_cash.domain.errors import ClaimLost, O2CError

RENEW_EVERY_SECONDS = 30.0
"""Leases last 120 s: a database that does not answer may be asked three times."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `work` go on as long as the block runs. Raises what it raised, at the block's end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def renewing(renew: Callable[[], object]) -> None:
    """Call `renew` in a thread every 30 s, until it is cancelled or the lease is lost.

    A database that does not answer is asked again next time.
    """
    while True:
        await asyncio.sleep(RENEW_EVERY_SECONDS)
        try:
            await asyncio.to_thread(renew)
        except ClaimLost:
            return
        except O2CError:
            continue
