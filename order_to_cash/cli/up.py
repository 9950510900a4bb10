"""`o2c up`: Prefect server, receiver, drain and worker together on one machine, watched and restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import typer

from order_to_cash.cli import emulated_webhooks, lock
from order_to_cash.cli.deployments import WORK_POOL, apply_deployments
from order_to_cash.cli.init import make_parts, use_prefect
from order_to_cash.cli.processes import (
    Child,
    Supervisor,
    answers,
    free_port,
    is_listening,
    o2c_argv,
    together,
)
from order_to_cash.cli.status import page_url
from order_to_cash.cli.wiring import make_home, open_ledger, require_emulators
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.settings import ENV_FILE, Settings, load_settings, variable

Say = Callable[[str], None]
STAGE_SERVER, STAGE_OURS = 1, 2
LOOKS_OUT = "Looking for won deals"  # what the drain says once it does
WORKER_READY = "started!"  # what Prefect's worker says
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
START_SECONDS = 120.0  # the drain loads Prefect and Great Expectations: 10 s, and more on a busy machine


def run(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM, then stop everything in order. Raises ConfigurationError, Unavailable."""
    require_emulators(settings)
    held = lock.hold(
        make_home(settings) / "up.lock",
        "`o2c up`",
        f"Stop it, or give this one an O2C_HOME of its own instead of {settings.home}.",
    )
    asyncio.run(_up(settings, held))


async def _up(settings: Settings, held: int) -> None:
    stop = stopped_by_signals()
    house = House(settings, typer.echo, held)
    starting = asyncio.create_task(house.start())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            typer.echo(f"\nReady. Prefect UI: {house.ui}   Logs: {house.logs}   Stop: Ctrl-C")
            typer.echo(f"How it stands: {page_url(house.ui)}, or o2c status")
            await stopped
    finally:
        typer.echo("Stopping …")
        for task in (starting, stopped):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await house.stop()
    typer.echo("Stopped.")


def stopped_by_signals() -> asyncio.Event:
    """Set by Ctrl-C, by SIGTERM, and when the terminal is closed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


# By default the server records each state of a task run in a transaction of its own: 23 ms of processor time a
# task run against 8 ms. The flush interval is cut to whole seconds, and 0 would keep a core busy (Prefect 3.8.8).
SERVER_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}


# glibc keeps memory for up to eight pools a core, and a batch is mapped in whichever thread is free: after eight
# bursts of 20,000 events the drain held 855 MiB, after five with two pools 645 and no more, at the same speed.
FEW_POOLS = {"MALLOC_ARENA_MAX": "2"}


def _env_file() -> str:
    """Where children read the settings; the null device where there is no file, or they would look for one."""
    file = Path(os.environ.get("O2C_ENV_FILE") or ENV_FILE)
    return str(file.absolute()) if file.exists() else os.devnull


class House:
    """The processes of one machine, in the order in which they need each other."""

    def __init__(self, settings: Settings, say: Say, held: int | None = None) -> None:
        self._settings = settings
        self._say = say
        home = make_home(settings).absolute()
        self.logs = home / "logs"
        # Runs of deployments start in the checkout's folder: what is relative to ours is named in full.
        os.environ |= {
            "O2C_HOME": str(home),
            "O2C_ENV_FILE": _env_file(),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            **SERVER_BATCHES,
            **{name: os.environ.get(name, value) for name, value in FEW_POOLS.items()},
            "NO_COLOR": "1",
        }
        use_prefect(settings)
        self._take_port()
        self.supervisor = Supervisor(self.logs, say, held)

    @property
    def ui(self) -> str:
        return self._settings.prefect_api_url.rstrip("/").removesuffix("/api")

    async def start(self) -> None:
        """Everything; return once events are received, the drain looks out and the worker asks for runs.

        Raises ConfigurationError.
        """
        await self.start_server()
        await self.start_services()

    async def start_server(self) -> None:
        """The Prefect server; one that answers already is used as it is. Raises ConfigurationError."""
        health = answers(f"{self._settings.prefect_api_url.rstrip('/')}/health")
        if await health():
            self._say(f"Prefect server  already running at {self.ui}: used as it is")
            return
        address = urlsplit(self._settings.prefect_api_url)
        host, port = address.hostname or "127.0.0.1", address.port or 4200
        if host not in LOOPBACK:
            raise ConfigurationError(
                f"The Prefect server at {self.ui} does not answer, and it is not on this machine.",
                code="prefect_unavailable",
                remedy="Start it there, or correct O2C_PREFECT_API_URL.",
            )
        if is_listening(port):
            raise ConfigurationError(
                f"Something that is not a Prefect server listens on port {port}.",
                code="port_taken",
                remedy="Stop it, or put another port into O2C_PREFECT_API_URL.",
            )
        argv = [sys.executable, "-m", "order_to_cash.cli.prefect_server", "--host", host, "--port", str(port)]
        server = Child("prefect-server", argv, ready=health, ready_seconds=90, stage=STAGE_SERVER)
        await self.supervisor.start(server)
        self._say(f"Prefect server  {self.ui}")

    async def start_services(self) -> None:
        """What `o2c init` does, the deployments, receiver, drain and worker; the server runs already."""
        await self._prepare_receiver()
        await asyncio.to_thread(self._prepare_ledger)
        await together(self._start_receiver(), self._start_drain(), self._start_worker())

    async def _prepare_receiver(self) -> None:
        """With the emulators: its endpoint there, whose secret all processes are given."""
        if emulated_webhooks.needed(self._settings):
            secret = await emulated_webhooks.registered(self._settings, self.webhook_url)
            os.environ[variable("stripe_webhook_secrets")] = secret.get_secret_value()
            self._settings = load_settings()

    def _take_port(self) -> None:
        """The receiver's port. One that is taken is told before anything is started."""
        if self._settings.receive_port == 0:
            os.environ[variable("receive_port")] = str(free_port())
            self._settings = load_settings()
        if is_listening(self._settings.receive_port):
            raise ConfigurationError(
                f"Something listens already on port {self._settings.receive_port}, where events are to be received.",
                code="port_taken",
                remedy=f"Stop it, or put another port into {variable('receive_port')}.",
            )

    @property
    def webhook_url(self) -> str:
        """Where events are received on this machine."""
        from order_to_cash.receiver.app import STRIPE_PATH

        return f"{self._receiver}{STRIPE_PATH}"

    @property
    def _receiver(self) -> str:
        host = self._settings.receive_host
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to reach it by, none to bind to
        host = anywhere.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.receive_port}"

    async def _start_receiver(self) -> None:
        """Ready as it says itself; without a signing secret it never is, and nothing waits for it."""
        secret = bool(self._settings.stripe_webhook_secrets)
        probe = answers(f"{self._receiver}/{'readyz' if secret else 'healthz'}")
        await self.supervisor.start(
            Child("receiver", o2c_argv("receive"), ready=probe, ready_seconds=START_SECONDS, stage=STAGE_OURS)
        )
        off = (
            ""
            if secret
            else f" (off: `o2c webhooks ensure` tells what {variable('stripe_webhook_secrets')} is)"
        )
        self._say(f"Receiver        {self.webhook_url}{off}")

    def _prepare_ledger(self) -> None:
        with open_ledger(self._settings) as ledger:
            kind = ledger.database.url.get_backend_name()
        self._say(f"Ledger          ready ({kind})")

    async def _start_drain(self) -> None:
        await make_parts(self._settings, self._say)
        await self._start_saying("drain", o2c_argv("drain"), LOOKS_OUT)
        self._say(
            f"Drain           looks for won deals every {self._settings.poll_seconds} s, applies events at once"
        )

    async def _start_worker(self) -> None:
        names = await apply_deployments()
        self._say(f"Deployments     {', '.join(names)}")
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        await self._start_saying("worker", argv, WORKER_READY)
        self._say(f"Worker          executes runs of the work pool {WORK_POOL}")

    async def _start_saying(self, name: str, argv: Sequence[str], words: str) -> None:
        """A process that is ready once it has written `words`."""

        async def ready() -> bool:
            return self.supervisor.said(name, words)

        child = Child(name, argv, ready=ready, ready_seconds=START_SECONDS, stage=STAGE_OURS)
        await self.supervisor.start(child)

    async def stop(self) -> None:
        await self.supervisor.stop()
