"""The whole product as it runs: emulators in a process of their own, `o2c up` in others, all on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.journal import Journal
from emulators.run import EmulatorProcess
from emulators.seeding import DEFAULT_KEY, Seeder, line, product
from order_to_cash.cli.package import SourcePackage
from order_to_cash.cli.processes import free_port

LATENCY_SECONDS: Mapping[str, float] = {"stripe": 0.1, "salesforce": 0.3, "slack": 0.2}
SANDBOX_REQUESTS_A_SECOND = 25  # https://docs.stripe.com/rate-limits
LINES = 5
_PRICES = {f"p{number}": 10_000 * (number + 1) for number in range(LINES)}
_START_SECONDS = 240.0


class Emulators:
    """A company on the emulators whose accounts and deals the benchmark makes; they answer at once until `slow`."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self.seeder = Seeder(urls["stripe"], urls["salesforce"])
        self.stripe = Journal(urls["stripe"])
        self.salesforce = Journal(urls["salesforce"])
        self.slack = Journal(urls["slack"])
        self._batch = 0
        _post(urls["salesforce"], "deploy", content=SourcePackage().zip_bytes())
        _post(urls["salesforce"], "assign", json={"permission_set": "O2C_Integration"})
        records: list[dict[str, Any]] = []
        for ref, cents in _PRICES.items():
            records += product(ref, f"Product {ref}", self.seeder.price(ref, cents), cents // 100)
        ids = self.seeder.salesforce(records)
        self.entries = {ref: ids[f"{ref}-entry"] for ref in _PRICES}

    def slow(self) -> None:
        """Answer as slowly as the vendors do; Stripe and Slack refuse what exceeds their limits."""
        for name, seconds in LATENCY_SECONDS.items():
            _post(self.urls[name], "settings", json={"latency_seconds": seconds})
        limit = {"rate_limit_per_second": SANDBOX_REQUESTS_A_SECOND}
        _post(self.urls["stripe"], "settings", json=limit)
        _post(self.urls["slack"], "settings", json={"rate_limits": True})

    def open_deals(self, count: int) -> list[str]:
        """Deals of five lines, each of an Account of its own, not won yet; their ids."""
        self._batch += 1
        records: list[dict[str, Any]] = []
        for number in range(count):
            records += _deal(f"b{self._batch}n{number}", self.entries)
        ids = self.seeder.salesforce(records)
        return [ids[f"b{self._batch}n{number}"] for number in range(count)]

    def win(self, deals: Sequence[str]) -> datetime:
        """Closed Won, all in one request; when it was done."""
        self.seeder.update("Opportunity", [{"id": deal, "StageName": "Closed Won"} for deal in deals])
        return datetime.now(UTC)

    def stop_events(self) -> None:
        """Let Stripe know of no webhook endpoint any more."""
        auth = (DEFAULT_KEY, "")
        with httpx.Client(
            base_url=f"{self.urls['stripe']}/v1", auth=auth, timeout=60, trust_env=False
        ) as client:
            for endpoint in client.get("/webhook_endpoints").json()["data"]:
                client.delete(f"/webhook_endpoints/{endpoint['id']}").raise_for_status()

    def close(self) -> None:
        self.seeder.close()


def _deal(ref: str, entries: Mapping[str, str]) -> list[dict[str, Any]]:
    account = {
        "type": "Account",
        "ref": f"{ref}-account",
        "Name": f"Company {ref}",
        "Billing_Email__c": f"billing@{ref}.example",
        "BillingCountry": "US",
    }
    opportunity = {
        "type": "Opportunity",
        "ref": ref,
        "Name": f"Deal {ref}",
        "AccountId": f"@{ref}-account",
        "StageName": "Negotiation/Review",
        "CloseDate": datetime.now(UTC).date().isoformat(),
        "Pricebook2Id": "@standard_pricebook",
    }
    lines = [
        {**line(ref, product_ref, 2, _PRICES[product_ref] // 100), "PricebookEntryId": entry}
        for product_ref, entry in entries.items()
    ]
    return [account, opportunity, *lines]


@contextmanager
def emulators() -> Iterator[Emulators]:
    """Emulators with a small catalogue, in a process of their own."""
    with EmulatorProcess() as urls:
        made = Emulators(urls)
        try:
            yield made
        finally:
            made.close()


class Processes:
    """`o2c up` against services at `urls`: supervisor, Prefect server, receiver, drain and worker."""

    def __init__(self, urls: Mapping[str, str], home: Path, **settings: str) -> None:
        self.api = f"http://127.0.0.1:{free_port()}/api"
        self.home = home / "o2c"
        self._log = home / "up.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("O2C_", "PREFECT_"))}
        env |= {
            "O2C_HOME": str(self.home),
            "O2C_STRIPE_API_BASE": urls["stripe"],
            "O2C_SALESFORCE_BASE_URL": urls["salesforce"],
            "O2C_SLACK_BASE_URL": urls["slack"],
            "O2C_SMTP_PORT": urls["smtp"].rpartition(":")[2],
            "O2C_PREFECT_API_URL": self.api,
            "O2C_SECRETS_DIR": str(home / "no-secrets"),
            "O2C_RECEIVE_PORT": "0",
            **settings,
        }
        home.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "order_to_cash.cli", "up"],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[str], bool]) -> None:
        """Until `ready`, given what `o2c up` has said. Raises RuntimeError."""
        deadline = time.monotonic() + _START_SECONDS
        while not ready(self._log.read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"o2c up did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.2)

    def memory(self) -> dict[str, int]:
        """Largest resident set so far, in bytes, by role; of several processes the sum."""
        sizes: dict[str, int] = {}
        for role, process in self._processes():
            sizes[role] = sizes.get(role, 0) + _peak(process)
        return sizes

    def counts(self) -> dict[str, int]:
        """Processes by role."""
        return dict(Counter(role for role, _ in self._processes()))

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used so far, by role."""
        used: dict[str, float] = {}
        for role, process in self._processes():
            times = process.cpu_times()
            used[role] = used.get(role, 0.0) + times.user + times.system
        return used

    def _processes(self) -> list[tuple[str, psutil.Process]]:
        up = psutil.Process(self._process.pid)
        return [("supervisor", up), *((_role(one.cmdline()), one) for one in up.children(recursive=True))]

    def stop(self) -> None:
        """End it as Ctrl-C would, and wait."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class House(Processes):
    """`o2c up` against the emulators."""

    def __init__(self, world: Emulators, home: Path, poll_seconds: int) -> None:
        self.world = world
        since = datetime.now(UTC) - timedelta(days=30)
        super().__init__(
            world.urls,
            home,
            O2C_BILL_DEALS_CLOSED_ON_OR_AFTER=since.date().isoformat(),
            O2C_POLL_SECONDS=str(poll_seconds),
        )

    def wait_until_warm(self) -> None:
        """Until the drain has looked once: what comes then meets a warm process. Raises RuntimeError."""
        since = self.world.salesforce.next()
        self.wait_until(lambda _: bool(self.world.salesforce.looks(since)))

    def flow_started(self) -> datetime:
        """When the newest flow run began, by the Prefect server."""
        return datetime.fromisoformat(self._newest_run()["start_time"])

    def task_runs(self) -> int:
        """Task runs of the newest flow run, by the Prefect server."""
        only = {"flow_runs": {"id": {"any_": [self._newest_run()["id"]]}}}
        answer = httpx.post(f"{self.api}/task_runs/count", json=only, timeout=30, trust_env=False)
        count: int = answer.json()
        return count

    def _newest_run(self) -> dict[str, Any]:
        """The billing run that started last; those of the schedule have not started yet."""
        started = {
            "flows": {"name": {"any_": ["bill-won-deals"]}},
            "flow_runs": {"start_time": {"is_null_": False}},
            "sort": "START_TIME_DESC",
            "limit": 1,
        }
        answer = httpx.post(f"{self.api}/flow_runs/filter", json=started, timeout=30, trust_env=False)
        run: dict[str, Any] = answer.json()[0]
        return run


def _peak(process: psutil.Process) -> int:
    """The process's high-water mark where the system keeps it (Linux), else its size now."""
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        for entry in status.read_text().splitlines():
            if entry.startswith("VmHWM:"):
                return int(entry.split()[1]) * 1024
    size: int = process.memory_info().rss
    return size


def _role(argv: Sequence[str]) -> str:
    words = " ".join(argv)
    marks = {
        "cli drain": "drain",
        "cli receive": "receiver",
        "prefect.engine": "run",
        "flow-run execute": "run",
        " worker ": "worker",
        "cli.prefect_server": "server",
        "uvicorn": "server",
    }
    return next((role for mark, role in marks.items() if mark in words), "guardian")


def _post(url: str, what: str, **kwargs: Any) -> None:
    answer = httpx.post(f"{url}/_emulator/{what}", timeout=60, trust_env=False, **kwargs)
    answer.raise_for_status()
