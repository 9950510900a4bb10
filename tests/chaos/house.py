"""The processes of one machine, any of which may be killed: PostgreSQL, Prefect server, receiver and drain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from order_to_cash.cli.processes import free_port
from order_to_cash.cli.up import LOOKS_OUT, SERVER_BATCHES
from order_to_cash.domain.sync.handled import HANDLED
from order_to_cash.receiver.app import STRIPE_PATH
from tests.crash.runs import ROOT, Zygote
from tests.receiver.cluster import Cluster
from tests.receiver.serving import eventually
from tests.world import World

START_SECONDS = 120.0
# How long the drain waits after an error; half a minute in production.
AFTER_ERROR_SECONDS = 1.0
# The drain's claims are leased for 120 s.
LEASE_OVER_SECONDS = 130.0


class Process:
    """A command in a session of its own, so that its children are killed with it."""

    def __init__(self, argv: list[str], env: Mapping[str, str], log: Path, ready: Callable[[], bool]) -> None:
        self._argv = argv
        self._env = env
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                env=self._env,
                cwd=self._log.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it serves."""
        assert self._process is not None
        running = self._process

        def ready() -> bool:
            assert running.poll() is None, f"{self._argv} ended: {self._log.read_text()[-3000:]}"
            return self._ready()

        eventually(ready, START_SECONDS)

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class House:
    """Everything that runs beside the emulators; use it as a context manager, all is killed at its end.

    The drain is `o2c drain` in a child of a process that has imported everything already: it begins in a second.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stack = ExitStack()
        self._drain_pid = 0
        self._port, prefect_port = free_port(), free_port()
        self._prefect_url = f"http://127.0.0.1:{prefect_port}"
        self.cluster = Cluster()
        self._server = Process(
            [
                *(sys.executable, "-m", "order_to_cash.cli.prefect_server"),
                *("--host", "127.0.0.1", "--port", str(prefect_port)),
            ],
            self._environment() | SERVER_BATCHES,
            world.home / "prefect-server.log",
            lambda: _answers(f"{self._prefect_url}/api/health"),
        )

    def __enter__(self) -> House:
        with ExitStack() as stack:
            stack.callback(self._server.kill)
            self._server.launch()  # the slowest: the others start meanwhile
            stack.enter_context(self.cluster)
            self._zygote = stack.enter_context(
                Zygote(self._world.home, f"{self._prefect_url}/api", self._world.home / "zygote.log")
            )
            endpoint = self._world.seeder.stripe(
                "webhook_endpoints",
                url=f"http://127.0.0.1:{self._port}{STRIPE_PATH}",
                enabled_events=sorted(HANDLED),
            )
            self.variables = {
                **self._world.env(self.cluster.url),
                "O2C_PREFECT_API_URL": f"{self._prefect_url}/api",
                "O2C_RECEIVE_PORT": str(self._port),
                "O2C_STRIPE_WEBHOOK_SECRETS": str(endpoint["secret"]),
            }
            self._receiver = Process(
                [sys.executable, "-m", "order_to_cash.cli", "receive"],
                self._environment() | self.variables,
                self._world.home / "receiver.log",
                lambda: _answers(f"http://127.0.0.1:{self._port}/readyz"),
            )
            stack.callback(self._receiver.kill)
            self._server.wait()
            self.o2c("init")
            self._receiver.launch()
            self.start_drain()
            self._receiver.wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def o2c(self, *argv: str, **variables: str) -> str:
        """Run a command to its end; what it says. It must succeed."""
        log = self._world.home / f"{argv[0]}.log"
        began = log.stat().st_size if log.exists() else 0
        answer = self._zygote.ask(**self._order(log, argv, variables))
        said = log.read_bytes()[began:].decode()
        assert answer["status"] == 0, f"o2c {argv} ended with {answer['status']}: {said[-3000:]}"
        return said

    # Killing, and starting again

    def restart(self, victim: str) -> None:
        """Kill, and start again what an operator's supervisor would."""
        {
            "receiver": self._restart_receiver,
            "drain": self._restart_drain,
            "prefect": self._restart_server,
            "postgresql": self._restart_cluster,
            "everything": self._restart_everything,
        }[victim]()

    def start_drain(self) -> None:
        log = self._world.home / "drain.log"
        log.touch()
        began = log.stat().st_size
        self._drain_pid = int(self._zygote.ask(**self._order(log, ("drain",), {}), stay=True)["pid"])
        eventually(lambda: LOOKS_OUT.encode() in log.read_bytes()[began:], START_SECONDS)

    def end_drain(self, number: int = signal.SIGKILL) -> int:
        """Its exit status."""
        answer = self._zygote.ask(work="end", pid=self._drain_pid, signal=int(number))
        return int(answer["status"])

    def log_of_drain(self) -> str:
        return (self._world.home / "drain.log").read_text()

    def _restart_receiver(self) -> None:
        self._receiver.kill()
        self._receiver.launch()
        self._receiver.wait()

    def _restart_drain(self) -> None:
        self.end_drain()
        self._world.clock.advance(LEASE_OVER_SECONDS)
        self.start_drain()

    def _restart_server(self) -> None:
        self._server.kill()
        self._server.launch()
        self._server.wait()

    def _restart_cluster(self) -> None:
        self.cluster.kill()
        self.cluster.start()

    def _restart_everything(self) -> None:
        """As after a loss of power."""
        for kill in (self.cluster.kill, self.end_drain, self._receiver.kill, self._server.kill):
            kill()
        self._server.launch()
        self.cluster.start()
        self._receiver.launch()
        self._receiver.wait()
        self._server.wait()
        self._world.clock.advance(LEASE_OVER_SECONDS)
        self.start_drain()

    def _order(self, log: Path, argv: tuple[str, ...], variables: Mapping[str, str]) -> dict[str, Any]:
        return {
            "work": "o2c",
            "argv": list(argv),
            "log": str(log),
            "env": {**self.variables, **variables},
            "after_error_seconds": AFTER_ERROR_SECONDS,
        }

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("O2C_", "PREFECT_"))
        }
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PREFECT_HOME": str(self._world.home / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
