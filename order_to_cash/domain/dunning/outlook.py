"""What a ladder does after the step that is being taken, as people are told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from order_to_cash.domain.dunning.decision import Do, Pass, Sleep, next_step
from order_to_cash.domain.dunning.facts import Facts, StepState
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import Step


@dataclass(frozen=True, slots=True)
class Coming:
    """`step` comes at `at`, unless the invoice is settled before or what is known of it changes."""

    step: Step
    at: datetime


def what_comes(facts: Facts, policy: DunningPolicy, taken: Step, now: datetime) -> Coming | None:
    """The step after `taken`, as far as can be told now; None after the last one, or while the ladder is held."""
    contact = now if taken.contacts_customer else facts.last_contact_at
    told = replace(_recorded(facts, taken, StepState.DONE), last_contact_at=contact)
    decision = next_step(told, policy, now)
    while isinstance(decision, Pass):
        told = _recorded(told, decision.step, StepState.PASSED)
        decision = next_step(told, policy, now)
    if isinstance(decision, Sleep):
        return Coming(decision.step, decision.until)
    return Coming(decision.step, now) if isinstance(decision, Do) else None


def _recorded(facts: Facts, step: Step, state: StepState) -> Facts:
    if facts.ladder.journal.get(step.key) in {StepState.DONE, StepState.PASSED}:
        return facts
    return replace(facts, ladder=facts.ladder.recorded(step.key, state))
