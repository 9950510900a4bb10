"""uvicorn, with the one thing it hides: the transport, so that a fault can cut a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emulators.engine.clock import Clock
from emulators.engine.service import Service

GRACE_SECONDS = 0.3


class CuttableProtocol(H11Protocol):
    """Hands `transport` to the application in `scope["state"]`."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's signature the same way
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class QuietServer(uvicorn.Server):
    """Leaves signals to whoever runs the loop, and stops at once when told."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def main_loop(self) -> None:
        while not self._stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close, give answers under way a moment, then cut what is left. Quick: each test stops a server."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_SECONDS
        # uvicorn keeps plain sets of connections and tasks: there is no event to wait for
        while (state.connections or state.tasks) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        left = list(state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket (port 0: any free one); raises OSError when the port is taken."""
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP: with 0 each answer costs 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def address(listener: socket.socket, scheme: str = "http") -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{host}:{port}"


async def serve(
    pairs: Sequence[tuple[Service, socket.socket]], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Serve each service on its socket until `stop`, all on the running loop; it also fires their clocks."""
    clocks: list[Clock] = list({id(service.clock): service.clock for service, _ in pairs}.values())
    for clock in clocks:
        clock.bind(asyncio.get_running_loop())
    servers = [QuietServer(_config(service), stop) for service, _ in pairs]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, (_, listener) in zip(servers, pairs, strict=True)
    ]
    try:
        for service, _ in pairs:
            await service.start()
        while not all(server.started for server in servers):
            await asyncio.sleep(0.005)
            for task in tasks:
                if task.done():
                    task.result()
        ready.set()
        await stop.wait()
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        for service, _ in pairs:
            await service.aclose()
        for clock in clocks:
            clock.unbind()


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        service.app(),
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        date_header=False,  # each service says its own time
        proxy_headers=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )
