"""Effects in batches: an intent is one run's at a time; what was begun before is looked for, never just repeated."""

from __future__ import annotations

from order_to_cash.domain.errors import ClaimedElsewhere, Refused
from order_to_cash.ledger.intents import Operation, OperationState
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import MovableClock

FRESH, UNKNOWN, DONE = OperationState.FRESH, OperationState.UNKNOWN, OperationState.DONE


def begin(ledger: Ledger, run_id: str, *keys: str) -> dict[str, Operation | ClaimedElsewhere]:
    return ledger.effects.begin("signal", {key: {"about": key} for key in keys}, run_id=run_id)


def held(begun: dict[str, Operation | ClaimedElsewhere]) -> list[Operation]:
    return [one for one in begun.values() if isinstance(one, Operation)]


def states(begun: dict[str, Operation | ClaimedElsewhere]) -> dict[str, OperationState]:
    return {key: one.state for key, one in begun.items() if isinstance(one, Operation)}


def test_each_is_begun_once_and_done_once(ledger: Ledger) -> None:
    first = begin(ledger, "run-1", "a", "b")
    assert states(first) == {"a": FRESH, "b": FRESH}
    ledger.effects.succeed({one.key: (one, {"ts": "1"}) for one in held(first)[:1]})
    assert ledger.effects.done(["a", "b", "c"]) == {"a"}
    assert ledger.effects.outcomes(["a", "b", "c"]) == {"a": {"ts": "1"}}
    again = begin(ledger, "run-1", "a", "b", "c")
    assert states(again) == {"a": DONE, "b": UNKNOWN, "c": FRESH}
    assert held(again)[0].outcome == {"ts": "1"}
    assert begin(ledger, "run-1") == {}
    assert ledger.effects.done([]) == set()


def test_what_another_run_holds_holds_up_nothing_else(ledger: Ledger, clock: MovableClock) -> None:
    begin(ledger, "run-1", "a")
    second = begin(ledger, "run-2", "a", "b")
    assert isinstance(second["a"], ClaimedElsewhere)
    assert states(second) == {"b": FRESH}
    clock.advance(seconds=121)
    assert states(begin(ledger, "run-2", "a")) == {"a": UNKNOWN}


def test_a_late_run_ends_nothing_that_was_taken_over(ledger: Ledger, clock: MovableClock) -> None:
    first = begin(ledger, "run-1", "a")
    clock.advance(seconds=121)
    begin(ledger, "run-2", "a")
    ledger.effects.succeed({one.key: (one, {}) for one in held(first)})
    ledger.effects.release(held(first))
    assert ledger.effects.done(["a"]) == set()
    assert isinstance(begin(ledger, "run-3", "a")["a"], ClaimedElsewhere)


def test_released_and_refused_ones_are_looked_for(ledger: Ledger) -> None:
    first = begin(ledger, "run-1", "a", "b")
    a, b = held(first)
    ledger.effects.release([a])
    ledger.effects.refuse([(b, Refused("no"))])
    assert states(begin(ledger, "run-2", "a", "b")) == {"a": UNKNOWN, "b": UNKNOWN}


def test_the_intent_that_counts_is_the_last_one_stated(ledger: Ledger) -> None:
    (operation,) = held(begin(ledger, "run-1", "a"))
    ledger.effects.restate([operation], {"message": "m2"})
    ledger.effects.restate([], {})
    ledger.effects.release([operation])
    (found,) = held(begin(ledger, "run-2", "a"))
    assert found.intent == {"message": "m2"}
