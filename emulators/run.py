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
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import TracebackType

from emulators.engine.clock import Clock
from emulators.engine.server import address, listen, serve
from emulators.engine.service import Service

HOST = "127.0.0.1"
DEFAULT_PORTS: Mapping[str, int] = {"stripe": 12111, "salesforce": 12112, "slack": 12113, "mail": 12114}
DOORS: Mapping[str, Mapping[str, int]] = {"mail": {"smtp": 12115}}
"""Service → its ports besides the one for HTTP."""
SERVICE_CLASSES: Mapping[str, str] = {
    "stripe": "emulators.stripe.service:StripeService",
    "salesforce": "emulators.salesforce.service:SalesforceService",
    "slack": "emulators.slack.service:SlackService",
    "mail": "emulators.mail.service:MailService",
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
    """Serve in one background thread on free ports: `{"stripe": "http://127.0.0.1:PORT", …}`; doors stand beside."""
    listeners = _listen_all(services, lambda _name: (HOST, 0))
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
        yield _addresses(services, listeners)
    finally:
        if stop_thread and runner.is_alive():
            loop, stop = stop_thread[0]
            loop.call_soon_threadsafe(stop.set)
        runner.join(10)
        _close_all(services, listeners)
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
        self.ports = {name: (ports or {}).get(name, 0) for name in ports_of(self.services)}
        self.process: subprocess.Popen[str] | None = None
        self.urls: dict[str, str] = {}

    def start(self) -> dict[str, str]:
        """Start the child and wait for its addresses."""
        flags = [flag for name, port in self.ports.items() for flag in (f"--{name}-port", str(port))]
        command = [sys.executable, "-m", "emulators", "--only", ",".join(self.services), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout is None:
            raise RuntimeError("the emulators' output is not a pipe")
        for _ in self.ports:
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


class PortTakenError(Exception):
    """Something else listens where an emulator should."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(
            f"Port {port}, which {name} wants, is taken: do the emulators run already? "
            f"Otherwise stop what listens there, or choose another: --{name}-port N (0 picks a free one)."
        )


async def run_until_signal(services: Sequence[Service], ports: Mapping[str, int], host: str = HOST) -> None:
    """Serve on the given ports, print `name address` lines, end at SIGTERM or SIGINT. Raises PortTakenError."""
    listeners = _listen_all(services, lambda name: (host, ports.get(name, 0)))
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    task = asyncio.create_task(serve(list(zip(services, listeners, strict=True)), stop, ready))
    announce = asyncio.create_task(_announce(_addresses(services, listeners), ready))
    try:
        await task
    finally:
        announce.cancel()
        _close_all(services, listeners)


async def _announce(addresses: Mapping[str, str], ready: asyncio.Event) -> None:
    await ready.wait()
    for name, url in addresses.items():
        sys.stdout.write(f"{name} {url}\n")
    sys.stdout.flush()


def ports_of(names: Sequence[str]) -> dict[str, int]:
    """The usual port of each service and of its doors."""
    return {
        port: usual
        for name in names
        for port, usual in {name: DEFAULT_PORTS[name], **DOORS.get(name, {})}.items()
    }


def _listen_all(services: Sequence[Service], place: Callable[[str], tuple[str, int]]) -> list[socket.socket]:
    """A socket for each service; those of its doors stand in `listeners`. Raises PortTakenError."""
    listeners: list[socket.socket] = []

    def bound(name: str) -> socket.socket:
        host, port = place(name)
        try:
            return listen(host, port)
        except OSError as error:
            _close_all(services, listeners)
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(name, port) from error
            raise

    for service in services:
        listeners.append(bound(service.name))
        for door in service.doors:
            service.listeners[door] = bound(door)
    return listeners


def _close_all(services: Sequence[Service], listeners: Sequence[socket.socket]) -> None:
    for listener in (*listeners, *(one for service in services for one in service.listeners.values())):
        listener.close()


def _addresses(services: Sequence[Service], listeners: Sequence[socket.socket]) -> dict[str, str]:
    """Name → address, of services and doors."""
    found: dict[str, str] = {}
    for service, listener in zip(services, listeners, strict=True):
        found[service.name] = address(listener)
        found |= {name: address(service.listeners[name], scheme) for name, scheme in service.doors.items()}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: `python -m emulators [--only stripe,slack] [--stripe-port N] … [--host H]`."""
    parser = argparse.ArgumentParser(
        prog="python -m emulators", description="Local Stripe, Salesforce, Slack and mail."
    )
    parser.add_argument("--host", default=HOST, help="address to listen on (default %(default)s)")
    parser.add_argument("--only", default=",".join(DEFAULT_PORTS), help="services, separated by commas")
    for name, port in ports_of(list(DEFAULT_PORTS)).items():
        parser.add_argument(
            f"--{name}-port", type=int, default=port, help="0 picks a free one (default %(default)s)"
        )
    chosen = parser.parse_args(arguments)
    names = [name.strip() for name in chosen.only.split(",") if name.strip()]
    for name in names:
        if name not in SERVICE_CLASSES:
            parser.error(f"unknown service {name!r}; known: {', '.join(SERVICE_CLASSES)}")
    ports = {name: getattr(chosen, f"{name}_port") for name in ports_of(names)}
    try:
        asyncio.run(run_until_signal(make_services(names), ports, chosen.host))
    except PortTakenError as error:
        sys.exit(str(error))
