"""What to do about one ladder now. Pure: facts, policy and moment in, one decision out.

A waking may come late, early or twice: what was decided stands in the journal, and the answer follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from order_to_cash.domain.dunning.due import Shift, timing
from order_to_cash.domain.dunning.facts import EndReason, Facts, InvoiceStatus, LadderState, StepState
from order_to_cash.domain.dunning.fitting import fits
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import ActionKind, Step
from order_to_cash.domain.errors import ConfigurationError


class Cleanup(StrEnum):
    """What an ended ladder leaves behind and is cleared away: values of the roll-up again, Tasks and Cases closed."""

    PAYMENT_HEALTH = "payment_health"
    ACCOUNT_STATUS = "account_status"
    ACCOUNT_FLAG = "account_flag"
    TASKS = "tasks"
    CASES = "cases"
    SLACK_THREAD = "slack_thread"


@dataclass(frozen=True, slots=True)
class Do:
    """Take `step` now. `late_by`: since it was due. `resumed`: it was begun before, and what is done of it stays done.

    `unknown`: facts that its conditions ask for and that are not known.
    """

    step: Step
    late_by: timedelta
    resumed: bool = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """`step` is due and not for this invoice: record it as passed, and decide again."""

    step: Step
    why: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing before `until`, when `step` may be taken. `due`: by its anchor; `shifts`: why it is another time."""

    until: datetime
    step: Step
    due: datetime
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """The ladder is over: clear `clear` away, then record it. With nothing to clear when that is recorded already."""

    reason: EndReason
    clear: frozenset[Cleanup] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """A person wants nothing done until `until`; None: until it is resumed."""

    until: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Whether anything is owed is not known: nothing is done before it is."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Every step is taken, and the invoice is open: whatever ends the ladder will be told by Stripe or a person."""


Decision = Do | Pass | Sleep | End | Held | ReadAgain | Rest


def next_step(facts: Facts, policy: DunningPolicy, now: datetime) -> Decision:
    """The one thing to do now; the same arguments give the same answer.

    Steps are taken one at a time, in the policy's order, each when the one before it is done or passed. What ends a
    ladder comes before all else, also before a hold. Raises ConfigurationError (`policy_version_differs`) when
    `policy` is not the one that the ladder began with.
    """
    if facts.ladder.policy_version != policy.version:
        raise ConfigurationError(
            "This ladder began with another version of the dunning policy.",
            code="policy_version_differs",
            remedy="Load the version that the ladder names.",
            ids={"ladder_version": facts.ladder.policy_version, "policy_version": policy.version},
        )
    if facts.ladder.ended is not None:
        return End(facts.ladder.ended)
    reason = end_reason(facts)
    if reason is not None:
        return End(reason, to_clear(facts.ladder, policy))
    if facts.invoice.status is None:
        return ReadAgain(("status",))
    if facts.hold is not None and (facts.hold.until is None or now < facts.hold.until):
        return Held(facts.hold.until, facts.hold.reason)
    step = next_undone(facts.ladder, policy)
    return Rest() if step is None else _about(step, facts, policy, now)


def end_reason(facts: Facts) -> EndReason | None:
    """Why there is nothing to chase any more; None while there is."""
    invoice = facts.invoice
    if invoice.status is not None and invoice.status in _ENDS:
        return _ENDS[invoice.status]
    owed = invoice.amount_remaining
    reasons = {
        EndReason.INVOICE_GONE: invoice.gone,
        EndReason.WRITTEN_OFF: facts.written_off,
        EndReason.CUSTOMER_DELETED: invoice.customer_deleted is True,
        EndReason.SUBSCRIPTION_CANCELED: invoice.subscription_status in {"canceled", "incomplete_expired"},
        # Stripe sets an invoice paid by itself when nothing is left, such as after a credit note.
        EndReason.PAID: owed is not None and owed.amount_minor <= 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def next_undone(ladder: LadderState, policy: DunningPolicy) -> Step | None:
    """The first step that is neither done nor passed."""
    decided = {StepState.DONE, StepState.PASSED}
    steps = policy.ladder(ladder.collection_method).steps
    return next((step for step in steps if ladder.journal.get(step.key) not in decided), None)


def to_clear(ladder: LadderState, policy: DunningPolicy) -> frozenset[Cleanup]:
    """What the steps that were done, or begun, may have left behind."""
    steps = policy.ladder(ladder.collection_method).steps
    taken = {StepState.DONE, StepState.BEGUN}
    kinds = {kind for step in steps if ladder.journal.get(step.key) in taken for kind in step.kinds}
    return frozenset(_LEAVES[kind] for kind in kinds if kind in _LEAVES)


def _about(step: Step, facts: Facts, policy: DunningPolicy, now: datetime) -> Decision:
    when = timing(step, facts, policy, now)
    begun = facts.ladder.journal.get(step.key) is StepState.BEGUN
    fit = fits(step.when, facts)
    if not (begun or fit.holds) and when.due <= now:
        return Pass(step, fit.why)
    if when.at > now:
        return Sleep(when.at, step, when.due, when.shifts)
    if not (begun or fit.holds):
        return Pass(step, fit.why)
    return Do(step, max(now - when.due, timedelta(0)), resumed=begun, unknown=fit.unknown)


_ENDS = {
    InvoiceStatus.PAID: EndReason.PAID,
    InvoiceStatus.VOID: EndReason.VOIDED,
    InvoiceStatus.UNCOLLECTIBLE: EndReason.UNCOLLECTIBLE,
    InvoiceStatus.DRAFT: EndReason.NOT_FINAL,
}
_LEAVES = {
    ActionKind.PAYMENT_HEALTH: Cleanup.PAYMENT_HEALTH,
    ActionKind.ACCOUNT_STATUS: Cleanup.ACCOUNT_STATUS,
    ActionKind.ACCOUNT_FLAG: Cleanup.ACCOUNT_FLAG,
    ActionKind.TASK: Cleanup.TASKS,
    ActionKind.OUTREACH_TASK: Cleanup.TASKS,
    ActionKind.CASE: Cleanup.CASES,
    ActionKind.SLACK: Cleanup.SLACK_THREAD,
    ActionKind.EXECUTIVE_ALERT: Cleanup.SLACK_THREAD,
}
