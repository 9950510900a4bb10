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


class CuttableProtocol(H11Protocol):
    """Hands `transport` to the application in `scope["state"]`."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's signature the same way
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class QuietServer(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

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


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


async def serve(
    pairs: Sequence[tuple[Service, socket.socket]], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Serve each service on its socket until `stop`, all on the running loop; it also fires their clocks."""
    clocks: list[Clock] = list({id(service.clock): service.clock for service, _ in pairs}.values())
    for clock in clocks:
        clock.bind(asyncio.get_running_loop())
    servers = [QuietServer(_config(service)) for service, _ in pairs]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, (_, listener) in zip(servers, pairs, strict=True)
    ]
    try:
        while not all(server.started for server in servers):
            await asyncio.sleep(0.005)
            for task in tasks:
                if task.done():
                    task.result()
        ready.set()
        await stop.wait()
    finally:
        for server in servers:
            server.should_exit = True
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
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )
