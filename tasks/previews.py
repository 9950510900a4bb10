"""What billing would do, shown before anything is touched."""

from __future__ import annotations

from order_to_cash.domain.errors import AmbiguousCustomer, RecordRejected
from order_to_cash.domain.records import BillTo
from order_to_cash.domain.tables import PlannedDeal
from tasks.company import Company
from tasks.customer_search import match_customer
from tasks.outcomes import DealOutcome, ended_by
from tasks.retrying import step


@step("look for customer · {label}")
async def preview_customer(
    company: Company, outcome: DealOutcome, bill_to: BillTo, label: str
) -> tuple[DealOutcome, PlannedDeal | None]:
    """The planned deal with the Stripe customer it would be billed to. Changes nothing outside."""
    del label
    deal, plan = outcome.mapped.deal, outcome.plan
    assert deal is not None
    assert plan is not None
    try:
        decision, _ = await match_customer(company, bill_to, plan.currency)
    except (AmbiguousCustomer, RecordRejected) as error:
        return ended_by(outcome, error), None
    return outcome, PlannedDeal(deal=deal, plan=plan, match=decision)
