"""Runs of the recipe in child processes, from the test's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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


class Runs:
    """Starts children by way of one zygote; use it as a context manager."""

    def __init__(self, world: World, prefect_api_url: str) -> None:
        self._world = world
        self._home = world.home
        self._services = {
            urlsplit(world.urls[service]).netloc: name for service, name in SERVICE_NAMES.items()
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("O2C_", "PREFECT_"))
        }
        environment |= SINGLE_THREADED | {
            "PYTHONPATH": str(ROOT),
            "PREFECT_API_URL": prefect_api_url,
            "PREFECT_HOME": str(self._home / "prefect"),
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
        self._errors = (self._home / "zygote.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd=self._home,
        )

    def __enter__(self) -> Runs:
        self._answer()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._errors.close()

    def run(self, opportunity_ids: Sequence[str], ledger_url: str, kill_at: str = "") -> Run:
        """Bill these deals in a child of its own; it dies at the point `kill_at` if it comes there."""
        report, log = self._home / "points.txt", self._home / "run.log"
        for path in (report, log):
            path.write_bytes(b"")
        order = {
            "ids": list(opportunity_ids),
            "kill_at": kill_at,
            "report": str(report),
            "log": str(log),
            "env": self._world.env(ledger_url),
            "services": self._services,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return Run(
            int(str(answer["status"])),
            float(str(answer["seconds"])),
            tuple(report.read_text().splitlines()),
            log.read_text(),
        )

    def _answer(self) -> Mapping[str, object]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote ended: {(self._home / 'zygote.log').read_text()}")
        answer: Mapping[str, object] = json.loads(line)
        return answer
