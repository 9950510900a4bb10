"""Which ladders want a run to wake them, and which runs wake none any more."""

from __future__ import annotations

from datetime import timedelta

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.ledger.ladder_records import LadderStatus
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.ladder_support import DAY, asleep, claimed, new, opened
from tests.ledger.support import START


def test_a_ladder_wants_one_alarm_for_each_generation(ledger: Ledger) -> None:
    opened(
        ledger,
        new("in_1", due_at=START + DAY),
        new("in_2", "cus_b", START),
        new("in_3", "cus_c", START + 2 * DAY),
    )
    wanted = ledger.ladders.alarms_wanted(10)
    assert [(one.invoice_id, one.generation, one.due_at) for one in wanted] == [
        ("in_1", 1, START + DAY),
        ("in_3", 1, START + 2 * DAY),
    ]
    assert [one.invoice_id for one in ledger.ladders.alarms_wanted(1)] == ["in_1"]
    assert [one.invoice_id for one in ledger.ladders.alarms_wanted(1, after=START - DAY)] == ["in_2"]
    assert ledger.ladders.alarm_set("in_1", 1, "run-1")
    assert ledger.ladders.alarms_set([("in_3", 1, "run-3"), ("in_3", 2, "run-4"), ("in_9", 1, "run-9")]) == {
        "run-4",
        "run-9",
    }
    assert ledger.ladders.alarms_wanted(10) == []
    assert ledger.ladders.alarmed(["run-1", "run-3", "run-4"]) == {"run-1": "in_1", "run-3": "in_3"}
    assert ledger.ladders.alarms_current() == {"run-1": "in_1", "run-3": "in_3"}
    assert ledger.ladders.due(START + DAY, unarmed_only=True).count == 1
    assert set(claimed(ledger, before=START + DAY, unarmed_only=True)) == {"in_2"}


def test_an_alarm_of_what_moved_on_is_stale(ledger: Ledger) -> None:
    opened(ledger, *(new(f"in_{n}", f"cus_{n}", START + DAY) for n in range(4)))
    ledger.ladders.alarms_set([(f"in_{n}", 1, f"run-{n}") for n in range(4)])
    ledger.ladders.wake(["in_0"], at=START + timedelta(hours=1))
    claims = claimed(ledger, invoice_ids=["in_1", "in_2"])
    ledger.ladders.end([(claims["in_1"], EndReason.PAID)])
    ledger.ladders.settle([asleep(claims["in_2"], None)])
    assert ledger.ladders.alarmed([f"run-{n}" for n in range(4)]) == {"run-3": "in_3"}
    assert ledger.ladders.alarms_current() == {"run-3": "in_3"}
    assert ledger.ladders.alarms_stale(10) == {"run-0": "in_0", "run-1": "in_1", "run-2": "in_2"}
    assert len(ledger.ladders.alarms_stale(2)) == 2
    (wanted,) = ledger.ladders.alarms_wanted(10)
    assert (wanted.invoice_id, wanted.generation, wanted.stale_run_id) == ("in_0", 2, "run-0")
    assert not ledger.ladders.alarm_set("in_0", 1, "run-late")
    assert not ledger.ladders.alarm_set("in_1", 2, "run-late")
    assert ledger.ladders.alarm_set("in_0", 2, "run-new")
    assert ledger.ladders.alarms_gone(["run-0", "run-1", "run-2"]) == 2
    assert ledger.ladders.alarms_stale(10) == {}
    assert ledger.ladders.alarms_gone(["run-3"]) == 1  # Prefect lost it
    assert [one.invoice_id for one in ledger.ladders.alarms_wanted(10)] == ["in_3"]
    assert ledger.ladders.alarms_gone([]) == 0


def test_what_somebody_holds_wants_no_alarm_yet(ledger: Ledger) -> None:
    opened(ledger, new("in_1", due_at=START + DAY))
    claim = claimed(ledger, invoice_ids=["in_1"])["in_1"]
    assert ledger.ladders.alarms_wanted(10) == []
    ledger.ladders.release([claim])
    assert [one.invoice_id for one in ledger.ladders.alarms_wanted(10)] == ["in_1"]


def test_what_does_not_wait_for_a_step_wants_no_alarm(ledger: Ledger) -> None:
    opened(ledger, *(new(f"in_{n}", f"cus_{n}") for n in range(4)))
    claims = claimed(ledger)
    ledger.ladders.settle(
        [
            asleep(claims["in_0"], START + DAY, status=LadderStatus.HELD),
            asleep(claims["in_1"], START + DAY, status=LadderStatus.RESTING),
            asleep(claims["in_2"], START + DAY, failures=1),
            asleep(claims["in_3"], START + DAY),
        ]
    )
    assert [one.invoice_id for one in ledger.ladders.alarms_wanted(10)] == ["in_3"]
    assert ledger.ladders.due(START + DAY, unarmed_only=True).count == 4
