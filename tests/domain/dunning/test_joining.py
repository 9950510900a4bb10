"""A contact that is made takes along what is due later on the same day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from order_to_cash.domain.dunning.decision import Do, Sleep, next_step
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import Facts, Hold, InvoiceStatus, StepState
from order_to_cash.domain.dunning.joining import next_step_joining
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import ActionKind
from tests.domain.dunning.ladders import (
    DAY,
    HOUR,
    KEYS,
    START,
    ZONES,
    facts,
    invoice,
    only,
    policies,
    spans,
    state,
)

FAILED, MAIL = KEYS[:2]
FIRST = {FAILED: StepState.DONE}
NOW = START + DAY


def later(hours: float = 2, **other: Any) -> Facts:
    """A ladder that began so many hours after START, with its mail to come a day later."""
    told = {"journal": FIRST, "first_failed_at": START + timedelta(hours=hours), **other}
    return facts(state(**told))


def test_what_is_due_later_today_comes_along() -> None:
    assert isinstance(next_step(later(), default_policy(), NOW), Sleep)
    joined = next_step_joining(later(), default_policy(), NOW, ActionKind.EMAIL)
    assert isinstance(joined, Do)
    assert joined.step.key == MAIL


@pytest.mark.parametrize(
    ("known", "kind", "now"),
    [
        (later(), ActionKind.OUTREACH_TASK, NOW),  # another kind of contact
        (later(hours=26), ActionKind.EMAIL, NOW),  # tomorrow
        (later(hours=15), ActionKind.EMAIL, NOW),  # after midnight
        (later(), ActionKind.EMAIL, NOW - HOUR),  # before hours
        (facts(state(journal=FIRST), hold=Hold()), ActionKind.EMAIL, NOW),
        (facts(state(journal=FIRST), invoice(status=InvoiceStatus.PAID)), ActionKind.EMAIL, NOW),
        (facts(state(journal=FIRST), last_contact_at=NOW - 2 * HOUR), ActionKind.EMAIL, NOW),
        (facts(state(first_failed_at=NOW + HOUR)), ActionKind.EMAIL, NOW),  # its first step is to come
    ],
)
def test_what_is_not_up_for_it_does_not(known: Facts, kind: Any, now: datetime) -> None:
    policy = default_policy()
    assert next_step_joining(known, policy, now, kind) == next_step(known, policy, now)


def test_a_step_that_is_not_for_the_invoice_stays_asleep() -> None:
    policy = only({"attempts_at_least": 2}, delay="2h", actions=["email"])
    assert isinstance(next_step_joining(facts(state(policy)), policy, START, ActionKind.EMAIL), Sleep)


@given(policies(), spans(12 * 24), st.none() | spans(12 * 24), st.sampled_from([None, *ZONES]))
@settings(max_examples=60)
def test_hours_and_quiet_period_hold_also_then(
    policy: DunningPolicy, after: timedelta, contact: timedelta | None, zone: str | None
) -> None:
    sent = policy.charged.steps[:1] and policy.charged.steps[0].key == "other"
    known = facts(
        state(policy, sent=bool(sent)),
        invoice(due_at=START),
        last_contact_at=None if contact is None else START + contact,
        time_zone=zone,
    )
    now = START + after
    decision = next_step_joining(known, policy, now, ActionKind.EMAIL)
    if isinstance(decision, Do) and decision.step.contacts_customer:
        mails = ActionKind.EMAIL in decision.step.kinds
        hours = policy.contact_hours
        assert hours.are_open(now, hours.zone(zone if mails else None))
        assert contact is None or now >= START + contact + policy.quiet_period
