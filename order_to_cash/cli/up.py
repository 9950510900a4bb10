"""`o2c up`: Prefect server, drain and worker together on one machine, watched and restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import typer

from order_to_cash.cli import lock
from order_to_cash.cli.deployments import WORK_POOL, apply_deployments
from order_to_cash.cli.init import use_prefect
from order_to_cash.cli.processes import Child, Supervisor, answers, is_listening, o2c_argv, together
from order_to_cash.cli.wiring import make_home, open_ledger
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.settings import ENV_FILE, Settings

Say = Callable[[str], None]
STAGE_SERVER, STAGE_OURS = 1, 2
LOOKS_OUT = "Looking for won deals"  # what the drain says once it does
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def run(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM, then stop everything in order. Raises ConfigurationError."""
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
            typer.echo(f"\nRunning. Prefect UI: {house.ui}   Logs: {house.logs}   Stop: Ctrl-C")
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
            "O2C_ENV_FILE": str(Path(os.environ.get("O2C_ENV_FILE", ENV_FILE)).absolute()),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            **SERVER_BATCHES,
            "NO_COLOR": "1",
        }
        use_prefect(settings)
        self.supervisor = Supervisor(self.logs, say, held)

    @property
    def ui(self) -> str:
        return self._settings.prefect_api_url.rstrip("/").removesuffix("/api")

    async def start(self, *, wait: bool = False) -> None:
        """Everything; with `wait`, return once the drain looks out. Raises ConfigurationError."""
        await self.start_server()
        await self.start_services(wait=wait)

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
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
        server = Child("prefect-server", argv, ready=health, ready_seconds=90, stage=STAGE_SERVER)
        await self.supervisor.start(server)
        self._say(f"Prefect server  {self.ui}")

    async def start_services(self, *, wait: bool = False) -> None:
        """What `o2c init` does, the deployments, the drain and the worker; the server runs already."""
        await together(self._start_drain(wait=wait), self._start_worker())

    async def _prepare_blocks(self) -> None:
        await asyncio.to_thread(self._prepare_ledger)
        from blocks.registry import save

        states: dict[str, list[str]] = {}
        for one in await save(self._settings):
            states.setdefault(str(one.state), []).append(one.slug)
        told = ", ".join(f"{' '.join(slugs)} {state}" for state, slugs in states.items())
        self._say(f"Blocks          {told}")

    def _prepare_ledger(self) -> None:
        with open_ledger(self._settings) as ledger:
            kind = ledger.database.url.get_backend_name()
        self._say(f"Ledger          ready ({kind})")

    async def _start_drain(self, *, wait: bool) -> None:
        await self._prepare_blocks()
        ready = self._drain_looks_out if wait else None
        await self.supervisor.start(Child("drain", o2c_argv("drain"), ready=ready, stage=STAGE_OURS))
        self._say(f"Drain           looks for won deals every {self._settings.poll_seconds} s")

    async def _drain_looks_out(self) -> bool:
        return LOOKS_OUT in self.supervisor.log_file("drain").read_text(encoding="utf-8")

    async def _start_worker(self) -> None:
        await apply_deployments()
        self._say("Deployments     bill-won-deals/won-deals: the hourly sweep, and a form for people")
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        await self.supervisor.start(Child("worker", argv, stage=STAGE_OURS))
        self._say(f"Worker          executes runs of the work pool {WORK_POOL}")

    async def stop(self) -> None:
        await self.supervisor.stop()
