"""uvicorn with what an address on the internet needs: heads that must arrive in time, and an end that answers first."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.receiver.limits import Limits

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol
else:
    HTTPProtocol = AutoHTTPProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s for which load balancers keep a connection open: they must be the ones to close it."""

_BACKLOG = 2048
_OWN_FILES = 100  # the database's, logs, libraries
_LOOKS_EVERY_SECONDS = 1.0


class PromptProtocol(HTTPProtocol):
    """uvicorn's protocol, which by itself waits forever for a head, and with httptools for one without end."""

    limits = Limits()
    head_since: float | None = None
    _head_bytes = 0

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's signature the same way
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.head_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            # A request is being handled, which has limits of its own.
            self.head_since, self._head_bytes = None, 0
            return
        if self.head_since is None:
            self.head_since = self.loop.time()
        self._head_bytes += len(data)
        if self._head_bytes > self.limits.head_bytes:
            self.cut()

    def cut(self) -> None:
        """Hang up on a sender that does not come to the point."""
        if not self.transport.is_closing():
            self.transport.abort()


class _Server(uvicorn.Server):
    """Leaves signals to `end`, and looks after connections that do not come to the point."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self._limits = limits
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_start: Callable[[], None] | None = None

    def end(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self.on_start is not None:
            self.on_start()
        while not self.should_exit:
            await self.on_tick(0)  # renews the Date header
            self._cut_slow_heads(self._loop.time() - self._limits.head_seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _LOOKS_EVERY_SECONDS)

    def _cut_slow_heads(self, latest: float) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, PromptProtocol):
                since = connection.head_since
                if since is not None and since < latest:
                    connection.cut()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ReceiverServer:
    """Serves one ASGI application on a socket that is bound already. `stop` may come from a signal handler."""

    def __init__(self, app: ASGIApp, listener: socket.socket, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._listener = listener
        connections = min(limits.connections, _files(limits.connections + _OWN_FILES) - _OWN_FILES)
        protocol: Any = type("Prompt", (PromptProtocol,), {"limits": limits})
        config = uvicorn.Config(
            app,
            http=protocol,
            interface="asgi3",  # a bound method is guessed to be ASGI 2
            ws="none",
            lifespan="on",
            access_log=False,  # a line a delivery says nothing that the metrics do not
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nobody asks who the caller is
            limit_concurrency=connections,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=limits.goodbye_seconds,
            backlog=_BACKLOG,
        )
        self._server = _Server(config, limits)

    async def serve(self, on_start: Callable[[], None] | None = None) -> None:
        """Until `stop`: no new connection is taken then, and what is under way is answered.

        `on_start` is called once when deliveries are answered.
        """
        self._server.on_start = on_start
        # uvicorn says "Invalid HTTP request received" for each; scanners of the internet send little else.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        await self._server.serve([self._listener])

    def stop(self) -> None:
        """End soon. From any thread or signal handler; safe to call again."""
        self._server.end()


def run(main: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, on uvloop where that is installed; httptools is taken in the same way."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket (port 0: any free one). Raises ConfigurationError when host or port cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sets TCP_NODELAY only on sockets that say they are TCP: with 0 each answer costs 40 ms.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise _unusable(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(
            _BACKLOG
        )  # here, not later: who tests for a listener finds one as soon as this returns
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from None
    return listener


def _files(wanted: int) -> int:
    """How many files and sockets this process may have open, after asking for so many. Many systems begin with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _unusable(host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {port} of {host} is in use.",
            code="port_taken",
            remedy="Stop what listens there, or put another port into O2C_RECEIVE_PORT.",
        )
    return ConfigurationError(
        f"The receiver cannot listen on {host}, port {port} ({error.strerror}).",
        code="address_unusable",
        remedy="Correct O2C_RECEIVE_HOST and O2C_RECEIVE_PORT: an address of this machine, a port that is allowed.",
    )
