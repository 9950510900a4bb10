"""What sleeping ladders cost the Prefect server: how fast it answers, how much it stores, how busy it is."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bench.house import Processes

TIMES = 15
IDLE_SECONDS = 15.0


@dataclass(frozen=True)
class State:
    """At one moment. `answers_ms`: median of each call; `refused`: answers 503 on the way. `busy`: share of one core,
    by role. `load`: the machine's.
    """

    scheduled: int
    answers_ms: Mapping[str, float]
    refused: int
    busy: Mapping[str, float]
    processes: Mapping[str, int]
    memory: Mapping[str, int]
    database_bytes: int
    load: float


class Server:
    """The Prefect server of a house, asked as its UI and its clients do."""

    def __init__(self, house: Processes) -> None:
        self._house = house
        self.refused = 0
        self._client = httpx.Client(base_url=house.api, timeout=120, trust_env=False)

    def state(self) -> State:
        """Measured when nothing is to be done: the machine's other work is in it, and its load is told."""
        self.refused = 0
        answers = {name: _median(call) for name, call in self._calls().items()}
        used, began = self._house.cpu_seconds(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        seconds = time.monotonic() - began
        after = self._house.cpu_seconds()
        return State(
            scheduled=self.alarms(),
            answers_ms=answers,
            refused=self.refused,
            busy={role: (after[role] - used.get(role, 0.0)) / seconds for role in after},
            processes=self._house.counts(),
            memory=self._house.memory(),
            database_bytes=sum(path.stat().st_size for path in self._files()),
            load=os.getloadavg()[0],
        )

    def alarms(self) -> int:
        """Scheduled runs that are alarms of ladders."""
        wanted = {"tags": {"all_": ["ladder-alarm"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
        count: int = self._ask("flow_runs/count", {"flow_runs": wanted})
        return count

    def database_bytes(self) -> int:
        """With its write-ahead log."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        return list((self._house.home / "prefect").glob("prefect.db*"))

    def _calls(self) -> dict[str, Callable[[], object]]:
        """The list of runs, the dashboard's two calls, a worker's question, and a task run."""
        now = datetime.now(UTC)
        week = {
            "after_": (now - timedelta(days=7)).isoformat(),
            "before_": (now + timedelta(days=7)).isoformat(),
        }
        runs = {"flow_runs": {"expected_start_time": week}, "sort": "EXPECTED_START_TIME_DESC"}
        return {
            "list of runs": lambda: self._ask("flow_runs/filter", {**runs, "limit": 200}),
            "dashboard": lambda: self._ask("ui/flow_runs/history", {**runs, "limit": 1000}),
            "dashboard's counts": lambda: self._ask("flow_runs/count", {"flow_runs": runs["flow_runs"]}),
            "a worker's question": lambda: self._ask(
                "work_pools/o2c/get_scheduled_flow_runs",
                {"scheduled_before": (now + timedelta(seconds=10)).isoformat()},
            ),
            "task run made": lambda: self._ask("task_runs/", _task_run()),
        }

    def _ask(self, path: str, body: Mapping[str, Any]) -> Any:
        # On SQLite it refuses when two of its transactions meet. Its clients ask again, and so does this: in the time.
        while (answer := self._answer(path, body)) is None:
            self.refused += 1
        answer.raise_for_status()
        return answer.json()

    def _answer(self, path: str, body: Mapping[str, Any]) -> httpx.Response | None:
        """None: refused, or the connection broke, as the server's do when the machine is overloaded."""
        try:
            answer = self._client.post(f"/{path}", json=dict(body))
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return None
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    def close(self) -> None:
        self._client.close()


def _task_run() -> dict[str, Any]:
    return {
        "name": "bench",
        "task_key": "bench",
        "dynamic_key": str(uuid4()),
        "state": {"type": "PENDING", "name": "Pending"},
    }


def _median(call: Callable[[], object]) -> float:
    """Of answers one after another, in milliseconds; the first, which warms caches, is left out."""
    call()
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
