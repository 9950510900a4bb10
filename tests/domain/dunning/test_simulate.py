"""The calendar of a ladder beside Stripe's own attempts, and what does not go together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.misalignment import misalignments, remarks
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.simulate import Calendar, Scenario, final_action_after, simulate
from order_to_cash.domain.money import Money
from tests.domain.dunning.ladders import DAY, HOUR, KEYS, START, policies, spans

FAILED, MAIL, OUTREACH, EXECUTIVE = KEYS


def days(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(number * DAY for number in numbers)


def calendar(policy: DunningPolicy | None = None, **told: Any) -> Calendar:
    scenario = {"starts": START, "retries": days(1, 3, 5), "cancel_after": 14 * DAY, **told}
    return simulate(Scenario(**scenario), policy or default_policy())


def times(found: Calendar) -> dict[str, timedelta]:
    return {one.step.key: one.at - START for one in found.taken}


def warnings(found: Calendar, policy: DunningPolicy | None = None) -> str:
    return "\n".join(misalignments(found, policy or default_policy()))


def charged(*steps: dict[str, Any], **other: Any) -> DunningPolicy:
    ladder = {**DEFAULT_POLICY["charged"], "steps": list(steps)}
    return read_policy({**DEFAULT_POLICY, "charged": ladder, **other})


def step(key: str, delay: str, *actions: str) -> dict[str, Any]:
    return {"key": key, "anchor": "first_failure", "delay": delay, "actions": list(actions)}


def test_the_default_ladder_against_the_usual_retries() -> None:
    found = calendar()
    assert times(found) == {
        FAILED: timedelta(0),
        MAIL: DAY,
        OUTREACH: 3 * DAY,
        EXECUTIVE: 10 * DAY - HOUR / 2,  # the Friday before the Sunday
    }
    assert (found.ended_by, found.ended_at, found.never) == (
        EndReason.SUBSCRIPTION_CANCELED,
        START + 14 * DAY,
        (),
    )
    assert warnings(found) == ""


@pytest.mark.parametrize("sent", [False, True])
def test_the_default_policy_never_warns_of_itself_whenever_a_payment_fails(sent: bool) -> None:
    told: dict[str, Any] = {"sent": sent, "retries": () if sent else days(1, 3, 5)}
    cancel_after = final_action_after(default_policy(), sent=sent)
    for half_hours in range(7 * 48):
        found = calendar(starts=START + half_hours * HOUR / 2, cancel_after=cancel_after, **told)
        assert warnings(found) == "", found.scenario.starts


def test_a_retry_that_collects_ends_it() -> None:
    found = calendar(paid_by_retry=2)
    assert list(times(found)) == [FAILED, MAIL]
    assert found.ended_by is EndReason.PAID
    assert found.ended_at == START + 3 * DAY
    assert [one.step.key for one in found.never] == [OUTREACH, EXECUTIVE]


def test_a_contact_that_was_moved_behind_the_recovery_is_told() -> None:
    friday = START + 3 * DAY
    found = calendar(starts=friday, retries=days(2), paid_by_retry=1)
    assert f"{MAIL} is left out: it was due before Stripe recovered the payment" in warnings(found)


def test_a_last_step_after_the_cancel_is_told() -> None:
    found = calendar(cancel_after=7 * DAY)
    assert [one.step.key for one in found.never] == [EXECUTIVE]
    said = warnings(found)
    assert (
        f"{EXECUTIVE} is never taken: it would come 9 d 23 h after the start, 2 d 23 h after Stripe cancels."
        in said
    )
    assert "counts 14 days to Stripe's final action, Stripe cancels after 7 d" in said
    at_once = calendar(charged(step("late", "7d", "slack")), cancel_after=7 * DAY)
    assert "late is never taken: it comes at the moment in which Stripe cancels" in warnings(at_once)


def test_a_contact_before_an_attempt_is_told() -> None:
    assert f"{MAIL} comes 6 h before Stripe tries again" in warnings(calendar(retries=days(1.25)))
    assert "tries again" not in warnings(calendar(retries=days(1.51)))


def test_a_contact_that_only_a_weekend_moved_before_an_attempt_is_a_remark() -> None:
    found = calendar(starts=START + 3 * DAY + 5 * HOUR)  # Friday afternoon: the mail comes on Monday at nine
    assert warnings(found) == ""
    (said,) = remarks(found)
    assert said.startswith(f"{MAIL} was moved to 5 h 30 min before Stripe tries again")
    assert remarks(calendar(retries=days(1.25))) == (), "that is the policy's own doing: a warning"


def test_a_contact_that_waits_for_an_attempt_is_not_made_before_it() -> None:
    # Stripe tries half an hour after the mail is due: its event wakes the ladder.
    assert times(calendar(retries=(DAY + HOUR / 2,)))[MAIL] == DAY + HOUR / 2


def test_without_a_margin_an_attempt_may_have_recovered_the_payment_unheard() -> None:
    policy = charged(step("mail", "24h", "email"), retry_margin="0m")
    said = warnings(calendar(policy, retries=(DAY - HOUR / 6,)), policy)
    assert "mail comes 10 min after Stripe tries again" in said
    assert "Set retry_margin to 30m" in said


def test_steps_on_top_of_each_other_are_told() -> None:
    policy = charged(step("one", "24h", "task"), step("two", "26h", "slack"), step("three", "40h", "case"))
    said = warnings(calendar(policy, retries=()), policy)
    assert "two comes on top of one, 2 h after it." in said
    assert "three" not in said
    flags = charged(step("one", "24h", "task"), step("two", "26h", "account_flag"))
    assert warnings(calendar(flags, retries=()), flags) == ""


def test_contacts_closer_than_the_quiet_period_are_told() -> None:
    policy = charged(step("mail", "15h", "email"), step("call", "24h", "outreach_task"))
    found = calendar(policy, retries=())
    # Due at 00:30 on Wednesday, and at 09:30 the same day.
    assert times(found) == {"mail": 23.5 * HOUR, "call": 47.5 * HOUR}
    assert warnings(found, policy) == (
        "call is due 9 h after mail, within the quiet period of 20h: it always comes later than its delay says."
    )
    apart = charged(step("mail", "15h", "email"), step("call", "35h", "outreach_task"))
    assert warnings(calendar(apart, retries=()), apart) == ""


def test_attempts_beyond_the_window_are_told() -> None:
    assert "Stripe's last attempt comes after 20 d" in warnings(calendar(retries=days(20), cancel_after=None))
    said = warnings(calendar(retries=days(20)))
    assert "Stripe's last attempt, after 20 d, would come after it cancels" in said


def test_conditions_pass_steps_over() -> None:
    policy = charged({**step("large", "24h", "slack"), "when": {"amount_at_least": {"USD": 5000}}})
    (small,) = calendar(policy, amount=Money(100, "usd")).taken
    assert small.passed == "only $1.00 USD are owed"
    (large,) = calendar(policy, amount=Money(500_000, "usd")).taken
    assert not large.passed


def test_a_sent_invoice_has_no_attempts() -> None:
    found = calendar(sent=True, retries=(), cancel_after=None)
    assert list(times(found)) == ["due", "due-mail", "due-outreach", "due-executive"]
    assert found.ended_at is None


def test_what_the_policy_thinks_of_stripes_end() -> None:
    assert final_action_after(default_policy(), sent=False) == 14 * DAY
    assert final_action_after(default_policy(), sent=True) is None


@given(policies(), st.lists(spans(25 * 24), max_size=6), st.none() | spans(25 * 24), st.integers(0, 6))
@settings(max_examples=80)
def test_every_step_of_any_policy_is_in_the_calendar_once(
    policy: DunningPolicy, retries: list[timedelta], cancel_after: timedelta | None, paid: int
) -> None:
    for sent in (False, True):
        tries = () if sent else tuple(sorted(set(retries)))
        scenario = Scenario(
            starts=START,
            retries=tries,
            cancel_after=cancel_after,
            sent=sent,
            paid_by_retry=min(paid, len(tries)),
        )
        found = simulate(scenario, policy)
        whole = [one.step.key for one in (*found.taken, *found.never)]
        assert whole == [one.key for one in policy.ladder(scenario.method).steps]
        moments = [one.at for one in found.taken]
        assert moments == sorted(moments)
        assert found.ended_at is None or all(at < found.ended_at for at in moments)
        assert all("  " not in sentence for sentence in misalignments(found, policy))
