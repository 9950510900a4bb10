"""What a load balancer and Prometheus ask."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import Endpoints
from order_to_cash.receiver.metrics import InboxState
from order_to_cash.receiver.salesforce import Nudge
from order_to_cash.receiver.store import Owner
from tests.receiver.serving import AT, ENDPOINTS, QUICK, Served, body_of, event, serving


class Sick:
    """A ledger in one of three states: it answers, refuses, or hangs until `cured`."""

    def __init__(self) -> None:
        self.current = True
        self.refuses = False
        self.cured = threading.Event()
        self.asked = 0

    def store_events(self, events: Sequence[StripeEvent]) -> None:
        self._suffer()

    def put_nudges(self, nudges: Sequence[Nudge]) -> None:
        self._suffer()

    def owner(self) -> Owner:
        self._suffer()
        return Owner("", "")

    def is_current(self) -> bool:
        self.asked += 1
        self._suffer()
        return self.current

    def inbox_state(self) -> InboxState:
        self._suffer()
        return InboxState({"pending": 3}, 12.5)

    def _suffer(self) -> None:
        if self.refuses:
            raise Unavailable("The ledger database did not answer.")
        assert self.cured.wait(20)


def test_a_receiver_that_could_store_is_ready(served: Served) -> None:
    assert (served.get("/healthz").status, served.get("/readyz").text) == (200, "ready\n")


def test_what_is_missing_is_said(clock: FixedClock) -> None:
    store = Sick()
    store.cured.set()
    store.current = False
    with serving(store, clock, Endpoints(Environment.TEST)) as served:
        answer = served.get("/readyz")
    assert answer.status == 503
    assert answer.text.splitlines() == [
        "no Stripe signing secret is set",
        "the ledger's tables are not those of this version",
    ]


def test_a_database_that_refuses_makes_unready_and_not_dead(clock: FixedClock) -> None:
    store = Sick()
    store.refuses = True
    with serving(store, clock, limits=QUICK) as served:
        assert served.get("/healthz").status == 200
        answer = served.get("/readyz")
        assert (answer.status, answer.text) == (503, "the ledger database does not answer\n")
        assert "o2c_inbox_events" not in served.get("/metrics").text
        assert served.event(body_of(event())).status == 503
        store.refuses = False
        store.cured.set()
        assert served.event(body_of(event())).status == 200


def test_a_database_that_hangs_is_asked_once_and_nobody_waits_long(clock: FixedClock) -> None:
    store = Sick()
    with serving(store, clock, limits=QUICK) as served:
        late = served.event(body_of(event()))
        assert (late.status, late.headers["retry-after"]) == (503, "10")
        answers = [served.get("/readyz").text for _ in range(2)]
        assert all("the ledger database does not answer" in answer for answer in answers)
        assert store.asked == 1
        store.cured.set()
        while served.get("/readyz").status != 200:
            pass
        assert served.event(body_of(event())).status == 200


def test_metrics_tell_what_came_and_what_waits(served: Served, ledger: Ledger, clock: FixedClock) -> None:
    for number in range(3):
        served.event(body_of(event(f"evt_{number}")))
    served.event(b"{}", "t=1,v1=00")
    assert served.results() == {"stored": 3, "signature_wrong": 1}
    assert served.metric("o2c_receiver_event_seconds_count") == 4
    assert served.metric("o2c_receiver_batch_events_sum") == 3
    assert served.metric("o2c_receiver_last_event_timestamp_seconds") == AT
    assert served.metric('o2c_inbox_events{state="pending"}') in {0, 3}  # counted at most every ten seconds
    assert "evt_" not in served.get("/metrics").text


def test_the_age_of_what_waits_is_told(ledger: Ledger, clock: FixedClock) -> None:
    with serving(ledger, clock, ENDPOINTS) as served:
        served.event(body_of(event()))
        clock.at = clock.at.replace(minute=45)
        assert served.metric("o2c_inbox_oldest_waiting_seconds") == 15 * 60
        assert served.metric('o2c_inbox_events{state="pending"}') == 1
