"""From the event to Salesforce: how many a second, with how many calls, how fresh, at what cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from sqlalchemy import select

from bench.events_made import CUSTOMERS, PRODUCT, Made, Renewals, subscription
from bench.events_org import AT_ONCE, CALL_SECONDS, CUSTOMER, RECORD_SECONDS, account_id
from bench.events_run import Org, org, percentile, rival
from bench.events_sender import SECRET, Sender
from bench.house import Processes
from bench.table import Row
from emulators.run import EmulatorProcess
from order_to_cash.cli.processes import free_port
from order_to_cash.domain.events import decode_event
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.shapes import Applied, ObjectKey
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.ledger.inbox_claims import EventSource, EventState
from order_to_cash.ledger.inbox_tables import INBOX
from order_to_cash.ledger.ledger import Ledger

BURST = 20_000
BURST_A_SECOND = 2_000  # how close together they were created
ROUNDS = 3
# Events a second → for how many seconds.
RATES = {1: 20, 10: 12, 100: 12, 1000: 8}
RIVAL_SECONDS = 8.0
PATIENCE_SECONDS = 180.0
RIVALS = {"plain": "FastAPI + simple-salesforce", "strong": f"async httpx, {AT_ONCE} in flight"}
_LOAD = f"{CALL_SECONDS * 1000:.0f} ms a call + {RECORD_SECONDS * 1000:.0f} ms a record, {AT_ONCE} in flight"


@dataclass(frozen=True)
class Run:
    """What one load came to. `cpu_ms`: milliseconds an event by role."""

    events: int
    seconds: float
    calls: int
    rows: int
    freshness: Sequence[float]
    cpu_ms: dict[str, float]

    @property
    def a_second(self) -> float:
        return self.events / self.seconds


class Sync:
    """`o2c up` against the stand-in, its customers known to the org."""

    def __init__(self, urls: dict[str, str], org: Org, home: Path) -> None:
        self._org = org
        self.port = free_port()
        settings = {
            "O2C_RECEIVE_PORT": str(self.port),
            "O2C_STRIPE_WEBHOOK_SECRETS": SECRET,
            # As live: what the drain reads of Stripe is of declined payments only.
            "O2C_STRIPE_REQUESTS_PER_SECOND": "80",
            "O2C_POLL_SECONDS": "60",
        }
        self.processes = Processes({**urls, "salesforce": org.url}, home, **settings)
        self.processes.wait_until(lambda said: "Ready." in said)
        url = f"sqlite:///{self.processes.home / 'ledger.db'}"
        self.ledger = Ledger.open(url, clock=SystemClock(), environment=Environment.EMULATOR)
        self._know(range(CUSTOMERS))

    def _know(self, customers: range) -> None:
        """Links and last year's states, as if these customers had been shown long ago."""
        long_ago = Applied(datetime.now(UTC) - timedelta(days=30), fetched=False, digest="0:bench")
        names = [CUSTOMER.format(number) for number in customers]
        self.ledger.links.put_many([("customer", name, "Account", account_id(name)) for name in names])
        states = {ObjectKey("subscription", subscription(number)): long_ago for number in customers}
        self.ledger.applied.put_many({**states, ObjectKey("product", PRODUCT): long_ago})

    def forget(self) -> None:
        """As if none of the customers had ever been seen: each Account is looked for."""
        with self.ledger.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM ledger_link")

    def paced(self, events: Sequence[Made]) -> Run:
        """Through the receiver, each when it is due; stored when the receiver says."""

        def load() -> Mapping[str, float]:
            sender = Sender(self.port, 32)
            sender.send(events)
            if sender.refused:
                raise RuntimeError(f"the receiver refused {sender.refused} events")
            return {}

        return self._measured(events, load)

    def burst(self, events: Sequence[Made]) -> Run:
        """All in the inbox at once, in one transaction; stored when it was committed."""
        decoded = [decode_event(one.body) for one in events]

        def load() -> Mapping[str, float]:
            self.ledger.inbox.store(decoded, EventSource.WEBHOOK)
            return dict.fromkeys((one.event_id for one in events), time.time())

        return self._measured(events, load)

    def _measured(self, events: Sequence[Made], load: Callable[[], Mapping[str, float]]) -> Run:
        self._org.clear()
        used = self.processes.cpu_seconds()
        stored = load() or None
        counts = self._settled()
        after = self.processes.cpu_seconds()
        if counts[EventState.PARKED]:
            raise RuntimeError(f"{counts[EventState.PARKED]} events are parked")
        cost = {role: (seconds - used.get(role, 0)) / len(events) for role, seconds in after.items()}
        return run_of(self._org, events, stored or self._stored(), cost)

    def _settled(self) -> Mapping[EventState, int]:
        """Wait until no event is open. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            counts = self.ledger.inbox.counts()
            if not sum(counts.values()) - counts[EventState.PARKED]:
                return counts
            if time.monotonic() > deadline:
                raise TimeoutError(f"events are still being applied: {counts}")
            time.sleep(CALL_SECONDS)

    def _stored(self) -> dict[str, float]:
        with self.ledger.database.read() as connection:
            rows = connection.execute(select(INBOX.c.event_id, INBOX.c.received_at))
            return {event_id: received_at.timestamp() for event_id, received_at in rows}

    def close(self) -> None:
        self.ledger.close()
        self.processes.stop()


def run_of(org_: Org, events: Sequence[Made], stored: Mapping[str, float], cost: Mapping[str, float]) -> Run:
    """What the journal says of it."""
    journal = org_.journal()
    ours = {one.event_id: stored[one.event_id] for one in events if one.event_id in stored}
    print(f"{len(ours)} events: {dict(journal.kinds)}", file=sys.stderr)
    return Run(
        events=len(ours),
        seconds=journal.last_at - min(ours.values()),
        calls=journal.calls,
        rows=len(journal.rows),
        freshness=journal.freshness(events, ours),
        cpu_ms={role: seconds * 1000 for role, seconds in cost.items()},
    )


def events() -> list[Row]:
    """Ours, then both rivals, in one sitting on the same stand-in."""
    renewals = Renewals()
    with (
        TemporaryDirectory(prefix="o2c-events-") as folder,
        EmulatorProcess(["stripe", "slack", "mail"]) as urls,
        org() as salesforce,
    ):
        sync = Sync(urls, salesforce, Path(folder))
        try:
            paced, bursts, unseen = _ours(sync, renewals)
        finally:
            sync.close()
        rivals = {kind: _rival(kind, salesforce, renewals) for kind in RIVALS}
    return [*_rows(paced, bursts, unseen), *_rival_rows(bursts, rivals)]


def _ours(sync: Sync, renewals: Renewals) -> tuple[dict[int, Run], list[Run], Run]:
    """At each rate, in bursts, and in a burst of customers that were never seen."""
    began = int(time.time())
    sync.paced(renewals.events("warm", 200, 100, began))
    paced = {}
    for rate, seconds in RATES.items():
        began = max(began + 10, int(time.time()))
        paced[rate] = sync.paced(renewals.events(f"r{rate}x", rate * seconds, rate, began))
        began += seconds
    bursts = []
    for number in range(ROUNDS + 1):
        began += 2 * BURST // BURST_A_SECOND
        if number == ROUNDS:
            sync.forget()
        made = renewals.events(f"b{number}x", BURST, BURST_A_SECOND, began, first=number * CUSTOMERS // 2)
        bursts.append(sync.burst(made))
    return paced, bursts[:ROUNDS], bursts[ROUNDS]


def _rival(kind: str, salesforce: Org, renewals: Renewals) -> tuple[Run, Run]:
    """As much as it does in some seconds with all connections busy, and how fresh it is at 10 a second."""
    found = []
    with rival(kind, salesforce.url) as (port, pid):
        process = psutil.Process(pid)
        for name, a_second, connections in (("most", 10_000, 64), ("ten", 10, 16)):
            made = renewals.events(f"{kind}{name}", int(a_second * RIVAL_SECONDS), a_second, int(time.time()))
            salesforce.clear()
            sender, used = Sender(port, connections), process.cpu_times()
            sender.send(made, RIVAL_SECONDS)
            if sender.refused:
                raise RuntimeError(f"the handler {kind!r} failed {sender.refused} times")
            after = process.cpu_times()
            cpu = (after.user + after.system - used.user - used.system) / len(sender.sent)
            found.append(run_of(salesforce, made, sender.sent, {"handler": cpu}))
    most, ten = found
    return most, ten


def _rows(paced: Mapping[int, Run], bursts: Sequence[Run], unseen: Run) -> list[Row]:
    rows = [
        Row(
            f"event → Salesforce at {rate}/s",
            f"fresh within p50 {_at(run, 50)}, p95 {_at(run, 95)}; {run.calls / run.events:.3f} calls an event",
            "p95 ≤ 2 s" if rate <= 100 else "",
            f"{run.events} events to `o2c receive`, signed, as due; {run.rows / run.events:.2f} rows an event; "
            f"{_cost(run)} an event",
        )
        for rate, run in paced.items()
    ]
    middle = _middle(bursts)
    most = AT_ONCE / (RECORD_SECONDS + CALL_SECONDS / 200) / (middle.rows / middle.events)
    rows.append(
        Row(
            f"event → Salesforce, {BURST:,} in the inbox",
            f"{middle.a_second:,.0f}/s, {middle.calls / middle.events:.4f} calls an event, {_cost(middle)} an event",
            "≥ 3,000/s",
            f"stored directly, in one transaction → last row's answer; "
            f"{middle.rows / middle.events:.2f} rows an event, "
            f"so at most {most:,.0f}/s; median of {ROUNDS}; {_LOAD}; `o2c up`: Prefect, ledger, expectations on",
        )
    )
    rows.append(
        Row(
            "the same, customers never seen",
            f"{unseen.a_second:,.0f}/s, {unseen.calls / unseen.events:.4f} calls an event",
            "",
            "each Account is looked for by the customer's id",
        )
    )
    return rows


def _rival_rows(bursts: Sequence[Run], rivals: Mapping[str, tuple[Run, Run]]) -> list[Row]:
    middle = _middle(bursts)
    return [
        Row(
            f"by hand: {RIVALS[kind]}",
            f"{most.a_second:,.0f}/s, {most.calls / most.events:.1f} calls an event; "
            f"ours {middle.a_second / most.a_second:.0f} ×",
            "≥ 40 ×" if kind == "plain" else "",
            f"{RIVAL_SECONDS:.0f} s, all connections busy; {_cost(most)} an event; at 10/s fresh within "
            f"p50 {_at(ten, 50)}, p95 {_at(ten, 95)}; one upsert an event, no line items, no roll-ups",
        )
        for kind, (most, ten) in rivals.items()
    ]


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.a_second)[len(runs) // 2]


def _at(run: Run, share: int) -> str:
    return f"{percentile(run.freshness, share):.2f} s"


def _cost(run: Run) -> str:
    named = {role: ms for role, ms in run.cpu_ms.items() if role in {"drain", "server", "handler"}}
    return ", ".join(f"{role} {ms:.2f} ms" for role, ms in named.items())
