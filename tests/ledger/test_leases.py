"""A lease is one run's at a time, and can be taken again and again."""

from __future__ import annotations

import threading

import pytest

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import MovableClock

KEY = "o2c:adopt:cus_1"


def test_a_lease_is_held_given_back_and_taken_again(ledger: Ledger) -> None:
    first = ledger.leases.take(KEY, "run-1")
    with pytest.raises(ClaimedElsewhere) as held:
        ledger.leases.take(KEY, "run-2")
    assert (held.value.ids["held_by"], held.value.retry_after_seconds) == ("run-1", 120)
    assert ledger.leases.take("o2c:adopt:cus_2", "run-2").token
    assert ledger.leases.give_back(first)
    assert not ledger.leases.give_back(first)
    second = ledger.leases.take(KEY, "run-2")
    assert second.token != first.token
    with pytest.raises(ClaimLost):
        ledger.leases.renew(first)


def test_a_dead_runs_lease_is_waited_out_and_a_renewed_one_is_not(
    ledger: Ledger, clock: MovableClock
) -> None:
    first = ledger.leases.take(KEY, "run-1")
    clock.advance(seconds=100)
    ledger.leases.renew(first)
    clock.advance(seconds=100)
    with pytest.raises(ClaimedElsewhere):
        ledger.leases.take(KEY, "run-2")
    clock.advance(seconds=20)
    ledger.leases.take(KEY, "run-2")
    assert not ledger.leases.give_back(first)
    with pytest.raises(ClaimedElsewhere):
        ledger.leases.take(KEY, "run-1")


def test_the_same_run_goes_on_at_once_and_nobody_without_a_name(ledger: Ledger) -> None:
    first = ledger.leases.take(KEY, "run-1")
    again = ledger.leases.take(KEY, "run-1")
    with pytest.raises(ClaimLost):
        ledger.leases.renew(first)
    ledger.leases.give_back(again)
    ledger.leases.take(KEY, "")
    with pytest.raises(ClaimedElsewhere):
        ledger.leases.take(KEY, "")


def test_of_many_at_once_one_gets_it(ledger: Ledger) -> None:
    won: list[str] = []
    start = threading.Barrier(8)

    def attempt(run: str) -> None:
        start.wait()
        try:
            ledger.leases.take(KEY, run)
        except ClaimedElsewhere:
            return
        won.append(run)

    threads = [threading.Thread(target=attempt, args=(f"run-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
