"""Prefect's client, told to ask again soon when its server is busy for a moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

Send = Callable[..., Awaitable[Any]]

# 3 s together; after that Prefect's own, longer waits follow. At load 8 five tries within 1.6 s were not always enough.
PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.2, 0.4, 0.4, 0.8, 0.8)
_BUSY = 503


def ask_again_soon() -> None:
    """Repeat a request within three seconds before Prefect's own waits of 2, 4, 8, 16 and 32 s begin.

    On SQLite its server answers 503 whenever two of its transactions meet ("database is locked", at once and without
    saying when to come back). Of 63 runs at ten events a second eight began two to three seconds late and one six
    (Prefect 3.8.8); all of Prefect's waits in a row make 62 s.
    """
    from prefect.client.base import PrefectHttpxAsyncClient

    original = PrefectHttpxAsyncClient._send_with_retry
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    async def patient(client: Any, request: Any, send: Send, *args: Any, **kwargs: Any) -> Any:
        return await original(client, request, soon_again(send), *args, **kwargs)

    setattr(PrefectHttpxAsyncClient, "_send_with_retry", patient)  # noqa: B010 - a method, which mypy would not have replaced


def soon_again(send: Send, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Send:
    """`send`, repeated after each of the pauses while the answer is a 503 that names no time."""

    async def repeated(*args: Any, **kwargs: Any) -> Any:
        for seconds in PAUSES_SECONDS:
            answer = await send(*args, **kwargs)
            if answer.status_code != _BUSY or {"Retry-After", "Prefect-Maintenance"} & set(_names(answer)):
                return answer
            await pause(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        return await send(*args, **kwargs)

    return repeated


def _names(answer: Any) -> list[str]:
    return [name.title() for name in answer.headers]
