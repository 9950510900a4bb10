"""Running emulated services: in a thread for tests, in this process, or in one of their own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import TracebackType

from emulators.engine.clock import Clock
from emulators.engine.server import address, listen, serve
from emulators.engine.service import Service

HOST = "127.0.0.1"
DEFAULT_PORTS: Mapping[str, int] = {"stripe": 12111, "salesforce": 12112, "slack": 12113}
SERVICE_CLASSES: Mapping[str, str] = {
    "stripe": "emulators.stripe.service:StripeService",
    "salesforce": "emulators.salesforce.service:SalesforceService",
    "slack": "emulators.slack.service:SlackService",
}
START_SECONDS = 20.0


def make_services(names: Sequence[str], clock: Clock | None = None) -> list[Service]:
    """The named services on one clock; each class is imported only here."""
    shared = clock or Clock()
    services: list[Service] = []
    for name in names:
        module, _, attribute = SERVICE_CLASSES[name].partition(":")
        service = getattr(import_module(module), attribute)(shared)
        if not isinstance(service, Service):
            raise TypeError(f"{SERVICE_CLASSES[name]} is not an emulator service")
        services.append(service)
    return services


@contextlib.contextmanager
def running(*services: Service) -> Iterator[dict[str, str]]:
    """Serve in one background thread on free ports: `{"stripe": "http://127.0.0.1:PORT", …}`."""
    listeners = [listen(HOST, 0) for _ in services]
    started = threading.Event()
    stop_thread: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failure: list[BaseException] = []

    async def body() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        stop_thread.append((asyncio.get_running_loop(), stop))
        task = asyncio.create_task(serve(list(zip(services, listeners, strict=True)), stop, ready))
        waiter = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        started.set()
        await task

    def thread() -> None:
        try:
            asyncio.run(body())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failure.append(error)
        finally:
            started.set()

    runner = threading.Thread(target=thread, name="emulators", daemon=True)
    runner.start()
    in_time = started.wait(START_SECONDS)
    try:
        if not in_time:
            raise RuntimeError(f"the emulators did not start within {START_SECONDS} s")
        if failure:
            raise failure[0]
        yield {service.name: address(listener) for service, listener in zip(services, listeners, strict=True)}
    finally:
        if stop_thread and runner.is_alive():
            loop, stop = stop_thread[0]
            loop.call_soon_threadsafe(stop.set)
        runner.join(10)
        for listener in listeners:
            listener.close()
    if failure:
        raise failure[0]


class EmulatorProcess:
    """`python -m emulators` as a child process, for whoever must survive or outlive its parent's crashes.

    `with EmulatorProcess(["stripe"]) as urls:` gives the same mapping as `running`; ports 0 pick free ones.
    Raises RuntimeError when the child ends before it printed its addresses.
    """

    def __init__(
        self, services: Sequence[str] = tuple(DEFAULT_PORTS), ports: Mapping[str, int] | None = None
    ) -> None:
        self.services = list(services)
        self.ports = {name: (ports or {}).get(name, 0) for name in self.services}
        self.process: subprocess.Popen[str] | None = None
        self.urls: dict[str, str] = {}

    def start(self) -> dict[str, str]:
        """Start the child and wait for its addresses."""
        flags = [flag for name, port in self.ports.items() for flag in (f"--{name}-port", str(port))]
        command = [sys.executable, "-m", "emulators", "--only", ",".join(self.services), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout is None:
            raise RuntimeError("the emulators' output is not a pipe")
        for _ in self.services:
            name, _, url = self.process.stdout.readline().strip().partition(" ")
            if not url:
                self.stop()
                raise RuntimeError("the emulators did not start; see their output above")
            self.urls[name] = url
        return self.urls

    def stop(self) -> None:
        """End the child (SIGTERM) and wait for it."""
        if self.process is None:
            return
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def __enter__(self) -> dict[str, str]:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def run_until_signal(services: Sequence[Service], ports: Mapping[str, int], host: str = HOST) -> None:
    """Serve on the given ports, print `name address` lines, end at SIGTERM or SIGINT."""
    listeners: list[socket.socket] = []
    try:
        listeners.extend(listen(host, ports.get(service.name, 0)) for service in services)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    task = asyncio.create_task(serve(list(zip(services, listeners, strict=True)), stop, ready))
    announce = asyncio.create_task(_announce(services, [address(each) for each in listeners], ready))
    try:
        await task
    finally:
        announce.cancel()
        for listener in listeners:
            listener.close()


async def _announce(services: Sequence[Service], urls: Sequence[str], ready: asyncio.Event) -> None:
    await ready.wait()
    for service, url in zip(services, urls, strict=True):
        sys.stdout.write(f"{service.name} {url}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: `python -m emulators [--only stripe,slack] [--stripe-port N] … [--host H]`."""
    parser = argparse.ArgumentParser(
        prog="python -m emulators", description="Local Stripe, Salesforce and Slack."
    )
    parser.add_argument("--host", default=HOST, help="address to listen on (default %(default)s)")
    parser.add_argument("--only", default=",".join(DEFAULT_PORTS), help="services, separated by commas")
    for name, port in DEFAULT_PORTS.items():
        parser.add_argument(
            f"--{name}-port", type=int, default=port, help="0 picks a free one (default %(default)s)"
        )
    chosen = parser.parse_args(arguments)
    names = [name.strip() for name in chosen.only.split(",") if name.strip()]
    for name in names:
        if name not in SERVICE_CLASSES:
            parser.error(f"unknown service {name!r}; known: {', '.join(SERVICE_CLASSES)}")
    ports = {name: getattr(chosen, f"{name}_port") for name in names}
    try:
        asyncio.run(run_until_signal(make_services(names), ports, chosen.host))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(
            f"A port is taken (wanted {ports}). Stop what listens there, or choose others: --stripe-port N …"
        )
