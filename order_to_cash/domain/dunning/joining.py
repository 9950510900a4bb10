"""A customer who is contacted anyway hears of every invoice that is up for it on that day, not of one an hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from order_to_cash.domain.dunning.contacts import ContactKind
from order_to_cash.domain.dunning.decision import Decision, Do, Sleep, next_step
from order_to_cash.domain.dunning.due import allowed_at
from order_to_cash.domain.dunning.facts import Facts, StepState
from order_to_cash.domain.dunning.fitting import fits
from order_to_cash.domain.dunning.policy import DunningPolicy


def next_step_joining(facts: Facts, policy: DunningPolicy, now: datetime, kind: ContactKind) -> Decision:
    """As `next_step`, for another ladder of a customer to whom a contact of this kind is made now.

    A contact of the same kind that is due later on the customer's day is taken along. `facts.last_contact_at` is the
    one before the contact that is being made.
    """
    decision = next_step(facts, policy, now)
    if not isinstance(decision, Sleep) or kind not in decision.step.kinds:
        return decision
    zone = policy.contact_hours.zone(facts.time_zone)
    due_today = decision.due.astimezone(zone).date() == now.astimezone(zone).date()
    fit = fits(decision.step.when, facts)
    begun = facts.ladder.journal.get(decision.step.key) is StepState.BEGUN
    if due_today and (begun or fit.holds) and allowed_at(decision.step, facts, policy, now):
        return Do(decision.step, timedelta(0), resumed=begun, unknown=fit.unknown)
    return decision
