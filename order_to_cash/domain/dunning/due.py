"""When a step is due, and when it may be taken: Stripe's end, business hours, quiet period, Stripe's own attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from order_to_cash.domain.dunning.calendar import next_day
from order_to_cash.domain.dunning.facts import Facts, LadderState
from order_to_cash.domain.dunning.policy import DunningPolicy, Ladder
from order_to_cash.domain.dunning.spans import span_in_words
from order_to_cash.domain.dunning.steps import ActionKind, Anchor, Step
from order_to_cash.domain.records import CollectionMethod

LONGEST_WAIT_FOR_RETRY = timedelta(days=1)
"""A contact that is due waits at most so long for the outcome of Stripe's own attempts."""

LOOK_AGAIN = timedelta(days=1)
"""How often it is asked what became of a payment that is under way; Stripe tells of its outcome, too."""


class Cause(StrEnum):
    """Why a step is taken at another time than its anchor says."""

    CONTACT_HOURS = "contact_hours"
    QUIET_PERIOD = "quiet_period"
    STRIPES_ATTEMPT = "stripes_attempt"
    PAYMENT_UNDER_WAY = "payment_under_way"


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much a step was moved, and why. Negative: it comes earlier, so as to come before Stripe's end."""

    cause: Cause
    by: timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    """`due`: by its anchor. `at`: the first moment from then, and from now, at which it may be taken."""

    due: datetime
    at: datetime
    shifts: tuple[Shift, ...] = ()


def anchored_at(facts: Facts) -> datetime:
    """What a ladder counts from: the first failure, or the due date; when it was opened, where that is not known."""
    if facts.ladder.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY:
        return facts.ladder.first_failed_at or facts.ladder.opened_at
    return facts.invoice.due_at or facts.ladder.opened_at


def stripes_end(facts: Facts, ladder: Ladder) -> datetime:
    """When Stripe takes its final action, as far as can be known.

    The window of the policy, longer when Stripe says that it tries again later than that; and not after a
    cancellation that is scheduled.
    """
    end = anchored_at(facts) + ladder.window
    attempt = facts.invoice.next_payment_attempt
    if attempt is not None and _is_charged(facts.ladder):
        end = max(end, attempt)
    ends = facts.invoice.subscription_ends_at
    return end if ends is None else min(end, ends)


def timing(step: Step, facts: Facts, policy: DunningPolicy, now: datetime) -> Timing:
    """When `step` is due, and from when on it may be taken."""
    ladder = policy.ladder(facts.ladder.collection_method)
    zone = _zone(step, facts, policy)
    shifts: list[Shift] = []
    due = _due(step, facts, ladder)
    at = max(due, now)
    if step.anchor is Anchor.STRIPES_END and step.in_business_hours and now < due:
        earlier = max(policy.contact_hours.last_open(due, zone), now)
        at = earlier
        if earlier < due:
            shifts.append(Shift(Cause.CONTACT_HOURS, earlier - due))
    for cause, moved in _moves(step, facts, policy, zone, _From(due, at, now)):
        shifts.append(Shift(cause, moved - at))
        at = moved
    return Timing(due, at, tuple(shifts))


def allowed_at(step: Step, facts: Facts, policy: DunningPolicy, at: datetime) -> bool:
    """Whether hours, quiet period and Stripe's attempts allow `step` at that moment, whenever it is due."""
    return not any(_moves(step, facts, policy, _zone(step, facts, policy), _From(at, at, at)))


@dataclass(frozen=True, slots=True)
class _From:
    due: datetime
    at: datetime
    now: datetime


def _due(step: Step, facts: Facts, ladder: Ladder) -> datetime:
    if step.anchor is Anchor.STRIPES_END:
        return stripes_end(facts, ladder) - ladder.lead_of(step)
    return anchored_at(facts) + step.delay


def _moves(
    step: Step, facts: Facts, policy: DunningPolicy, zone: ZoneInfo, start: _From
) -> Iterator[tuple[Cause, datetime]]:
    """Each later moment that a rule asks for, until all agree: a quiet period and one attempt can push only once."""
    at, before = start.at, None
    patience = _without_attempts(step, facts, policy, zone, start.due) + LONGEST_WAIT_FOR_RETRY
    while at != before:
        before = at
        if step.contacts_customer:
            if facts.invoice.payment_under_way and start.now + LOOK_AGAIN > at:
                at = start.now + LOOK_AGAIN
                yield Cause.PAYMENT_UNDER_WAY, at
            quiet = _after_quiet(facts, policy)
            if quiet is not None and quiet > at:
                at = quiet
                yield Cause.QUIET_PERIOD, at
            tried = _after_attempt(at, facts, policy) if at < patience else at
            if tried > at:
                at = tried
                yield Cause.STRIPES_ATTEMPT, at
        if step.in_business_hours:
            opened = policy.contact_hours.next_open(at, zone)
            if opened > at:
                at = opened
                yield Cause.CONTACT_HOURS, at


def _after_quiet(facts: Facts, policy: DunningPolicy) -> datetime | None:
    """From when on the customer may be contacted again: after the quiet period, and on another day of theirs."""
    last, zone = facts.last_contact_at, policy.contact_hours.zone(facts.time_zone)
    return None if last is None else max(last + policy.quiet_period, next_day(last, zone))


def _without_attempts(
    step: Step, facts: Facts, policy: DunningPolicy, zone: ZoneInfo, due: datetime
) -> datetime:
    """When the step would come if Stripe made no attempts."""
    at = max(due, _after_quiet(facts, policy) or due) if step.contacts_customer else due
    return policy.contact_hours.next_open(at, zone) if step.in_business_hours else at


def _after_attempt(at: datetime, facts: Facts, policy: DunningPolicy) -> datetime:
    attempt, margin = facts.invoice.next_payment_attempt, policy.retry_margin
    near = attempt is not None and attempt - margin <= at < attempt + margin
    return attempt + margin if attempt is not None and near else at


def _zone(step: Step, facts: Facts, policy: DunningPolicy) -> ZoneInfo:
    """The customer's for a mail to them, else our own people's."""
    return policy.contact_hours.zone(facts.time_zone if ActionKind.EMAIL in step.kinds else None)


def _is_charged(state: LadderState) -> bool:
    return state.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY


def schedule_doubts(facts: Facts, policy: DunningPolicy, now: datetime) -> tuple[str, ...]:
    """Where Stripe was seen to do other than the policy says of its settings, for whoever keeps the policy."""
    ladder = policy.ladder(facts.ladder.collection_method)
    said = f"the policy says {ladder.days_to_final_action} days to Stripe's final action"
    start, doubts = anchored_at(facts), []
    expected, invoice = start + ladder.window, facts.invoice
    attempt, ended = invoice.next_payment_attempt, invoice.subscription_ended_at
    if attempt is not None and _is_charged(facts.ladder) and attempt > expected:
        doubts.append(f"Stripe tries again {span_in_words(attempt - start)} after the first failure; {said}.")
    if (
        ended is not None
        and invoice.subscription_status == "canceled"
        and ended < expected - timedelta(days=1)
    ):
        doubts.append(f"The subscription ended after {span_in_words(ended - start)}; {said}.")
    running = (
        invoice.subscription_status in {"active", "past_due"} and ladder.final_action != "leave_past_due"
    )
    if running and attempt is None and now > expected + timedelta(days=1):
        doubts.append(f"The subscription still runs after {span_in_words(now - start)}; {said}.")
    return tuple(doubts)
