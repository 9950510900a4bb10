"""A run larger than the policy allows stops and asks: in the Prefect UI where it can wait there, else by ending."""

from __future__ import annotations

from dataclasses import replace

from prefect import runtime
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput

from flows.judging import Judged, Ready
from order_to_cash.domain.decisions import RunLimit, check_run_limits, deals_over_approval_limit
from order_to_cash.domain.errors import Retryable, RunHeld
from order_to_cash.domain.identity import digest
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import Problem
from tasks.announcements import announce_held
from tasks.company import Company
from tasks.deals import Rejection

# A person may be asked on a Friday evening.
WAIT_SECONDS = 7 * 24 * 3600


class Approval(RunInput):
    """Who lets the run go on. Leave it and cancel the run if it should not."""

    approved_by: str


async def approve(company: Company, judged: Judged, named: bool, approved_by: str, run_id: str) -> None:
    """Return when what is left in `judged.ready` may be billed; `approved_by` is empty when nobody approved yet.

    A single deal above the approval limit is set aside, so that it holds nobody else up: its owner is told. A run
    that is too large in all is held. Where a person named the deals in a deployment's form, and where a sweep is
    too large, the run is suspended and goes on from its top once approved: nothing was billed before this point.
    Raises RunHeld, which says how to approve it, where it cannot wait.
    """
    if approved_by:
        _authorised(company, approved_by)
        return
    can_wait = bool(runtime.deployment.id)
    if not (can_wait and named):
        _set_aside_large(company, judged)
    plans = [ready.plan for ready in judged.ready]
    limit = check_run_limits(plans, company.rules)
    if limit is None:
        return
    about = digest(sorted(plan.digest for plan in plans))
    try:
        asked_now = await announce_held(company, limit, about, run_id)
    except Retryable:
        asked_now = False  # held all the same; the next run asks
    if not can_wait or not (asked_now or named):
        raise limit.error()
    answer = await asuspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=_question(limit)),
        timeout=WAIT_SECONDS,
        # Bound to what was shown: deals that are won while the run waits ask anew.
        key=f"approval-{about[:16]}",
    )
    _authorised(company, answer.approved_by)


def mark_for_approval(company: Company, judged: Judged) -> None:
    """Say of each planned deal above the approval limit that it needs a person, and of all in a run too large."""
    plans = [ready.plan for ready in judged.ready]
    large = {plan.opportunity_id for plan in deals_over_approval_limit(plans, company.rules)}
    limit = check_run_limits([plan for plan in plans if plan.opportunity_id not in large], company.rules)
    judged.ready = [
        replace(ready, outcome=ready.outcome.now(ready.outcome.status, _needs_approval(ready, limit)))
        if limit or ready.outcome.opportunity_id in large
        else ready
        for ready in judged.ready
    ]


def _set_aside_large(company: Company, judged: Judged) -> None:
    """Move deals above the approval limit from `ready` to `rejected`."""
    plans = [ready.plan for ready in judged.ready]
    large = {plan.opportunity_id for plan in deals_over_approval_limit(plans, company.rules)}
    judged.rejected += [
        Rejection(ready.outcome.mapped, (_needs_approval(ready, None),))
        for ready in judged.ready
        if ready.outcome.opportunity_id in large
    ]
    judged.ready = [ready for ready in judged.ready if ready.outcome.opportunity_id not in large]


def _needs_approval(ready: Ready, limit: RunLimit | None) -> Problem:
    message = f"The deal of {ready.plan.total} is above what is billed without a person's approval."
    return problem(Reason.NEEDS_APPROVAL, " ".join(limit.reasons) if limit else message)


def _authorised(company: Company, approved_by: str) -> None:
    allowed = company.rules.operator_ids
    if not approved_by.strip() or (allowed and approved_by.strip() not in allowed):
        raise RunHeld(
            "The run was approved by somebody who may not approve it, or by nobody.",
            code="approver_unknown",
            remedy="Give one of the names under “Who may approve” in the billing policy.",
        )


def _question(limit: RunLimit) -> str:
    reasons = "\n".join(f"- {reason}" for reason in limit.reasons)
    return f"## May this run bill?\n\n{reasons}\n\nType your name to let it go on; cancel the run otherwise."
