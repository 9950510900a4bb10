"""What if: a ladder beside Stripe's own attempts, for an invoice that nobody pays, or that one attempt collects.

The calendar is made by waking `next_step` whenever it asks to be woken, as in earnest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from order_to_cash.domain.dunning.decision import Do, Pass, Sleep, next_step
from order_to_cash.domain.dunning.due import Shift, timing
from order_to_cash.domain.dunning.facts import (
    EndReason,
    Facts,
    InvoiceFacts,
    InvoiceStatus,
    LadderState,
    StepState,
)
from order_to_cash.domain.dunning.policy import DunningPolicy, FinalAction
from order_to_cash.domain.dunning.steps import Step
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One unpaid invoice and what Stripe does about it.

    `retries`, `cancel_after`: from `starts` on, the first failure or the due date. `paid_by_retry`: which of them
    collects, counted from 1; 0: none does. `cancel_after` None: Stripe leaves it past due.
    """

    starts: datetime
    retries: tuple[timedelta, ...] = ()
    cancel_after: timedelta | None = None
    sent: bool = False
    amount: Money | None = None
    segment: str | None = None
    decline_code: str | None = None
    one_off: bool = False
    time_zone: str | None = None
    paid_by_retry: int = 0

    @property
    def method(self) -> CollectionMethod:
        return CollectionMethod.SEND_INVOICE if self.sent else CollectionMethod.CHARGE_AUTOMATICALLY

    @property
    def cancels_at(self) -> datetime | None:
        return None if self.cancel_after is None else self.starts + self.cancel_after

    @property
    def attempts(self) -> tuple[datetime, ...]:
        """Stripe's attempts after the first, up to the one that collects or to the cancel."""
        last = self.paid_by_retry or len(self.retries)
        all_of_them = tuple(self.starts + after for after in sorted(self.retries)[:last])
        return tuple(at for at in all_of_them if self.cancels_at is None or at <= self.cancels_at)

    @property
    def paid_at(self) -> datetime | None:
        return self.attempts[-1] if 0 < self.paid_by_retry <= len(self.attempts) else None


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken at `at`, or passed with the reason `passed`. `due`: by its anchor."""

    step: Step
    at: datetime
    due: datetime
    shifts: tuple[Shift, ...] = ()
    passed: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """What happens, in order. `never`: steps that the end came before, each with when it would have been taken."""

    scenario: Scenario
    taken: tuple[Taken, ...]
    never: tuple[Taken, ...]
    ended_at: datetime | None
    ended_by: EndReason | None


def simulate(scenario: Scenario, policy: DunningPolicy) -> Calendar:
    """The ladder of `policy` in this scenario. An attempt of Stripe's at a step's own moment comes before it."""
    taken = tuple(_climb(scenario, policy))
    ended_at, reason = _end(scenario)
    reached = tuple(one for one in taken if ended_at is None or one.at < ended_at)
    return Calendar(scenario, reached, taken[len(reached) :], ended_at, reason)


def _end(scenario: Scenario) -> tuple[datetime | None, EndReason | None]:
    if scenario.paid_at is not None:
        return scenario.paid_at, EndReason.PAID
    if scenario.cancels_at is not None:
        return scenario.cancels_at, EndReason.SUBSCRIPTION_CANCELED
    return None, None


def _climb(scenario: Scenario, policy: DunningPolicy) -> Iterator[Taken]:
    """Every step at its time, as if nothing ended the ladder."""
    now, facts = scenario.starts, _facts(scenario, policy)
    while True:
        facts = replace(facts, invoice=_invoice(scenario, now))
        decision = next_step(facts, policy, now)
        if isinstance(decision, Sleep):
            now = _next_waking(scenario, now, decision.until)
        elif isinstance(decision, Do):
            step = decision.step
            yield _taken(step, facts, policy, now)
            facts = _recorded(facts, step, StepState.DONE)
            if step.contacts_customer:
                facts = replace(facts, last_contact_at=now)
        elif isinstance(decision, Pass):
            yield replace(_taken(decision.step, facts, policy, now), passed=decision.why)
            facts = _recorded(facts, decision.step, StepState.PASSED)
        else:
            return


def _taken(step: Step, facts: Facts, policy: DunningPolicy, now: datetime) -> Taken:
    """With the shifts from its due time on, by what is known when it is taken."""
    due = timing(step, facts, policy, now).due
    return Taken(step, now, due, timing(step, facts, policy, min(due, now)).shifts)


def _next_waking(scenario: Scenario, now: datetime, until: datetime) -> datetime:
    """Each attempt of Stripe's is told by an event, which may move what comes next."""
    return min([until, *(at for at in scenario.attempts if now < at < until)])


def _recorded(facts: Facts, step: Step, state: StepState) -> Facts:
    return replace(facts, ladder=facts.ladder.recorded(step.key, state))


def _facts(scenario: Scenario, policy: DunningPolicy) -> Facts:
    ladder = LadderState(
        policy_version=policy.version,
        collection_method=scenario.method,
        opened_at=scenario.starts,
        first_failed_at=None if scenario.sent else scenario.starts,
        journal={},
    )
    return Facts(
        invoice=_invoice(scenario, scenario.starts),
        ladder=ladder,
        segment=scenario.segment,
        time_zone=scenario.time_zone,
    )


def _invoice(scenario: Scenario, now: datetime) -> InvoiceFacts:
    ahead = [at for at in scenario.attempts if at > now]
    return InvoiceFacts(
        status=InvoiceStatus.OPEN,
        attempt_count=0 if scenario.sent else 1 + len(scenario.attempts) - len(ahead),
        next_payment_attempt=ahead[0] if ahead else None,
        amount_remaining=scenario.amount,
        due_at=scenario.starts if scenario.sent else None,
        decline_code=scenario.decline_code,
        collection_method=scenario.method,
        subscription_id="" if scenario.one_off else "sub_simulated",
        subscription_status=None if scenario.one_off else "past_due",
    )


def final_action_after(policy: DunningPolicy, *, sent: bool) -> timedelta | None:
    """When the policy thinks that Stripe cancels; None where it thinks that it does not."""
    ladder = policy.sent if sent else policy.charged
    return ladder.window if ladder.final_action is FinalAction.CANCEL else None
