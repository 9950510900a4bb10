"""How a ladder goes to sleep again: until when, as what, and how often a failing one is tried."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from order_to_cash.domain.dunning.decision import Held, ReadAgain, Rest, Sleep, next_undone
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.messages import one_line
from order_to_cash.ledger.ladder_records import LadderStatus, Settled, Subject
from tasks.dunning_progress import Progress

HELD_LOOK = timedelta(hours=1)
"""A hold may stand on the Account, where it is lifted without a word to us."""
REST_LOOK = timedelta(days=1)
READ_AGAIN = timedelta(minutes=15)
FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=1)


def settled(one: Progress, decision: Sleep | Held | ReadAgain | Rest, now: datetime) -> Settled:
    """The ladder at the end of a run that it came through."""
    following, failures, missing = _following(one), 0, ""
    match decision:
        case Sleep():
            status, due_at, following = LadderStatus.WAITING, decision.until, decision.step.key
        case Held():
            look = now + HELD_LOOK
            status = LadderStatus.HELD
            due_at = look if decision.until is None else min(decision.until, look)
        case ReadAgain():
            status, due_at, failures = LadderStatus.WAITING, now + READ_AGAIN, one.claim.ladder.failures + 1
            missing = ", ".join(decision.missing)
        case Rest():
            status, due_at = LadderStatus.RESTING, now + REST_LOOK
    return Settled(
        claim=one.claim,
        status=status,
        next_step=following,
        due_at=due_at,
        subject=subject_of(one),
        failures=failures,
        code="facts_missing" if missing else "",
        reason=f"Stripe did not say of the invoice: {missing}." if missing else "",
    )


def failed(one: Progress, error: O2CError, now: datetime) -> Settled:
    """The ladder after `error`: tried again in 1, 2, 4 … minutes, an hour at most, each somewhat later to spread."""
    ladder = one.claim.ladder
    failures = ladder.failures + 1
    wait = min(FIRST_RETRY * 2 ** min(failures - 1, 10), LONGEST_RETRY)
    if error.retry_after_seconds:
        wait = max(wait, timedelta(seconds=error.retry_after_seconds))
    jitter = random.uniform(1, 1.25)  # noqa: S311 - not a secret
    return Settled(
        claim=one.claim,
        status=ladder.status if ladder.status is not LadderStatus.ENDED else LadderStatus.WAITING,
        next_step=_following(one) or ladder.next_step,
        due_at=now + timedelta(seconds=wait.total_seconds() * jitter),
        subject=subject_of(one),
        failures=failures,
        code=error.code,
        reason=f"{error.message} {error.remedy}".strip(),
    )


def subject_of(one: Progress) -> Subject | None:
    """Whom it is about, as read now; what could not be read stays as it was."""
    item = one.item
    if item is None or item.facts is None:
        return None
    was = one.claim.ladder.subject
    return Subject(
        account_name=one_line(item.account.account_name) or was.account_name,
        account_id=item.account.account_id or was.account_id,
        invoice_number=one_line(str(item.invoice.get("number") or was.invoice_number)),
        amount_remaining=item.facts.invoice.amount_remaining or was.amount_remaining,
        next_payment_attempt=item.facts.invoice.next_payment_attempt,
    )


def _following(one: Progress) -> str:
    """The key of the step that comes next, "" where none does or the policy is not known."""
    policy: DunningPolicy | None = one.item.policy if one.item is not None else None
    step = next_undone(one.claim.ladder.state, policy) if policy is not None else None
    return step.key if step is not None else ""
