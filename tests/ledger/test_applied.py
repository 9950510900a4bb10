"""What Salesforce shows never goes back in time; a nudge is taken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from order_to_cash.domain.sync.shapes import Applied, ObjectKey
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.nudges import Nudge
from tests.ledger.support import START, MovableClock

KEY = ObjectKey("invoice", "in_1")
LATER = START + timedelta(seconds=1)


def test_what_was_put_is_found(ledger: Ledger) -> None:
    states = {ObjectKey("invoice", f"in_{n}"): Applied(START, False, f"d{n}") for n in range(2000)}
    states[ObjectKey("charge", "in_1")] = Applied(LATER, True, "other")
    ledger.applied.put_many(states)
    ledger.applied.put_many({})
    assert ledger.applied.get_many(list(states)) == states
    asked = [ObjectKey("charge", "in_1"), ObjectKey("charge", "in_2")]
    assert ledger.applied.get_many(asked) == {asked[0]: states[asked[0]]}
    assert ledger.applied.get_many([]) == {}


@pytest.mark.parametrize(
    ("known", "put", "stays"),
    [
        (Applied(LATER, False, "a"), Applied(START, False, "b"), True),
        (Applied(LATER, False, "a"), Applied(START, True, "b"), True),
        (Applied(START, True, "a"), Applied(LATER, False, "b"), False),
        (Applied(START, True, "a"), Applied(START, False, "b"), True),
        (Applied(START, False, "a"), Applied(START, True, "b"), False),
        (Applied(START, False, "a"), Applied(START, False, "b"), False),
    ],
)
def test_it_never_goes_back(ledger: Ledger, known: Applied, put: Applied, stays: bool) -> None:
    ledger.applied.put_many({KEY: known})
    ledger.applied.put_many({KEY: put})
    assert ledger.applied.get_many([KEY]) == {KEY: known if stays else put}


def test_what_another_writer_put_meanwhile_is_nobodys_word(ledger: Ledger) -> None:
    other = ObjectKey("charge", "ch_1")
    first, second = Applied(START, False, "a"), Applied(LATER, False, "b")
    assert ledger.applied.remember({KEY: first, other: first}, {KEY: None, other: None}) == frozenset()
    # Known before the first one wrote it: neither the newer nor the older word counts.
    assert ledger.applied.remember({KEY: second, other: second}, {KEY: None, other: first}) == {KEY}
    shown = ledger.applied.get_many([KEY, other])
    assert (shown[KEY].in_doubt, shown[other]) == (True, first)
    # Who wrote on top of the first meanwhile learns it as well, and so does who had never seen one.
    assert ledger.applied.remember({KEY: second}, {KEY: first}) == {KEY}
    assert ledger.applied.remember({KEY: second}, {KEY: None}) == {KEY}
    known = ledger.applied.get_many([KEY])
    assert ledger.applied.remember({KEY: second, other: second}, known) == frozenset()
    assert ledger.applied.get_many([KEY, other]) == {KEY: second, other: second}


def test_who_put_the_same_meanwhile_is_no_matter(ledger: Ledger) -> None:
    """Whichever of the two wrote last, Salesforce shows that state."""
    assert ledger.applied.remember({KEY: Applied(START, False, "a")}, {KEY: None}) == frozenset()
    later = Applied(LATER, True, "a")
    assert ledger.applied.remember({KEY: later}, {KEY: None}) == frozenset()
    assert ledger.applied.get_many([KEY]) == {KEY: later}
    ledger.applied.doubt([KEY])
    assert ledger.applied.remember({KEY: later}, {KEY: None}) == {KEY}


def test_a_doubt_is_no_earlier_doubt(ledger: Ledger) -> None:
    ledger.applied.put_many({KEY: Applied(LATER, True, "a")})
    ledger.applied.doubt([])
    ledger.applied.doubt([KEY])
    before = ledger.applied.get_many([KEY])
    ledger.applied.doubt([KEY])
    assert ledger.applied.remember({KEY: Applied(LATER, True, "a")}, before) == {KEY}
    known = ledger.applied.get_many([KEY])
    put = Applied(START, False, "b")
    assert ledger.applied.remember({KEY: put}, known) == frozenset()
    assert ledger.applied.get_many([KEY]) == {KEY: put}


def test_nudges_are_taken_once_oldest_first(ledger: Ledger, clock: MovableClock) -> None:
    assert ledger.nudges.take() == []
    ledger.nudges.put("00D1", "Opportunity", ["006B", "006A", "006B"])
    clock.advance(seconds=1)
    ledger.nudges.put("00D1", "Opportunity", ["006C", "006A"])
    ledger.nudges.put("00D1", "Account", [])
    first = ledger.nudges.take(2)
    assert first == [
        Nudge("00D1", "Opportunity", "006B", START),
        Nudge("00D1", "Opportunity", "006A", clock.now()),
    ]
    assert [nudge.record_id for nudge in ledger.nudges.take()] == ["006C"]
    assert ledger.nudges.take() == []
