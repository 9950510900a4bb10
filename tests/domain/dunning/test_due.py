"""When a step is due, and when it may be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from order_to_cash.domain.dunning.decision import (
    Do,
    Sleep,
    next_step,
)
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.due import Cause, Shift, schedule_doubts
from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.dunning.reading import read_policy
from tests.domain.dunning.ladders import DAY, HOUR, KEYS, START, facts, invoice, state

FAILED, MAIL, OUTREACH, EXECUTIVE = KEYS


def done(*keys: str) -> dict[str, StepState]:
    return dict.fromkeys(keys, StepState.DONE)


CLIMBED = state(journal=done(FAILED, MAIL, OUTREACH))
NOW = START + 4 * DAY


def last_step(**told: Any) -> Sleep:
    decision = next_step(facts(CLIMBED, invoice(**told)), default_policy(), NOW)
    assert isinstance(decision, Sleep)
    assert decision.step.key == EXECUTIVE
    return decision


def test_the_last_step_comes_before_stripes_end_as_the_policy_tells_it() -> None:
    found = last_step()
    assert found.due == START + 12 * DAY  # a Sunday
    assert found.until == datetime.fromisoformat("2026-03-13T09:00Z")  # the Friday before it
    assert found.shifts == (Shift(Cause.CONTACT_HOURS, found.until - found.due),)


@pytest.mark.parametrize(
    ("told", "days"),
    [
        ({"next_payment_attempt": START + 5 * DAY}, 14),  # within the window: nothing is learnt of its end
        ({"next_payment_attempt": START + 15 * DAY}, 15),
        ({"next_payment_attempt": START + 30 * DAY}, 30),
        ({"subscription_ends_at": START + 9 * DAY}, 9),
        ({"subscription_ends_at": START + 300 * DAY}, 14),
        ({"subscription_ends_at": START + 20 * DAY, "next_payment_attempt": START + 30 * DAY}, 20),
    ],
)
def test_the_last_step_moves_with_stripes_end(told: dict[str, Any], days: int) -> None:
    assert last_step(**told).due == START + (days - 2) * DAY


def test_the_last_step_that_is_late_waits_for_no_earlier_opening() -> None:
    sunday = START + 12 * DAY
    decision = next_step(facts(CLIMBED), default_policy(), sunday)
    assert isinstance(decision, Sleep)
    assert decision.until == datetime.fromisoformat("2026-03-16T09:00Z")


def test_a_contact_waits_for_stripes_own_attempt() -> None:
    known = facts(state(journal=done(FAILED)), invoice(next_payment_attempt=START + DAY))
    decision = next_step(known, default_policy(), START + DAY)
    assert isinstance(decision, Sleep)
    assert decision.until == START + DAY + HOUR
    assert decision.shifts == (Shift(Cause.STRIPES_ATTEMPT, HOUR),)
    told = replace(known, invoice=invoice(next_payment_attempt=START + 3 * DAY, attempt_count=2))
    assert isinstance(next_step(told, default_policy(), START + DAY), Do)


def test_rules_are_asked_again_after_another_one_moved_a_step() -> None:
    friday = START + 3 * DAY
    monday = datetime.fromisoformat("2026-03-09T09:00Z")
    trying = invoice(next_payment_attempt=monday + HOUR / 2)
    ladder = state(journal=done(FAILED), first_failed_at=friday)
    decision = next_step(facts(ladder, trying), default_policy(), friday)
    assert isinstance(decision, Sleep)
    assert decision.until == monday + 1.5 * HOUR
    assert [shift.cause for shift in decision.shifts] == [Cause.CONTACT_HOURS, Cause.STRIPES_ATTEMPT]
    evening = invoice(next_payment_attempt=START + DAY + 7 * HOUR)  # until 17:30: nobody is reached that day
    decision = next_step(
        facts(state(journal=done(FAILED)), evening), default_policy(), START + DAY + 6.5 * HOUR
    )
    assert isinstance(decision, Sleep)
    assert decision.until == datetime.fromisoformat("2026-03-05T09:00Z")


def test_a_contact_waits_a_day_at_most_for_attempts_that_never_come() -> None:
    known = facts(state(journal=done(FAILED)))
    now = START + DAY
    for _ in range(60):
        tried = replace(known, invoice=invoice(next_payment_attempt=now + HOUR / 2))
        decision = next_step(tried, default_policy(), now)
        if isinstance(decision, Do):
            break
        assert isinstance(decision, Sleep)
        now = decision.until
    assert isinstance(decision, Do)
    assert now <= START + 3 * DAY


def test_a_contact_waits_while_a_payment_is_under_way_however_long_and_nothing_else_does() -> None:
    paying = invoice(payment_under_way=True)
    known = facts(state(journal=done(FAILED)), paying)
    now = START + 2 * DAY
    for _ in range(9):
        decision = next_step(known, default_policy(), now)
        assert isinstance(decision, Sleep)
        assert Cause.PAYMENT_UNDER_WAY in {shift.cause for shift in decision.shifts}
        assert now + DAY <= decision.until <= now + 4 * DAY  # the first opening after a day
        now = decision.until
    assert isinstance(next_step(replace(known, invoice=invoice()), default_policy(), now), Do)
    assert isinstance(next_step(facts(state(), paying), default_policy(), now), Do), "a record"
    early = next_step(known, default_policy(), START)
    assert isinstance(early, Sleep)
    assert early.until == START + DAY, "it may have failed by then"


def test_mails_keep_the_customers_hours_and_our_people_ours() -> None:
    tokyo = facts(state(journal=done(FAILED)), time_zone="Asia/Tokyo")
    mail = next_step(tokyo, default_policy(), START)
    assert isinstance(mail, Sleep)
    assert mail.until == datetime.fromisoformat("2026-03-05T09:00+09:00")
    call = next_step(replace(tokyo, ladder=state(journal=done(FAILED, MAIL))), default_policy(), START)
    assert isinstance(call, Sleep)
    assert call.until == START + 3 * DAY


def test_a_zone_that_is_not_known_is_ours() -> None:
    for name in (None, "", "Nowhere/Land"):
        decision = next_step(facts(state(journal=done(FAILED)), time_zone=name), default_policy(), START)
        assert isinstance(decision, Sleep)
        assert decision.until == START + DAY


def test_two_contacts_are_not_made_on_one_day_however_short_the_quiet_period() -> None:
    policy = read_policy({**DEFAULT_POLICY, "quiet_period": "0m"})
    known = facts(state(policy, journal=done(FAILED)), last_contact_at=START + DAY - HOUR / 2)
    decision = next_step(known, policy, START + DAY)
    assert isinstance(decision, Sleep)
    assert decision.until == datetime.fromisoformat("2026-03-05T09:00Z")


def test_a_sent_invoice_is_chased_from_its_due_date_and_never_moved_by_attempts() -> None:
    due = START + 10 * DAY
    known = facts(
        state(sent=True), invoice(due_at=due, attempt_count=0, next_payment_attempt=START + 90 * DAY)
    )
    decision = next_step(known, default_policy(), START)
    assert isinstance(decision, Sleep)
    assert decision.until == due
    climbed = state(sent=True, journal=done("due", "due-mail", "due-outreach"))
    last = next_step(replace(known, ladder=climbed), default_policy(), due + 4 * DAY)
    assert isinstance(last, Sleep)
    assert last.due == due + 23 * DAY


def test_without_first_failure_or_due_date_it_counts_from_its_opening() -> None:
    for known in (facts(state(first_failed_at=None)), facts(state(sent=True))):
        assert isinstance(next_step(known, default_policy(), START), Do)


@pytest.mark.parametrize(
    ("told", "after", "said"),
    [
        ({}, 1 * DAY, ""),
        ({"next_payment_attempt": START + 5 * DAY}, 1 * DAY, ""),
        ({"next_payment_attempt": START + 20 * DAY}, 1 * DAY, "tries again 20 d after the first failure"),
        (
            {"subscription_status": "canceled", "subscription_ended_at": START + 7 * DAY},
            7 * DAY,
            "ended after 7 d",
        ),
        ({"subscription_status": "canceled", "subscription_ended_at": START + 14 * DAY}, 14 * DAY, ""),
        ({}, 16 * DAY, "still runs after 16 d"),
        ({"subscription_status": None}, timedelta(days=16), ""),
    ],
)
def test_stripes_settings_are_compared_with_what_was_observed(
    told: dict[str, Any], after: timedelta, said: str
) -> None:
    doubts = schedule_doubts(facts(None, invoice(**told)), default_policy(), START + after)
    assert len(doubts) == bool(said)
    assert all(said in doubt and "14 days" in doubt for doubt in doubts)
