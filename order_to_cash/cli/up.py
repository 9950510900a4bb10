"""`o2c up`: Prefect server, drain and worker together on one machine, watched and restarted."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import typer

from order_to_cash.cli.deployments import WORK_POOL, apply_deployments, checkout
from order_to_cash.cli.init import use_prefect
from order_to_cash.cli.processes import Child, Supervisor, answers, is_listening, o2c_argv
from order_to_cash.cli.wiring import make_home, open_ledger
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.settings import Settings

Say = Callable[[str], None]


def run(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM, then stop everything in order."""
    asyncio.run(_up(settings))


async def _up(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    house = House(settings, typer.echo)
    try:
        await house.start_server()
        await house.prepare()
        await asyncio.gather(house.start_drain(), house.start_worker())
        typer.echo(f"\nRunning. Prefect UI: {house.ui}   Logs: {settings.home / 'logs'}   Stop: Ctrl-C")
        await stop.wait()
        typer.echo("Stopping …")
    finally:
        await house.stop()


class House:
    """The processes of one machine, in the order in which they need each other."""

    def __init__(self, settings: Settings, say: Say, env: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._say = say
        self._home = make_home(settings).absolute()
        self._env = {
            "PREFECT_API_URL": settings.prefect_api_url,
            "PREFECT_HOME": str(self._home / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            **(env or {}),
        }
        self.supervisor = Supervisor(self._home / "logs", say)

    @property
    def ui(self) -> str:
        return self._settings.prefect_api_url.rstrip("/").removesuffix("/api")

    async def start_server(self) -> None:
        """The Prefect server; one that answers already is used as it is."""
        health = answers(f"{self._settings.prefect_api_url.rstrip('/')}/health")
        if await health():
            self._say(f"Prefect server  already running at {self.ui}")
            return
        address = urlsplit(self._settings.prefect_api_url)
        host, port = address.hostname or "127.0.0.1", address.port or 4200
        if is_listening(port):
            raise ConfigurationError(
                f"Something that is not a Prefect server listens on port {port}.",
                code="port_taken",
                remedy="Stop it, or put another port into O2C_PREFECT_API_URL.",
            )
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
        await self.supervisor.start(Child("prefect-server", argv, self._env, ready=health, ready_seconds=90))
        self._say(f"Prefect server  {self.ui}")

    async def prepare(self) -> None:
        """What `o2c init` does, and the deployments."""
        use_prefect(self._settings)
        with open_ledger(self._settings):
            self._say("Ledger          ready")
        from blocks.registry import save

        reports = await save(self._settings)
        self._say(f"Blocks          {', '.join(f'{one.slug} {one.state}' for one in reports)}")
        await apply_deployments()
        self._say("Deployments     registered")

    async def start_drain(self) -> None:
        await self.supervisor.start(Child("drain", o2c_argv("drain"), self._env))
        self._say(f"Drain           looks for won deals every {self._settings.poll_seconds} s")

    async def start_worker(self) -> None:
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        env = {**self._env, "O2C_CHECKOUT": str(checkout())}
        await self.supervisor.start(Child("worker", argv, env))
        self._say(f"Worker          serves the work pool {WORK_POOL}")

    async def stop(self) -> None:
        await self.supervisor.stop()
