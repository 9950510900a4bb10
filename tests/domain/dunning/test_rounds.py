"""All open ladders of one customer in one round."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.decision import Do, End, Sleep
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import Facts, InvoiceStatus, StepState
from order_to_cash.domain.dunning.rounds import decide_together
from order_to_cash.domain.dunning.steps import CONTACTS
from tests.domain.dunning.ladders import DAY, HOUR, KEYS, START, facts, invoice, state

POLICY = default_policy()


def climbed(steps: int, first_failed_at: datetime = START, **other: Any) -> Facts:
    """A ladder whose first steps are done."""
    ladder = state(first_failed_at=first_failed_at, journal=dict.fromkeys(KEYS[:steps], StepState.DONE))
    return facts(ladder, **other)


def decided(*ladders: Facts, now: datetime) -> list[Any]:
    return decide_together([(one, POLICY) for one in ladders], now)


def test_a_contact_waits_for_what_may_come_to_the_same_contact() -> None:
    now = START + DAY + HOUR
    mail_is_due, just_found = climbed(1), climbed(0)
    first = decided(mail_is_due, just_found, now=now)
    assert first[0] is None
    assert isinstance(first[1], Do)
    assert first[1].step.key == KEYS[0]
    second = decided(mail_is_due, climbed(1), now=now)
    assert [one.step.key for one in second] == [KEYS[1], KEYS[1]]


def test_one_that_is_due_later_that_day_is_taken_along() -> None:
    now = START + DAY
    due_this_afternoon = climbed(1, START + 3 * HOUR)
    alone = decided(due_this_afternoon, now=now)
    assert isinstance(alone[0], Sleep)
    both = decided(climbed(1), due_this_afternoon, now=now)
    assert [one.step.key for one in both] == [KEYS[1], KEYS[1]]


def test_of_two_kinds_of_contact_the_later_one_goes_first() -> None:
    now = START + 3 * DAY + 2 * HOUR
    to_call, to_mail = climbed(2), climbed(1, START + 2 * DAY)
    assert decided(to_call, to_mail, now=now) == [decided(to_call, now=now)[0], None]
    late_mail = climbed(1, START - DAY)
    assert decided(to_call, late_mail, now=now) == [None, decided(late_mail, now=now)[0]]


def test_what_ended_ends_whatever_its_siblings_do() -> None:
    paid = climbed(1, of_invoice=invoice(status=InvoiceStatus.PAID))
    decisions = decided(climbed(1), paid, climbed(0), now=START + DAY + HOUR)
    assert isinstance(decisions[1], End)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-96, 96)), min_size=1, max_size=5),
    st.integers(0, 400),
)
def test_a_round_makes_one_kind_of_contact_and_always_goes_on(
    ladders: list[tuple[int, int]], hours: int
) -> None:
    now = START + timedelta(hours=hours)
    each = [climbed(steps, START + timedelta(hours=offset)) for steps, offset in ladders]
    decisions = decide_together([(one, POLICY) for one in each], now)
    assert len(decisions) == len(each)
    assert any(one is not None for one in decisions)
    steps = [one.step for one in decisions if isinstance(one, Do)]
    kinds = {kind for step in steps for kind in step.kinds & CONTACTS}
    assert len(kinds) <= 1
    if kinds:
        assert all(step.contacts_customer for step in steps)
