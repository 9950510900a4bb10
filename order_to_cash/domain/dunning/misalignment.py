"""Where a ladder and Stripe's own attempts do not go together: sentences for whoever writes the policy.

A warning is about the policy: another one would do better. That business hours move a step when it happens to fall on
a weekend is their purpose, and no warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.simulate import Calendar, Taken
from order_to_cash.domain.dunning.spans import show_span, span_in_words
from order_to_cash.domain.dunning.steps import ActionKind, Anchor

SOON = timedelta(hours=12)
"""A person who is contacted so shortly before Stripe tries again may be contacted for nothing."""

SETTLED = timedelta(minutes=30)
"""What came of an attempt is told by an event, which may take so long."""

CROWDED = timedelta(hours=4)
"""Steps that people notice and that lie closer than this are felt as one."""

_NOTICED = frozenset(ActionKind) - {
    ActionKind.PAYMENT_HEALTH,
    ActionKind.ACCOUNT_STATUS,
    ActionKind.ACCOUNT_FLAG,
}


def misalignments(calendar: Calendar, policy: DunningPolicy) -> tuple[str, ...]:
    """What to look at, the gravest first; empty: nothing."""
    return (
        *_after_the_end(calendar),
        *_settings(calendar, policy),
        *_around_attempts(calendar, policy),
        *_crowded(calendar),
        *_too_quiet(calendar, policy),
    )


def remarks(calendar: Calendar) -> tuple[str, ...]:
    """What only comes of the day on which this calendar begins, and is worth a look."""
    return tuple(
        f"{one.step.key} was moved to {span_in_words(at - one.at)} before Stripe tries again; a longer retry_margin "
        "would let it wait for the outcome."
        for one, at in _before_attempts(calendar)
        if not one.due < at <= one.due + SOON
    )


def _after_the_end(calendar: Calendar) -> Iterator[str]:
    ended, starts = calendar.ended_at, calendar.scenario.starts
    if ended is None:
        return
    for one in calendar.never:
        if one.passed:
            continue
        after = span_in_words(one.at - starts)
        if calendar.ended_by is EndReason.PAID:
            if _contacts(one) and one.due < ended:
                moved = span_in_words(one.at - one.due)
                yield (
                    f"{one.step.key} is left out: it was due before Stripe recovered the payment, was moved by "
                    f"{moved} to {after} after the start, and by then it is paid."
                )
        elif one.at == ended:
            yield f"{one.step.key} is never taken: it comes at the moment in which Stripe cancels, after {after}."
        else:
            late = span_in_words(one.at - ended)
            yield f"{one.step.key} is never taken: it would come {after} after the start, {late} after Stripe cancels."


def _settings(calendar: Calendar, policy: DunningPolicy) -> Iterator[str]:
    scenario = calendar.scenario
    ladder = policy.ladder(scenario.method)
    last = max(scenario.retries, default=None)
    after = scenario.cancel_after
    if after is not None and after != ladder.window:
        waits = any(step.anchor is Anchor.STRIPES_END for step in ladder.steps)
        yield (
            f"The policy counts {ladder.days_to_final_action} days to Stripe's final action, Stripe cancels after "
            f"{span_in_words(after)}: set days_to_final_action"
            f"{', by which steps before Stripe cancels are timed' if waits else ''}."
        )
    if last is not None and after is not None and last > after:
        yield f"Stripe's last attempt, after {span_in_words(last)}, would come after it cancels: look at the arguments."
    if last is not None and last > ladder.window and after is None:
        days = f"the policy counts {ladder.days_to_final_action} days"
        yield f"Stripe's last attempt comes after {span_in_words(last)}, {days} to its final action."


def _around_attempts(calendar: Calendar, policy: DunningPolicy) -> Iterator[str]:
    for one, at in _before_attempts(calendar):
        if one.due < at <= one.due + SOON:
            yield (
                f"{one.step.key} comes {span_in_words(at - one.at)} before Stripe tries again: if that recovers "
                f"the payment, the outreach was for nothing. Let it come after the attempt."
            )
    for one in calendar.taken:
        for at in calendar.scenario.attempts:
            if _reaches_out(one) and at <= one.at < at + SETTLED and policy.retry_margin < SETTLED:
                yield (
                    f"{one.step.key} comes {span_in_words(one.at - at)} after Stripe tries again: the payment may be "
                    f"recovered and not be told yet. Set retry_margin to {show_span(SETTLED)} or more."
                )


def _before_attempts(calendar: Calendar) -> Iterator[tuple[Taken, datetime]]:
    """Steps by which somebody is reached, each with an attempt of Stripe's that follows soon."""
    for one in calendar.taken:
        for at in calendar.scenario.attempts:
            if _reaches_out(one) and one.at < at <= one.at + SOON:
                yield one, at


def _crowded(calendar: Calendar) -> Iterator[str]:
    noticed = [one for one in calendar.taken if not one.passed and one.step.kinds & _NOTICED]
    for one, later in pairwise(noticed):
        if later.at - one.at < CROWDED:
            apart = span_in_words(later.at - one.at)
            yield f"{later.step.key} comes on top of {one.step.key}, {apart} after it."


def _too_quiet(calendar: Calendar, policy: DunningPolicy) -> Iterator[str]:
    contacts = [one for one in (*calendar.taken, *calendar.never) if _contacts(one) and not one.passed]
    for one, later in pairwise(contacts):
        apart = later.due - one.due
        if apart < policy.quiet_period:
            yield (
                f"{later.step.key} is due {span_in_words(apart)} after {one.step.key}, within the quiet period of "
                f"{show_span(policy.quiet_period)}: it always comes later than its delay says."
            )


def _contacts(one: Taken) -> bool:
    return one.step.contacts_customer


def _reaches_out(one: Taken) -> bool:
    return not one.passed and (_contacts(one) or ActionKind.EXECUTIVE_ALERT in one.step.kinds)
