"""A run larger than the policy allows stops and asks: in the Prefect UI where it can wait there, else by ending."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import runtime
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput

from order_to_cash.domain.decisions import RunLimit, check_run_limits
from order_to_cash.domain.errors import RunHeld
from order_to_cash.domain.identity import digest
from order_to_cash.domain.records import BillingPlan
from tasks.announcements import announce_held
from tasks.company import Company

# A person may be asked on a Friday evening.
WAIT_SECONDS = 7 * 24 * 3600


class Approval(RunInput):
    """Who lets the run go on. Leave it and cancel the run if it should not."""

    approved_by: str


async def require_approval(
    company: Company, plans: Sequence[BillingPlan], approved_by: str, run_id: str
) -> None:
    """Return when the run may go on; `approved_by` is empty when nobody has approved it yet.

    Started from a deployment, the run is suspended and goes on from its top once approved: nothing has been billed
    before this point. Anywhere else it raises RunHeld, which says how to approve it.
    """
    limit = check_run_limits(plans, company.rules)
    if limit is None:
        return
    if not approved_by:
        await announce_held(company, limit, digest(sorted(plan.digest for plan in plans)), run_id)
        if not runtime.deployment.id:
            raise limit.error()
        answer = await asuspend_flow_run(
            wait_for_input=Approval.with_initial_data(description=_question(limit)),
            timeout=WAIT_SECONDS,
            key="approval",
        )
        approved_by = answer.approved_by
    _authorised(company, approved_by)


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
