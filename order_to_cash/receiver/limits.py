"""How much one sender may ask of the receiver, and reading a body within that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import Receive, Scope

from order_to_cash.receiver.answers import GONE, NO_ROOM, TOO_LARGE, TOO_SLOW, Refusal


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. `patience_seconds`: for what the database is asked on readiness and metrics.

    Stripe's largest events are some 100 KB and come in one piece; it waits 20 to 30 s for an answer.
    """

    body_bytes: int = 2**20
    body_seconds: float = 10.0
    reading_bytes: int = 64 * 2**20
    head_bytes: int = 64 * 1024
    head_seconds: float = 10.0
    connections: int = 2000
    waiting: int = 10_000
    waiting_bytes: int = 64 * 2**20
    batch: int = 1000
    commit_seconds: float = 8.0
    goodbye_seconds: int = 9
    patience_seconds: float = 3.0


def header(scope: Scope, name: bytes) -> bytes:
    """The header of that lower-case name; empty when it is missing or stands there twice."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else b""


class BodyReader:
    """Reads bodies for all requests of a process. Nobody is known before his body is there: so what all of them hold
    together is bounded as well.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, byte for byte. Raises Refusal when it is too large, before more than the limit is held, or
        too slow, or the sender hangs up, or there is no room.

        The time counts for the body as a whole: a sender of single bytes holds a connection no longer than others.
        """
        announced = header(scope, b"content-length")
        if announced.isdigit() and (len(announced) > 15 or int(announced) > self._limits.body_bytes):
            raise Refusal(TOO_LARGE)
        whole = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                more = True
                while more:
                    piece, more = await self._piece(receive)
                    if not more and not whole:
                        return piece  # as nearly all come
                    self._held += len(piece)
                    whole += piece
                    if len(whole) > self._limits.body_bytes:
                        raise Refusal(TOO_LARGE)
                    if self._held > self._limits.reading_bytes:
                        raise Refusal(NO_ROOM)
        except TimeoutError:
            raise Refusal(TOO_SLOW) from None
        finally:
            self._held -= len(whole)
        return bytes(whole)

    @staticmethod
    async def _piece(receive: Receive) -> tuple[bytes, bool]:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(GONE)
        return message.get("body", b""), message.get("more_body", False)
