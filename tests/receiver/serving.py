"""A receiver in a thread, and what Stripe would send to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulators.stripe.deliveries import signature
from order_to_cash.domain.clock import Clock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import SALESFORCE_PATH, STRIPE_PATH, Endpoints, Receiver
from order_to_cash.receiver.limits import Limits
from order_to_cash.receiver.serve import ReceiverServer, listen
from order_to_cash.receiver.store import LedgerStore, Store

SECRET, OLD_SECRET = "whsec_of_the_endpoint", "whsec_rolled_out_soon"
NUDGE_SECRET = "a-bearer-secret-of-ours"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
AT = int(NOW.timestamp())
OWN_ACCOUNT = "acct_own"
OWN_ORG = "00D000000000001EAA"

ENDPOINTS = Endpoints(
    Environment.TEST, [SECRET.encode(), OLD_SECRET.encode()], salesforce_secret=NUDGE_SECRET.encode()
)
QUICK = Limits(
    body_seconds=0.3, head_seconds=0.3, commit_seconds=0.5, goodbye_seconds=2, patience_seconds=0.3
)


@dataclass(frozen=True)
class Answer:
    """`status` 0: the connection was closed without one."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass
class Served:
    """A receiver that answers on `port`."""

    port: int
    receiver: Receiver

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return self._ask("POST", path, body, headers)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def event(self, body: bytes, header: str | None = None) -> Answer:
        """Deliver `body`, signed now unless `header` says otherwise."""
        return self.post(STRIPE_PATH, body, {"stripe-signature": header or signed(body)})

    def nudge(self, body: bytes, secret: str = NUDGE_SECRET) -> Answer:
        return self.post(SALESFORCE_PATH, body, {"authorization": f"Bearer {secret}"})

    def metric(self, line: str) -> float:
        """The value of the series that is written so, 0 when there is none."""
        for found in self.get("/metrics").text.splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0

    def results(self) -> dict[str, float]:
        """How many deliveries of Stripe had which result."""
        prefix, found = 'o2c_receiver_events_total{result="', {}
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(prefix):
                result, _, value = line.removeprefix(prefix).partition('"} ')
                if float(value):
                    found[result] = float(value)
        return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            connection.close()


@contextmanager
def serving(
    ledger: Ledger | Store, clock: Clock, endpoints: Endpoints = ENDPOINTS, limits: Limits | None = None
) -> Iterator[Served]:
    """A receiver on a free port, in a thread of its own, until the end of the block."""
    store = LedgerStore(ledger, clock) if isinstance(ledger, Ledger) else ledger
    receiver = Receiver(endpoints, store, clock, limits)
    with listen("127.0.0.1", 0) as listener:
        server = ReceiverServer(receiver.app, listener, limits)
        port = listener.getsockname()[1]
        started = threading.Event()
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(on_start=started.set)), name="receiver", daemon=True
        )
        thread.start()
        assert started.wait(20), "the receiver did not start"
        try:
            yield Served(port, receiver)
        finally:
            server.stop()
            thread.join(20)
            assert not thread.is_alive(), "the receiver did not end"


def event(event_id: str = "evt_1", **changes: Any) -> dict[str, Any]:
    """A snapshot event of the own account's test mode."""
    about = {"id": "in_1", "object": "invoice", "customer": "cus_1", "amount_due": 12_500}
    document = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": AT,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "type": "invoice.paid",
    }
    return document | changes


def body_of(document: object) -> bytes:
    """As Stripe writes it."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def signed(body: bytes, secret: str = SECRET, at: int = AT) -> str:
    return signature(secret, body, at)


def stored(ledger: Ledger) -> Sequence[str]:
    """Ids of all events in the inbox, in order of arrival."""
    with ledger.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT event_id FROM ledger_inbox ORDER BY seq")
        return [row[0] for row in rows]


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.01)
