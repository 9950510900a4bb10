"""`o2c up` with ladders: opened, put to sleep, woken together; judged by the emulators' journals."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import ColumnElement, func, select

from bench.house import SANDBOX_REQUESTS_A_SECOND, Emulators, Processes
from bench.ladders_made import Debt, Debtors, control, next_monday, open_ladders
from bench.ladders_prefect import Server
from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.clock import clock_for
from order_to_cash.ledger.ladder_tables import LADDER, STEP
from order_to_cash.ledger.ledger import Ledger

SLOW: Mapping[str, Mapping[str, Any]] = {
    "stripe": {"latency_seconds": 0.1, "rate_limit_per_second": SANDBOX_REQUESTS_A_SECOND},
    "salesforce": {"latency_seconds": 0.2, "per_record_latency_seconds": 0.005},
    "slack": {"latency_seconds": 0.2, "rate_limits": True},
}
QUICK: Mapping[str, Mapping[str, Any]] = {
    "stripe": {"latency_seconds": 0.0, "rate_limit_per_second": None},
    "salesforce": {"latency_seconds": 0.0, "per_record_latency_seconds": 0.0},
    "slack": {"latency_seconds": 0.0},
}
_PATIENCE_SECONDS = 3600.0
_POLL_SECONDS = 1.0
_BEFORE_IT_IS_DUE = timedelta(minutes=9)
_CREATED = frozenset({"Task", "Case"})


@dataclass(frozen=True)
class Taken:
    """A step of all ladders; `most_seconds`: until 95 % of them had taken it.

    `calls`: requests by service; `refused`: Stripe's answers 429; `load`: before, after. `made`: Tasks, Cases, Slack
    messages and mails that the journals show. `cpu`: seconds of the drain.
    """

    ladders: int
    seconds: float
    most_seconds: float
    calls: Mapping[str, int]
    refused: int
    made: Mapping[str, int]
    load: tuple[float, float]
    cpu: float

    @property
    def a_second(self) -> float:
        return self.ladders / self.seconds


class Chase:
    """`o2c up` on the emulators, on a Monday in hours in which customers are written to."""

    def __init__(self, world: Emulators, home: Path) -> None:
        self._world = world
        control(world.urls["stripe"], "clock", {"now": next_monday(datetime.now(UTC)).isoformat()})
        settings = {"O2C_SMTP_PORT": world.urls["smtp"].rpartition(":")[2], "O2C_POLL_SECONDS": "60"}
        self._house = Processes(world.urls, home, **settings)
        self._house.wait_until(lambda said: "Ready." in said)
        self._clock = clock_for(Environment.EMULATOR, world.urls["stripe"])
        url = f"sqlite:///{self._house.home / 'ledger.db'}"
        self._ledger = Ledger.open(url, clock=self._clock, environment=Environment.EMULATOR)
        self._debtors = Debtors(world)
        self.server = Server(self._house)
        self.ladders = 0

    def open(self, count: int, step: str) -> Taken:
        """So many ladders more, which are due at once: each is read and takes its first step."""
        self._pace(QUICK)
        made: Sequence[Debt] = self._debtors.owe(count)
        self.ladders += count
        self._pace(SLOW)
        return self._taken(step, count, lambda: open_ladders(self._ledger.ladders, made, self._clock.now()))

    def wait_until_armed(self) -> float:
        """Seconds until every ladder has its alarm in Prefect."""
        return self._wait(lambda: self._count(LADDER.c.alarm_generation == LADDER.c.generation))

    def relieve(self, step: str) -> float:
        """The clock nine minutes before this step; seconds until no ladder of the crowd has an alarm."""
        first, _, _ = self._due(step)
        self._move(first - _BEFORE_IT_IS_DUE)
        return self._wait(lambda: self._count(LADDER.c.alarm_run_id == ""))

    def fall_due(self, step: str) -> Taken:
        """All that wait for this step take it together."""
        _, last, count = self._due(step)
        return self._taken(step, count, lambda: self._move(last + timedelta(seconds=1)))

    def twice(self) -> list[str]:
        """Keys of Salesforce's records that are there more than once, and people who got a mail twice."""
        rows = [row for sobject in sorted(_CREATED) for row in self._records(sobject)]
        seen = Counter(str(row["O2C_Key__c"]) for row in rows if row["O2C_Key__c"])
        seen.update(entry["path"] for entry in self._journal("mail", 0, method="RCPT"))
        return [name for name, count in seen.items() if count > 1]

    def close(self) -> None:
        self.server.close()
        self._ledger.close()
        self._house.stop()

    def _taken(self, step: str, count: int, begin: Callable[[], object]) -> Taken:
        services = ("stripe", "salesforce", "slack", "mail")
        since = {name: self._next(name) for name in services}
        before, used = os.getloadavg()[0], self._house.cpu_seconds()["drain"]
        already = self._done(step)
        begin()
        most = self._wait(lambda: self._done(step), until=already + count * 95 // 100)
        seconds = most + self._wait(lambda: self._done(step), until=already + count)
        cpu = self._house.cpu_seconds()["drain"] - used
        seen = {name: self._journal(name, since[name]) for name in services}
        made = Counter(
            effect["object"]
            for entry in seen["salesforce"]
            for effect in entry["effects"]
            if effect["action"] == "created" and effect["object"] in _CREATED
        )
        made["Slack message"] = sum(
            "chat.postMessage" in one["path"] and one["status"] == 200 for one in seen["slack"]
        )
        made["mail"] = sum(one["method"] == "RCPT" for one in seen["mail"])
        return Taken(
            ladders=count,
            seconds=seconds,
            most_seconds=most,
            calls={name: len(entries) for name, entries in seen.items()},
            refused=sum(one["status"] == 429 for one in seen["stripe"]),
            made=made,
            load=(before, os.getloadavg()[0]),
            cpu=cpu,
        )

    def _done(self, step: str) -> int:
        return self._count((STEP.c.key == step) & (STEP.c.state == StepState.DONE), STEP.c.invoice_id)

    def _wait(self, count: Callable[[], int], until: int = 0) -> float:
        """Until `count` has come to `until`, all ladders by default; the seconds. Raises TimeoutError."""
        wanted, began, told = until or self.ladders, time.monotonic(), 0.0
        while (reached := count()) < wanted:
            waited = time.monotonic() - began
            if waited > _PATIENCE_SECONDS:
                raise TimeoutError(f"{reached} of {wanted} ladders")
            if waited - told > 30:
                told = waited
                print(f"  {reached} of {wanted} after {waited:.0f} s", file=sys.stderr, flush=True)
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def _count(self, which: ColumnElement[bool], column: Any = LADDER.c.invoice_id) -> int:
        with self._ledger.database.read() as connection:
            return connection.scalar(select(func.count(column)).where(which)) or 0

    def _due(self, step: str) -> tuple[datetime, datetime, int]:
        """When the first and the last that wait for this step are due, and how many there are."""
        query = select(func.min(LADDER.c.due_at), func.max(LADDER.c.due_at), func.count())
        with self._ledger.database.read() as connection:
            first, last, count = connection.execute(query.where(LADDER.c.next_step == step)).one()
        return first, last, count

    def _move(self, at: datetime) -> None:
        control(self._world.urls["stripe"], "clock", {"now": at.isoformat()})

    def _pace(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        for service, wanted in settings.items():
            control(self._world.urls[service], "settings", wanted)

    def _next(self, service: str) -> int:
        number: int = self._get(service, "journal", since=1 << 60)["next"]
        return number

    def _journal(self, service: str, since: int, **only: str) -> list[dict[str, Any]]:
        """Requests without their bodies; nothing that the clock did."""
        entries = self._get(service, "journal", since=since, bodies="false", **only)["entries"]
        return [entry for entry in entries if entry["method"] != "CLOCK"]

    def _records(self, sobject: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._get("salesforce", "records", type=sobject)["records"]
        return rows

    def _get(self, service: str, what: str, **asked: Any) -> dict[str, Any]:
        url = f"{self._world.urls[service]}/_emulator/{what}"
        answer = httpx.get(url, params=asked, timeout=300, trust_env=False)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said
