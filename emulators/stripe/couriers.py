"""A small HTTP client for webhooks: a few connections that are kept, so that thousands of events a second can leave."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Place = tuple[str, int, bool]


class Couriers:
    """Works off jobs in their order, at most `limit()` at a time, on connections that stay open between them."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._jobs: deque[Callable[[], Awaitable[None]]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: defaultdict[Place, list[Connection]] = defaultdict(list)

    @property
    def waiting(self) -> int:
        """Jobs that no courier has taken up."""
        return len(self._jobs)

    @property
    def busy(self) -> int:
        """Couriers that are under way."""
        return len(self._workers)

    def take(self, job: Callable[[], Awaitable[None]]) -> bool:
        """Do it in the background; False when no event loop runs, and nothing could be received."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False  # the clock was moved without a server
        self._jobs.append(job)
        if len(self._workers) < self._limit():
            worker = loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return True

    async def _work(self) -> None:
        while self._jobs:
            await self._jobs.popleft()()

    async def aclose(self) -> None:
        self._jobs.clear()
        for worker in list(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
        self._idle.clear()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> int | None:
        """The answer's status, or None when none came."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        place = (parts.hostname or "", parts.port or (443 if tls else 80), tls)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange(place, request)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return None

    async def _exchange(self, place: Place, request: bytes) -> int:
        while self._idle[place]:
            connection = self._idle[place].pop()
            try:
                return await self._ask(place, connection, request)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # the receiver had closed it meanwhile
        host, port, tls = place
        context = ssl.create_default_context() if tls else None
        return await self._ask(place, await asyncio.open_connection(host, port, ssl=context), request)

    async def _ask(self, place: Place, connection: Connection, request: bytes) -> int:
        reader, writer = connection
        try:
            writer.write(request)
            await writer.drain()
            status, keep = await _answer(reader)
        except BaseException:
            writer.close()
            raise
        if keep:
            self._idle[place].append(connection)
        else:
            writer.close()
        return status


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    modern, status = head[0].startswith("HTTP/1.1"), int(head[0].split(" ", 2)[1])
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
        return status, modern and headers.get("connection") != "close"
    return status, modern and status in (204, 304)
