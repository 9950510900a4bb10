"""What is decided in situations that have a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from order_to_cash.domain.dunning.decision import (
    Cleanup,
    Do,
    End,
    Held,
    Pass,
    ReadAgain,
    Rest,
    Sleep,
    end_reason,
    next_step,
)
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.due import Cause
from order_to_cash.domain.dunning.facts import EndReason, Hold, InvoiceStatus, StepState
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.money import Money
from tests.domain.dunning.ladders import DAY, HOUR, KEYS, START, facts, invoice, only, state

FAILED, MAIL, OUTREACH, EXECUTIVE = KEYS


def done(*keys: str) -> dict[str, StepState]:
    return dict.fromkeys(keys, StepState.DONE)


def test_the_first_step_is_taken_at_once() -> None:
    decision = next_step(facts(), default_policy(), START)
    assert isinstance(decision, Do)
    assert decision.step.key == FAILED
    assert not decision.resumed


def test_then_it_sleeps_until_the_next() -> None:
    decision = next_step(facts(state(journal=done(FAILED))), default_policy(), START)
    assert isinstance(decision, Sleep)
    assert (decision.step.key, decision.until, decision.shifts) == (MAIL, START + DAY, ())


def test_after_five_days_without_a_worker_steps_come_one_at_a_time() -> None:
    now, known, order = START + 6 * DAY, facts(), []
    for _ in range(4):
        decision = next_step(known, default_policy(), now)
        if isinstance(decision, Sleep):
            assert decision.shifts[0].cause is Cause.QUIET_PERIOD
            now = decision.until
            decision = next_step(known, default_policy(), now)
        assert isinstance(decision, Do)
        order.append(decision.step.key)
        contact = now if decision.step.contacts_customer else known.last_contact_at
        known = replace(
            known, ladder=known.ladder.recorded(order[-1], StepState.DONE), last_contact_at=contact
        )
        if order[-1] == OUTREACH:
            now = START + 13 * DAY
    assert order == list(KEYS)
    assert next_step(known, default_policy(), now) == Rest()


def test_a_step_that_was_begun_is_resumed_also_where_it_is_not_for_this_invoice_any_more() -> None:
    policy = only({"amount_at_least": {"USD": 1000}})
    part = invoice(amount_remaining=Money(100, "usd"))
    begun = state(policy, journal={"one": StepState.BEGUN})
    decision = next_step(facts(begun, part), policy, START + HOUR)
    assert decision == Do(policy.charged.steps[0], HOUR, resumed=True)
    assert isinstance(next_step(facts(state(policy), part), policy, START), Pass)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"status": InvoiceStatus.PAID}, EndReason.PAID),
        ({"status": InvoiceStatus.VOID}, EndReason.VOIDED),
        ({"status": InvoiceStatus.UNCOLLECTIBLE}, EndReason.UNCOLLECTIBLE),
        ({"status": InvoiceStatus.DRAFT}, EndReason.NOT_FINAL),
        ({"gone": True, "status": None}, EndReason.INVOICE_GONE),
        ({"customer_deleted": True}, EndReason.CUSTOMER_DELETED),
        ({"subscription_status": "canceled"}, EndReason.SUBSCRIPTION_CANCELED),
        ({"subscription_status": "incomplete_expired"}, EndReason.SUBSCRIPTION_CANCELED),
        ({"amount_remaining": Money(0, "usd")}, EndReason.PAID),
        ({"status": InvoiceStatus.PAID, "subscription_status": "canceled"}, EndReason.PAID),
        ({"subscription_status": "unpaid"}, None),
        ({"subscription_status": None, "subscription_id": ""}, None),
        ({"customer_deleted": None}, None),
        ({"amount_remaining": Money(1, "usd")}, None),
    ],
)
@pytest.mark.parametrize("hold", [None, Hold()])
def test_what_ends_a_ladder_ends_it_also_while_it_is_held(
    told: dict[str, Any], reason: EndReason | None, hold: Hold | None
) -> None:
    known = facts(state(journal=done(FAILED, MAIL)), invoice(**told), hold=hold)
    decision = next_step(known, default_policy(), START + 2 * DAY)
    assert end_reason(known) == reason
    if reason is None:
        assert not isinstance(decision, End)
        assert isinstance(decision, Held) == (hold is not None)
    else:
        assert decision == End(
            reason,
            frozenset(
                {
                    *(Cleanup.PAYMENT_HEALTH, Cleanup.ACCOUNT_STATUS, Cleanup.TASKS),
                    *(Cleanup.CASES, Cleanup.SLACK_THREAD),
                }
            ),
        )


def test_only_what_was_done_or_begun_is_cleared_away() -> None:
    paid = invoice(status=InvoiceStatus.PAID)
    assert next_step(facts(state(), paid), default_policy(), START) == End(EndReason.PAID)
    passed = {**done(FAILED), MAIL: StepState.PASSED, OUTREACH: StepState.PASSED, EXECUTIVE: StepState.BEGUN}
    decision = next_step(facts(state(journal=passed), paid), default_policy(), START)
    assert isinstance(decision, End)
    assert Cleanup.ACCOUNT_FLAG in decision.clear
    assert Cleanup.CASES not in decision.clear


def test_a_person_writes_it_off() -> None:
    decision = next_step(facts(written_off=True), default_policy(), START)
    assert decision == End(EndReason.WRITTEN_OFF)


def test_nothing_is_done_while_it_is_not_known_whether_anything_is_owed() -> None:
    assert next_step(facts(None, invoice(status=None)), default_policy(), START) == ReadAgain(("status",))


def test_a_ladder_keeps_its_policy() -> None:
    with pytest.raises(ConfigurationError, match="another version"):
        next_step(facts(state(policy_version="older")), default_policy(), START)


def test_a_step_is_recorded_once() -> None:
    with pytest.raises(ValueError, match="decided before"):
        state(journal=done(FAILED)).recorded(FAILED, StepState.DONE)
    with pytest.raises(ValueError, match="decided before"):
        state(ended=EndReason.PAID).recorded(FAILED, StepState.DONE)
