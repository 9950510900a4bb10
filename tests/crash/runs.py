"""Runs of the recipes in child processes, from the test's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.world import World

ROOT = Path(__file__).parents[2]
# Each would start threads before the fork.
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SERVICE_NAMES = {"stripe": "Stripe", "salesforce": "Salesforce", "slack": "Slack"}


@dataclass(frozen=True)
class Run:
    """How one child ended: `points` it passed, in order; `log` what it printed."""

    status: int
    seconds: float
    points: tuple[str, ...]
    log: str

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Zygote:
    """The process that forks children for us; use it as a context manager. Its children and it write to `log`."""

    def __init__(self, home: Path, prefect_api_url: str, log: Path) -> None:
        self._log = log
        self.prefect = urlsplit(prefect_api_url).netloc
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("O2C_", "PREFECT_"))
        }
        environment |= SINGLE_THREADED | {
            "PYTHONPATH": str(ROOT),
            "PREFECT_API_URL": prefect_api_url,
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
        self._errors = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd=home,
        )

    def __enter__(self) -> Zygote:
        self._answer()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._errors.close()

    def ask(self, **order: Any) -> Mapping[str, Any]:
        """Carry out an order; see zygote.py. Raises RuntimeError when the zygote is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote ended: {self._log.read_text()}")
        answer: Mapping[str, Any] = json.loads(line)
        return answer


class Runs:
    """Runs of flows under watch, each in a child of its own."""

    def __init__(self, world: World, zygote: Zygote) -> None:
        self._world = world
        self._home = world.home
        self._zygote = zygote
        self._services = {
            urlsplit(world.urls[service]).netloc: name for service, name in SERVICE_NAMES.items()
        } | {zygote.prefect: "Prefect"}

    def run(self, work: Mapping[str, Any], ledger_url: str, kill_at: str = "") -> Run:
        """Do it in a child, such as `{"work": "bill", "ids": […]}`; it dies at `kill_at` if it comes there."""
        report, log = self._home / "points.txt", self._home / "run.log"
        for path in (report, log):
            path.write_bytes(b"")
        answer = self._zygote.ask(
            **work,
            kill_at=kill_at,
            report=str(report),
            log=str(log),
            env=self._world.env(ledger_url),
            services=self._services,
        )
        return Run(
            answer["status"], answer["seconds"], tuple(report.read_text().splitlines()), log.read_text()
        )
