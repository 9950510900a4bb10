"""An event that kills whoever touches it takes nobody else along for long."""

from __future__ import annotations

from datetime import timedelta

from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.events import event
from tests.ledger.support import MovableClock

DOWN = Unavailable("Salesforce did not answer.", code="salesforce_down", remedy="Wait.")


def test_an_event_that_kills_every_drain_is_found_and_parked(ledger: Ledger, clock: MovableClock) -> None:
    """The drain dies whenever it holds evt_3. The others are done in the end, and the killer is parked."""
    ledger.inbox.store([event(number, f"cus_{number}") for number in range(20)], EventSource.WEBHOOK)
    done: set[str] = set()
    for _ in range(60):
        claims = ledger.inbox.claim("drain", 2000)
        if not claims:
            break
        if any(claimed.event.event_id == "evt_3" for claimed in claims):
            clock.advance(seconds=121)
            continue
        assert ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims]) == len(claims)
        done |= {claimed.event.event_id for claimed in claims}
    assert done == {f"evt_{number}" for number in range(20)} - {"evt_3"}
    [row] = ledger.inbox.find(EventFilter(event_ids=("evt_3",)))
    assert (row.state, row.code) == (EventState.PARKED, "drain_died")
    ledger.inbox.reopen(EventFilter(event_ids=("evt_3",)), 10)
    assert [claimed.event.event_id for claimed in ledger.inbox.claim("drain")] == ["evt_3"]


def test_what_three_kills_left_is_tried_by_hundreds(ledger: Ledger, clock: MovableClock) -> None:
    """An operator who ends the drain hard three times costs no batch an event: 1,188 took more than ten minutes so."""
    ledger.inbox.store([event(number, f"cus_{number}") for number in range(950)], EventSource.WEBHOOK)
    for _ in range(3):
        assert len(ledger.inbox.claim("drain", 2000)) == 950
        clock.advance(seconds=121)
    sizes = []
    while claims := ledger.inbox.claim("drain", 2000):
        sizes.append(len(claims))
        assert ledger.inbox.claim("another", 2000) == [], "one group at a time, over all drains"
        ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims])
    assert sizes == [100] * 9 + [50]


def test_the_groups_grow_smaller_until_the_killer_is_alone(ledger: Ledger, clock: MovableClock) -> None:
    ledger.inbox.store([event(number, f"cus_{number}") for number in range(300)], EventSource.WEBHOOK)
    together: dict[int, int] = {}
    while claims := ledger.inbox.claim("drain", 2000):
        killer = [claimed for claimed in claims if claimed.event.event_id == "evt_3"]
        if killer:
            together[killer[0].attempts] = len(claims)
            clock.advance(seconds=121)
        else:
            ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims])
    assert together == {1: 300, 2: 300, 3: 300, 4: 100, 5: 10, 6: 1}
    parked = ledger.inbox.find(EventFilter(states=(EventState.PARKED,)))
    assert [row.event_id for row in parked] == ["evt_3"]


def test_new_events_are_not_held_up_by_one_that_is_tried_alone(ledger: Ledger, clock: MovableClock) -> None:
    ledger.inbox.store([event(1, "cus_a")], EventSource.WEBHOOK)
    for _ in range(3):
        assert len(ledger.inbox.claim("drain")) == 1
        clock.advance(seconds=121)
    ledger.inbox.store([event(2, "cus_b"), event(3, "cus_c")], EventSource.WEBHOOK)
    assert {one.event.event_id for one in ledger.inbox.claim("drain-1")} == {"evt_2", "evt_3"}
    assert [one.event.event_id for one in ledger.inbox.claim("drain-2")] == ["evt_1"]


def test_an_outage_is_no_death(ledger: Ledger, clock: MovableClock) -> None:
    """Retries in good order do not count, however many there were before a drain was killed once."""
    ledger.inbox.store([event(1, "cus_a")], EventSource.WEBHOOK)
    for _ in range(9):
        [claimed] = ledger.inbox.claim("drain")
        due = clock.now() + timedelta(seconds=5)
        ledger.inbox.finish([EventOutcome.retry(claimed, DOWN, due)])
        clock.advance(seconds=6)
    assert len(ledger.inbox.claim("drain")) == 1
    clock.advance(seconds=121)
    assert [one.event.event_id for one in ledger.inbox.claim("drain")] == ["evt_1"]
