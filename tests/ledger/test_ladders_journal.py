"""What was done on ladders: steps in one order, contacts; what people said; a ledger of an hour ago."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from order_to_cash.domain.dunning.facts import EndReason, Hold, StepState
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ladder_records import (
    ClaimedLadder,
    LadderStep,
    PlacedHold,
    StepOutcome,
)
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.ladder_support import DAY, asleep, claimed, new, opened, settled
from tests.ledger.support import START, MovableClock

DONE, PASSED, BEGUN = StepState.DONE, StepState.PASSED, StepState.BEGUN


def journal(ledger: Ledger, invoice_id: str = "in_1") -> tuple[LadderStep, ...]:
    ladder = ledger.ladders.get(invoice_id)
    assert ladder is not None
    assert ladder.state.journal == {step.key: step.state for step in ladder.steps}
    return ladder.steps


def taken(ledger: Ledger) -> ClaimedLadder:
    return claimed(ledger, invoice_ids=["in_1"])["in_1"]


def test_steps_are_begun_finished_and_passed_in_order(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    claim = taken(ledger)
    ledger.ladders.begin_step(claim, "z_first", "run-1")
    assert [step.state for step in journal(ledger)] == [BEGUN]
    clock.advance(seconds=5)
    ledger.ladders.finish_step(claim, "z_first", state=DONE, contacted_at=clock.now())
    ledger.ladders.finish_step(claim, "mail", state=PASSED, note="amount")
    ledger.ladders.begin_step(claim, "a_last", "run-2")
    now = clock.now()
    assert journal(ledger) == (
        LadderStep(
            key="z_first", state=DONE, begun_at=START, decided_at=now, contacted_at=now, run_id="run-1"
        ),
        LadderStep(key="mail", state=PASSED, begun_at=now, decided_at=now, note="amount"),
        LadderStep(key="a_last", state=BEGUN, begun_at=now, run_id="run-2"),
    )


def test_a_step_that_was_begun_is_resumed(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    ledger.ladders.begin_step(taken(ledger), "task", "run-1")
    clock.advance(minutes=3)
    claim = taken(ledger)
    assert claim.ladder.state.journal == {"task": BEGUN}
    ledger.ladders.begin_step(claim, "task", "run-2")
    assert [(step.begun_at, step.run_id) for step in journal(ledger)] == [(START, "run-1")]
    for _ in range(2):  # the answer of the first time may have been lost
        ledger.ladders.finish_step(claim, "task", state=DONE, note="said once")
    assert [(step.state, step.note) for step in journal(ledger)] == [(DONE, "said once")]


def test_no_step_is_taken_twice_or_beside_another(ledger: Ledger) -> None:
    opened(ledger, new("in_1"), new("in_2"))
    claims = claimed(ledger)
    claim = claims["in_1"]
    ledger.ladders.begin_step(claim, "task", "run-1")
    with pytest.raises(ValueError, match="begun and not done"):
        ledger.ladders.begin_steps([(claims["in_2"], "task"), (claim, "mail")], "run-1")
    with pytest.raises(ValueError, match="another one is begun"):
        ledger.ladders.finish_step(claim, "mail", state=PASSED)
    assert journal(ledger, "in_2") == ()
    ledger.ladders.finish_step(claim, "task", state=DONE)
    with pytest.raises(ValueError, match="decided before"):
        ledger.ladders.begin_step(claim, "task", "run-1")
    with pytest.raises(ValueError, match="decided before"):
        ledger.ladders.finish_step(claim, "task", state=PASSED)
    with pytest.raises(ValueError, match="never begun"):
        ledger.ladders.finish_step(claim, "mail", state=DONE)
    with pytest.raises(ValueError, match="no outcome"):
        ledger.ladders.finish_step(claim, "task", state=BEGUN)
    assert [(step.key, step.state) for step in journal(ledger)] == [("task", DONE)]


def test_many_at_once_several_of_one_ladder_among_them(ledger: Ledger) -> None:
    opened(ledger, *(new(f"in_{n}", f"cus_{n}") for n in range(30)))
    claims = ledger.ladders.claim("worker-1", customers=30)
    assert ledger.ladders.begin_steps([(claim, "task") for claim in claims], "run-1") == {}
    outcomes = [
        outcome
        for claim in claims
        for outcome in (
            StepOutcome(claim=claim, key="task", state=DONE),
            StepOutcome(claim=claim, key="case", state=PASSED),
            StepOutcome(claim=claim, key="call", state=PASSED),
        )
    ]
    assert ledger.ladders.finish_steps(outcomes) == {}
    for claim in claims:
        steps = journal(ledger, claim.ladder.invoice_id)
        assert [(step.key, step.state) for step in steps] == [
            ("task", DONE),
            ("case", PASSED),
            ("call", PASSED),
        ]


def test_nothing_is_done_on_a_ladder_that_ended(ledger: Ledger) -> None:
    opened(ledger, new("in_1"))
    claim = taken(ledger)
    ledger.ladders.begin_step(claim, "task", "run-1")
    assert ledger.ladders.end([(claim, EndReason.PAID)]) == {}
    with pytest.raises(ClaimLost):
        ledger.ladders.begin_step(claim, "mail", "run-1")
    with pytest.raises(ClaimLost):
        ledger.ladders.finish_step(claim, "task", state=DONE)
    assert set(ledger.ladders.settle([asleep(claim, START)])) == {"in_1"}
    assert set(ledger.ladders.end([(claim, EndReason.VOIDED)])) == {"in_1"}
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    assert (ladder.state.ended, ladder.state.journal) == (EndReason.PAID, {"task": BEGUN})


def test_the_last_contact_is_the_customers(ledger: Ledger, clock: MovableClock) -> None:
    """By whichever of their ladders, ended ones too."""
    opened(ledger, new("in_1"), new("in_2"), new("in_3", "cus_b"))
    claims = claimed(ledger)
    assert {claim.last_contact_at for claim in claims.values()} == {None}
    for hours, invoice_id in ((2, "in_1"), (1, "in_2")):
        claim, at = claims[invoice_id], START + timedelta(hours=hours)
        ledger.ladders.begin_step(claim, "mail", "run-1")
        ledger.ladders.finish_step(claim, "mail", state=DONE, contacted_at=at)
    ledger.ladders.end([(claims["in_1"], EndReason.PAID)])
    settled(ledger, [claims["in_2"], claims["in_3"]], START)
    again = claimed(ledger)
    assert {one: claim.last_contact_at for one, claim in again.items()} == {
        "in_2": START + timedelta(hours=2),
        "in_3": None,
    }


def test_a_contact_counts_before_its_step_is_done(ledger: Ledger, clock: MovableClock) -> None:
    """For the customer's other ladders: for this one finishing it is the same contact."""
    opened(ledger, new("in_1"), new("in_2"))
    claims = claimed(ledger)
    claim, at = claims["in_1"], START + timedelta(minutes=5)
    with pytest.raises(ValueError, match="no outcome"):
        ledger.ladders.finish_step(claim, "mail", state=BEGUN, contacted_at=at)
    ledger.ladders.begin_step(claim, "mail", "run-1")
    ledger.ladders.finish_step(claim, "mail", state=BEGUN, contacted_at=at)
    ledger.ladders.release(list(claims.values()))
    clock.advance(hours=1)
    again = claimed(ledger)
    assert {one: each.last_contact_at for one, each in again.items()} == {"in_1": None, "in_2": at}
    assert again["in_1"].ladder.state.journal == {"mail": BEGUN}
    ledger.ladders.finish_step(again["in_1"], "mail", state=DONE, contacted_at=clock.now())
    assert journal(ledger)[0].contacted_at == at
    ledger.ladders.release(list(again.values()))
    assert {each.last_contact_at for each in claimed(ledger).values()} == {at}


def test_a_hold_is_shown_until_it_ends(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1", due_at=START + DAY), new("in_2", due_at=START + DAY))
    until = START + timedelta(hours=2)
    assert ledger.ladders.hold(invoice_id="in_1", until=until, reason="promised", by="Ada") == 1
    claims = claimed(ledger)  # woken, so that it shows
    assert {one: claim.ladder.hold for one, claim in claims.items()} == {
        "in_1": Hold(until=until, reason="promised"),
        "in_2": None,
    }
    ledger.ladders.release(list(claims.values()))
    held = PlacedHold(subject_id="in_1", until=until, reason="promised", placed_by="Ada", placed_at=START)
    assert ledger.ladders.holds() == [held]
    clock.advance(hours=2)
    assert ledger.ladders.holds() == []
    assert taken(ledger).ladder.hold is None
    assert not ledger.ladders.resume(invoice_id="in_1", by="Ada")


def test_of_two_holds_the_longer_one_counts(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1"))
    ledger.ladders.hold(invoice_id="in_1", until=START + DAY, reason="invoice", by="Ada")
    ledger.ladders.hold(customer_id="cus_a", until=START + 2 * DAY, reason="customer", by="Ada")
    assert _held(ledger) == "customer"
    ledger.ladders.hold(invoice_id="in_1", until=None, reason="endless", by="Ada")
    assert _held(ledger) == "endless"
    assert ledger.ladders.resume(invoice_id="in_1", by="Ben")
    assert _held(ledger) == "customer"
    clock.advance(days=2)
    assert _held(ledger) == ""


def test_a_customer_is_held_with_ladders_to_come(ledger: Ledger, clock: MovableClock) -> None:
    opened(ledger, new("in_1", due_at=START + DAY))
    assert ledger.ladders.hold(customer_id="cus_a", until=None, reason="disputed", by="Ada") == 1
    assert ledger.ladders.hold(customer_id="cus_b", until=None, reason="new", by="Ada") == 0
    opened(ledger, new("in_2"), new("in_3", "cus_b"))
    holds = {one: claim.ladder.hold for one, claim in claimed(ledger).items()}
    assert holds == {
        "in_1": Hold(reason="disputed"),
        "in_2": Hold(reason="disputed"),
        "in_3": Hold(reason="new"),
    }
    clock.advance(minutes=3)
    settled(ledger, claimed(ledger).values(), None)
    assert ledger.ladders.resume(customer_id="cus_a", by="Ben")
    assert {one: claim.ladder.hold for one, claim in claimed(ledger).items()} == {"in_1": None, "in_2": None}
    with pytest.raises(ValueError, match="one invoice or of one customer"):
        ledger.ladders.hold(invoice_id="in_1", customer_id="cus_a", until=None, reason="", by="")
    with pytest.raises(ValueError, match="one invoice or of one customer"):
        ledger.ladders.resume(by="")


def test_a_ledger_restored_from_an_hour_ago(sqlite_ledger: Path, tmp_path: Path, clock: MovableClock) -> None:
    """What was open is there and due, and what was begun is resumed: its effects are looked for outside."""
    paths = tmp_path / "ledger.db", tmp_path / "backup.db"
    shutil.copy(sqlite_ledger, paths[0])
    with _file(paths[0], clock) as ledger:
        opened(ledger, new("in_1"))
        ledger.ladders.begin_step(taken(ledger), "task", "run-1")
    shutil.copy(paths[0], paths[1])
    clock.advance(minutes=30)
    with _file(paths[0], clock) as ledger:
        claim = taken(ledger)
        ledger.ladders.finish_step(claim, "task", state=DONE)
        settled(ledger, [claim], START + DAY)
        opened(ledger, new("in_2"))
    clock.advance(minutes=30)
    with _file(paths[1], clock) as restored:
        assert restored.ladders.open([new("in_1"), new("in_2")]) == {"in_2"}
        claims = claimed(restored)
        assert {one: claim.ladder.state.journal for one, claim in claims.items()} == {
            "in_1": {"task": BEGUN},
            "in_2": {},
        }
        restored.ladders.begin_step(claims["in_1"], "task", "run-2")
        restored.ladders.finish_step(claims["in_1"], "task", state=DONE, note="found")
        with pytest.raises(ClaimLost):
            restored.ladders.begin_step(claim, "mail", "run-1")


def _file(path: Path, clock: MovableClock) -> Ledger:
    return Ledger.open(f"sqlite:///{path}", clock=clock, environment=Environment.EMULATOR)


def _held(ledger: Ledger) -> str:
    ladder = ledger.ladders.get("in_1")
    assert ladder is not None
    return ladder.hold.reason if ladder.hold else ""
