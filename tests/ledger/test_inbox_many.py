"""Many events and many drains: a claim stays cheap, and nobody holds what another one holds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import event as on
from sqlalchemy import text

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource, Lane
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.events import event, ids, stored
from tests.ledger.support import MovableClock

Statements = list[tuple[str, Any]]


@pytest.fixture
def statements(ledger: Ledger) -> Iterator[Statements]:
    """What was sent to the database, transactions' beginnings apart."""
    seen: Statements = []

    def note(_: object, __: object, statement: str, parameters: object, *rest: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append((statement, parameters))

    on.listen(ledger.database.engine, "before_cursor_execute", note)
    yield seen
    on.remove(ledger.database.engine, "before_cursor_execute", note)


def test_claiming_and_finishing_many_takes_a_few_statements(ledger: Ledger, statements: Statements) -> None:
    stored(ledger, *(event(number) for number in range(2000)))
    statements.clear()
    claims = ledger.inbox.claim("drain-1", 2000)
    assert len(claims) == 2000
    assert len(statements) <= 4, statements
    statements.clear()
    assert ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims]) == 2000
    assert len(statements) == 1


def test_a_claim_reads_the_front_of_an_index_however_many_are_done(
    ledger: Ledger, statements: Statements
) -> None:
    stored(ledger, *(event(number) for number in range(5_000)))
    claims = ledger.inbox.claim("drain-1", 4_990)
    ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims])
    with ledger.database.write() as connection:
        connection.execute(text("ANALYZE ledger_inbox"))
    statements.clear()
    assert len(ledger.inbox.claim("drain-1")) == 10
    selects = [one for one in list(statements) if "ORDER BY ledger_inbox.due_at" in one[0]]
    assert len(selects) == len(Lane)
    explain = "EXPLAIN QUERY PLAN " if ledger.database.is_sqlite else "EXPLAIN "
    for statement, parameters in selects:
        with ledger.database.read() as connection:
            rows = connection.exec_driver_sql(explain + statement, parameters)
            plan = "\n".join(str(row) for row in rows)
        assert "ix_ledger_inbox_waiting" in plan
        assert "ix_ledger_inbox_open" in plan
        assert "Seq Scan on ledger_inbox " not in plan


def test_many_claim_at_once_and_no_partition_is_held_twice(ledger: Ledger) -> None:
    """Eight threads claim, hold and finish; whoever finds a partition in another's hands fails the test."""
    stored(ledger, *(event(number, f"cus_{number % 7}") for number in range(210)))
    held: set[str] = set()
    applied: list[str] = []
    clashes: list[str] = []
    lock = threading.Lock()
    start = threading.Barrier(8)

    def drain(name: str) -> None:
        start.wait()
        while len(applied) < 210:
            claims = ledger.inbox.claim(name, 5)
            mine = {claimed.event.partition for claimed in claims}
            with lock:
                clashes.extend(mine & held)
                held.update(mine)
            with lock:
                held.difference_update(mine)
                applied.extend(ids(claims))
            assert ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims]) == len(claims)

    threads = [threading.Thread(target=drain, args=(f"drain-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert clashes == []
    assert Counter(applied) == {f"evt_{number}": 1 for number in range(210)}


def test_two_receivers_that_share_events_do_not_deadlock(ledger: Ledger) -> None:
    """Each in an order of its own, as Stripe's retries and a look for missed events would."""
    events = [event(number) for number in range(3000)]
    new: list[int] = []
    start = threading.Barrier(2)

    def store(arrived: Sequence[StripeEvent]) -> None:
        start.wait()
        new.append(ledger.inbox.store(arrived, EventSource.WEBHOOK))

    threads = [threading.Thread(target=store, args=(arrived,)) for arrived in (events, events[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(new), sum(new)) == (2, 3000)


def test_a_claim_waits_for_the_one_that_is_being_made(ledger: Ledger, url: str, clock: MovableClock) -> None:
    """A claim that did not see the other's, not committed yet, would take the partition's next event."""
    stored(ledger, event(1, "cus_a"), event(2, "cus_a"), event(3, "cus_b"))
    committing, go_on = threading.Event(), threading.Event()
    claims: dict[str, list[str]] = {}

    def hold_back(_: object) -> None:
        committing.set()
        assert go_on.wait(30)

    def second() -> None:
        claims["second"] = ids(ledger.inbox.claim("drain-2"))

    with Ledger.open(url, clock=clock, environment=Environment.EMULATOR) as other:
        on.listen(other.database.engine, "commit", hold_back)
        first = threading.Thread(target=lambda: claims.update(first=ids(other.inbox.claim("drain-1", 1))))
        first.start()
        assert committing.wait(30)
        later = threading.Thread(target=second)
        later.start()
        later.join(0.5)
        go_on.set()
        first.join(30)
        later.join(30)
    assert claims == {"first": ["evt_1"], "second": ["evt_3"]}


def test_what_else_waits_of_the_same_customers_comes_along(ledger: Ledger) -> None:
    """Nine events of three customers in turn: a claim of three takes the first of each, and then their others."""
    ledger.inbox.store([event(n, f"cus_{n % 3}") for n in range(9)], EventSource.WEBHOOK)
    ledger.inbox.store([event(9, "cus_other")], EventSource.WEBHOOK)
    ledger.inbox.store([event(10, "cus_1")], EventSource.LIST)
    claims = ledger.inbox.claim("drain", 3, lanes=[Lane.LIVE], more=4)
    assert [claim.event.event_id for claim in claims] == [f"evt_{n}" for n in range(7)]
    assert len({claim.token for claim in claims}) == 1
    (other,) = ledger.inbox.claim("drain", 3, lanes=[Lane.LIVE], more=4)
    assert other.event.partition == "cus_other"
    ledger.inbox.finish([EventOutcome.done(claim) for claim in claims])
    rest = ledger.inbox.claim("drain", 1, more=9)
    assert [claim.event.event_id for claim in rest] == ["evt_7", "evt_10"]
