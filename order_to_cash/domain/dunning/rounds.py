"""What is done in one round about all open ladders of one customer: first what they do not notice, then one contact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from order_to_cash.domain.dunning.contacts import ContactKind
from order_to_cash.domain.dunning.decision import Decision, Do, Pass, Sleep, next_step
from order_to_cash.domain.dunning.facts import Facts
from order_to_cash.domain.dunning.joining import next_step_joining
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import CONTACTS, ActionKind, Step

Standing = tuple[Facts, DunningPolicy]
_KINDS: tuple[ContactKind, ...] = (ActionKind.EMAIL, ActionKind.OUTREACH_TASK)


def decide_together(ladders: Sequence[Standing], now: datetime) -> list[Decision | None]:
    """One decision for each ladder of a customer; None: it waits for the next round.

    A contact waits while another ladder has a step to take that contacts nobody: it may come to the same contact, and
    is then taken along. Of two kinds of contact that are due, the one that is later than it should be goes first;
    the other then has the quiet period before it. Raises ConfigurationError as `next_step` does.
    """
    decided: list[Decision | None] = [next_step(facts, policy, now) for facts, policy in ladders]
    if any(
        isinstance(one, Pass) or (isinstance(one, Do) and not one.step.contacts_customer) for one in decided
    ):
        return [None if _contacts(one) else one for one in decided]
    contacts = [one for one in decided if isinstance(one, Do)]
    if not contacts:
        return decided
    first = max(contacts, key=lambda one: one.late_by)  # of equals the first
    return [_beside(first.step, one, standing, now) for one, standing in zip(decided, ladders, strict=True)]


def _contacts(decision: Decision | None) -> bool:
    return isinstance(decision, Do) and decision.step.contacts_customer


def _beside(first: Step, decision: Decision | None, standing: Standing, now: datetime) -> Decision | None:
    """The decision for a ladder while `first` contacts the customer."""
    if isinstance(decision, Do):
        return decision if _goes_with(first, decision.step) else None
    if isinstance(decision, Sleep) and _goes_with(first, decision.step):
        facts, policy = standing
        joined = [
            next_step_joining(facts, policy, now, kind) for kind in _KINDS if kind in decision.step.kinds
        ]
        return next((one for one in joined if isinstance(one, Do)), decision)
    return decision


def _goes_with(first: Step, other: Step) -> bool:
    """Whether the other contacts the customer in no other way than the first does."""
    kinds = other.kinds & CONTACTS
    return bool(kinds) and kinds <= first.kinds
