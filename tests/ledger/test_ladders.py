"""Ladders: opened once, woken, claimed by customer, journalled, settled and ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.errors import ClaimLost, ConfigurationError
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import (
    DueLadders,
    LadderFilter,
    LadderStatus,
    StepOutcome,
    Subject,
)
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.ladder_support import DAY, VERSION, asleep, claimed, new, opened, settled
from tests.ledger.support import START, MovableClock

MINUTE = timedelta(minutes=1)


def test_a_policy_is_kept_as_it_came_first(ledger: Ledger) -> None:
    ledger.ladders.keep_policy(VERSION, {"steps": ["at_once"]}, "default")
    ledger.ladders.keep_policy(VERSION, {"steps": []}, "renamed")
    assert ledger.ladders.policy(VERSION) == {"steps": ["at_once"]}
    assert ledger.ladders.policy("policy-2") is None


def test_no_ladder_begins_without_its_policy(ledger: Ledger) -> None:
    ledger.ladders.keep_policy(VERSION, {}, "default")
    with pytest.raises(ConfigurationError) as raised:
        ledger.ladders.open([new("in_1"), new("in_2", policy_version="policy-2")])
    assert (raised.value.code, raised.value.ids) == ("policy_not_kept", {"policy_version": "policy-2"})
    assert ledger.ladders.find(LadderFilter()) == []


def test_an_invoice_has_one_ladder_for_ever(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1", first_failed_at=START - DAY), new("in_2"))
    clock.advance(hours=1)
    assert ledger.ladders.open([new("in_2", "cus_b"), new("in_3"), new("in_3")]) == {"in_3"}
    first = claimed(ledger)["in_1"]
    ledger.ladders.end([(first, EndReason.PAID)])
    assert ledger.ladders.open([new("in_1")]) == set()
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    assert (ladder.status, ladder.state.ended, ladder.ended_at) == ("ended", EndReason.PAID, clock.now())
    assert (ladder.due_at, ladder.next_step) == (None, "")
    other = ledger.ladders.get("in_2")
    assert other is not None
    assert (other.customer_id, other.state.opened_at, other.due_at) == ("cus_a", START, START)
    assert ledger.ladders.get("in_4") is None


def test_what_was_opened_is_what_is_claimed(ledger: Ledger) -> None:
    opened(ledger, new("in_1", first_failed_at=START - DAY, collection_method=CollectionMethod.SEND_INVOICE))
    claim = claimed(ledger)["in_1"]
    assert (claim.due, claim.last_contact_at) == (True, None)
    assert claim.lease_until == START + timedelta(seconds=120)
    state = claim.ladder.state
    assert (state.policy_version, state.collection_method) == (VERSION, CollectionMethod.SEND_INVOICE)
    assert (state.opened_at, state.first_failed_at, state.journal) == (START, START - DAY, {})
    assert (claim.ladder.generation, claim.ladder.alarm_generation, claim.ladder.subject) == (1, 0, Subject())


def test_claims_come_by_customer(ledger: Ledger) -> None:
    opened(ledger, new("in_1"), new("in_2", due_at=START + DAY), new("in_3", "cus_b", START - MINUTE))
    first = claimed(ledger, customers=1)
    assert list(first) == ["in_3"]
    both = claimed(ledger)
    assert {one: claim.due for one, claim in both.items()} == {"in_1": True, "in_2": False}
    assert claimed(ledger, before=START + DAY) == {}
    settled(ledger, [both["in_1"]], START + DAY)
    assert claimed(ledger, before=START + DAY) == {}  # the other one of the customer is still held
    settled(ledger, [both["in_2"]], START + DAY)
    assert set(claimed(ledger, before=START + DAY)) == {"in_1", "in_2"}


def test_named_ladders_are_claimed_whether_due_or_not(ledger: Ledger) -> None:
    opened(ledger, new("in_1", due_at=START + DAY), new("in_2"), new("in_3", "cus_b"))
    assert claimed(ledger, invoice_ids=[]) == {}
    named = claimed(ledger, invoice_ids=["in_1", "in_gone"])
    assert {one: claim.due for one, claim in named.items()} == {"in_1": True, "in_2": False}
    ledger.ladders.end([(claim, EndReason.VOIDED) for claim in named.values()])
    assert claimed(ledger, invoice_ids=["in_1"]) == {}


def test_a_lease_ends_and_the_next_claim_takes_over(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    first = claimed(ledger)["in_1"]
    clock.advance(seconds=119)
    assert ledger.ladders.renew([first]) == 1
    clock.advance(seconds=119)
    assert claimed(ledger, "worker-2") == {}
    clock.advance(seconds=1)
    second = claimed(ledger, "worker-2")["in_1"]
    assert ledger.ladders.renew([first]) == 0
    with pytest.raises(ClaimLost) as raised:
        ledger.ladders.begin_step(first, "task", "run-1")
    assert raised.value.ids == {"invoice": "in_1", "held_by": "worker-2"}
    with pytest.raises(ClaimLost):
        ledger.ladders.finish_step(first, "task", state=StepState.PASSED)
    assert set(ledger.ladders.settle([asleep(first, None)])) == {"in_1"}
    assert set(ledger.ladders.end([(first, EndReason.PAID)])) == {"in_1"}
    ledger.ladders.release([first])
    ledger.ladders.begin_step(second, "task", "run-2")
    assert claimed(ledger, "worker-3") == {}


def test_a_late_holder_may_finish_while_nobody_took_over(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    claim = claimed(ledger)["in_1"]
    clock.advance(hours=3)
    ledger.ladders.begin_step(claim, "task", "run-1")
    settled(ledger, [claim], START + DAY)
    with pytest.raises(ClaimLost):
        ledger.ladders.begin_step(claim, "mail", "run-1")


def test_what_is_released_is_due_as_before(ledger: Ledger) -> None:
    opened(ledger, new("in_1"), new("in_2"))
    claims = claimed(ledger)
    ledger.ladders.release([claims["in_1"]])
    assert claimed(ledger) == {}
    ledger.ladders.release(list(claims.values()))
    again = claimed(ledger)
    assert [again[one].ladder for one in again] == [claims[one].ladder for one in claims]


def test_one_that_was_lost_holds_up_no_other(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"), new("in_2", "cus_b"))
    claims = claimed(ledger)
    clock.advance(minutes=3)
    claimed(ledger, "worker-2", invoice_ids=["in_1"])
    both = list(claims.values())
    assert set(ledger.ladders.begin_steps([(one, "task") for one in both], "run-1")) == {"in_1"}
    done = [StepOutcome(claim=one, key="task", state=StepState.DONE) for one in both]
    assert set(ledger.ladders.finish_steps(done)) == {"in_1"}
    assert ledger.ladders.renew(both) == 1
    assert set(ledger.ladders.settle([asleep(one, START + DAY) for one in both])) == {"in_1"}
    journals = {one.invoice_id: one.state.journal for one in ledger.ladders.find(LadderFilter())}
    assert journals == {"in_1": {}, "in_2": {"task": StepState.DONE}}


def test_settling_says_how_it_stands(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    subject = Subject(
        account_name="Umbra GmbH",
        account_id="001000000000001AAA",
        invoice_number="A-7",
        amount_remaining=Money(-5, "eur"),
        next_payment_attempt=START + DAY,
    )
    claim = claimed(ledger)["in_1"]
    one = asleep(claim, START + DAY, subject=subject, first_failed_at=START - DAY)
    one = replace(one, failures=3, code="unavailable", reason="Stripe did not answer.")
    assert ledger.ladders.settle([one]) == {}
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    assert (ladder.next_step, ladder.due_at, ladder.subject) == ("mail", START + DAY, subject)
    assert (ladder.failures, ladder.code, ladder.reason) == (3, "unavailable", "Stripe did not answer.")
    assert (ladder.state.first_failed_at, ladder.generation) == (START - DAY, 2)
    clock.advance(days=1)
    again = asleep(claimed(ledger)["in_1"], None, status=LadderStatus.RESTING, first_failed_at=START)
    assert ledger.ladders.settle([again]) == {}
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    assert (ladder.subject, ladder.failures, ladder.code) == (subject, 0, "")
    assert (ladder.status, ladder.due_at, ladder.state.first_failed_at) == ("resting", None, START - DAY)


def test_the_generation_counts_what_comes_next(ledger: Ledger) -> None:
    opened(ledger, new("in_1", due_at=START))

    def settle(**said: object) -> int:
        claim = claimed(ledger, invoice_ids=["in_1"])["in_1"]
        assert ledger.ladders.settle([asleep(claim, **said)]) == {}  # type: ignore[arg-type]  # typed by the callee's tests
        ladder = ledger.ladders.get("in_1")
        assert ladder is not None
        return ladder.generation

    assert settle(due_at=START + DAY, next_step="mail") == 2
    assert settle(due_at=START + DAY, next_step="mail", failures=1) == 2
    assert settle(due_at=START + DAY, next_step="call") == 3
    assert settle(due_at=START + 2 * DAY, next_step="call") == 4
    assert settle(due_at=None, next_step="call") == 5


def test_waking(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1", due_at=START + DAY), new("in_2", due_at=START), new("in_3", "cus_b"))
    claim = claimed(ledger, invoice_ids=["in_3"])["in_3"]
    ledger.ladders.settle([asleep(claim, None, status=LadderStatus.RESTING)])
    clock.advance(minutes=1)
    later = START + timedelta(hours=2)
    assert ledger.ladders.wake(["in_1", "in_3", "in_gone"], at=later) == 2
    assert _due(ledger) == {"in_1": later, "in_2": START, "in_3": later}
    assert ledger.ladders.wake(customer_ids=["cus_a"]) == 2
    assert _due(ledger) == {"in_1": clock.now(), "in_2": START, "in_3": later}
    assert ledger.ladders.wake() == 0
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    assert ladder.generation == 3
    ledger.ladders.end([(claimed(ledger, invoice_ids=["in_3"])["in_3"], EndReason.PAID)])
    assert ledger.ladders.wake(["in_3"], ["cus_b"]) == 0
    assert _due(ledger)["in_3"] is None


def test_one_that_is_woken_while_it_is_held_stays_due(ledger: Ledger, clock: MovableClock) -> None:
    """Whoever holds it may have read the invoice before what woke it."""
    opened(ledger, new("in_1"), new("in_2", "cus_b"))
    claims = claimed(ledger)
    clock.advance(seconds=10)
    ledger.ladders.wake(["in_1"])
    settled(ledger, claims.values(), START + DAY)
    assert _due(ledger) == {"in_1": START, "in_2": START + DAY}
    again = claimed(ledger)
    assert set(again) == {"in_1"}
    settled(ledger, again.values(), START + DAY)
    assert _due(ledger) == {"in_1": START + DAY, "in_2": START + DAY}


def test_one_that_is_opened_while_its_customer_is_held_comes_next(ledger: Ledger) -> None:
    opened(ledger, new("in_1"))
    claims = claimed(ledger)
    ledger.ladders.open([new("in_2")])
    assert claimed(ledger) == {}
    settled(ledger, claims.values(), START + DAY)
    assert {one: claim.due for one, claim in claimed(ledger).items()} == {"in_1": False, "in_2": True}


def test_counts_and_what_is_due(ledger: Ledger, clock: MovableClock) -> None:
    assert ledger.ladders.due() == DueLadders(count=0, oldest=None)
    opened(
        ledger,
        new("in_1", due_at=START - MINUTE),
        new("in_2", "cus_b"),
        new("in_3", "cus_c", START + DAY),
        new("in_4", "cus_d"),
    )
    assert ledger.ladders.due() == DueLadders(count=3, oldest=START - MINUTE)
    assert ledger.ladders.due(START + DAY) == DueLadders(count=4, oldest=START - MINUTE)
    claims = claimed(ledger, invoice_ids=["in_1", "in_4"])
    assert ledger.ladders.due() == DueLadders(count=1, oldest=START)
    ledger.ladders.end([(claims["in_4"], EndReason.PAID)])
    ledger.ladders.settle([asleep(claims["in_1"], None, status=LadderStatus.HELD)])
    assert ledger.ladders.counts() == {"waiting": 2, "held": 1, "resting": 0}
    clock.advance(days=1)
    assert ledger.ladders.due() == DueLadders(count=2, oldest=START)


def test_finding(ledger: Ledger) -> None:
    opened(ledger, *(new(f"in_{n}", f"cus_{n % 2}", START + n * DAY) for n in range(4)))
    claims = claimed(ledger, before=START + 4 * DAY)
    ledger.ladders.end([(claims["in_0"], EndReason.PAID)])
    about = Subject(account_id="001000000000001AAA")
    failing = asleep(claims["in_3"], START, subject=about, failures=1, status=LadderStatus.HELD)
    ledger.ladders.settle([failing])

    def ids(limit: int = 10, **wanted: object) -> list[str]:
        return [one.invoice_id for one in ledger.ladders.find(LadderFilter(**wanted), limit)]  # type: ignore[arg-type]  # typed by the callee's tests

    assert ids() == ["in_3", "in_1", "in_2", "in_0"]
    assert ids(2) == ["in_3", "in_1"]
    assert ids(customer_ids=("cus_0",)) == ["in_2", "in_0"]
    assert ids(statuses=(LadderStatus.HELD, LadderStatus.ENDED)) == ["in_3", "in_0"]
    assert ids(due_before=START + DAY) == ["in_3", "in_1"]
    assert ids(account_ids=("001000000000001AAA",)) == ids(failing=True) == ["in_3"]
    assert ids(invoice_ids=("in_2", "in_9")) == ["in_2"]


def test_what_a_report_reads(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_old"), new("in_new", "cus_b"))
    clock.advance(days=1)
    ledger.ladders.end([(claimed(ledger)["in_old"], EndReason.PAID)])
    clock.advance(days=1)
    opened(ledger, new("in_later", "cus_c"))

    def ids(since: float, until: float) -> list[str]:
        return [one.invoice_id for one in ledger.ladders.recovery(START + since * DAY, START + until * DAY)]

    assert ids(1, 2) == ["in_new", "in_old"]
    assert ids(1, 2.5) == ["in_new", "in_old", "in_later"]
    assert ids(1.5, 2) == ["in_new"]
    assert ids(-1, 0) == []


def _due(ledger: Ledger) -> dict[str, object]:
    return {one.invoice_id: one.due_at for one in ledger.ladders.find(LadderFilter())}
