"""Decisions about a run as a whole: may it go ahead, and what is written back to Salesforce. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from pydantic import AwareDatetime

from order_to_cash.domain.errors import RunHeld
from order_to_cash.domain.money import Money, sum_money
from order_to_cash.domain.policy import BillingRules, FieldNames
from order_to_cash.domain.records import BillingPlan, Record, StripeInvoice


class RunLimit(Record):
    """Why a run waits for a person, in words; `opportunity_ids` are single deals above the approval limit."""

    reasons: tuple[str, ...]
    deal_count: int
    totals: tuple[Money, ...]  # one for each currency, sorted by currency
    opportunity_ids: tuple[str, ...] = ()

    def error(self) -> RunHeld:
        """The error with which a run that nobody approved ends."""
        return RunHeld(" ".join(self.reasons))


class BilledDeal(Record):
    """One deal whose invoice is finalized, as far as Salesforce is told of it."""

    opportunity_id: str
    account_id: str
    customer_id: str
    invoice: StripeInvoice
    billed_at: AwareDatetime
    account_customer_id: str = ""  # what the Account says now; empty: nothing yet
    account_customer_gone: bool = False  # the customer named there is deleted in Stripe


class WriteBack(Record):
    """Rows for sObject Collections: each names its record by Id and one value per field."""

    opportunities: tuple[dict[str, Any], ...]
    accounts: tuple[dict[str, Any], ...]


def check_run_limits(plans: Sequence[BillingPlan], rules: BillingRules) -> RunLimit | None:
    """What the policy wants a person to look at before these plans are carried out; None: go ahead.

    Checked are the number of deals, the total in each currency, and each single deal's total.
    """
    totals = totals_by_currency(plans)
    large = deals_over_approval_limit(plans, rules)
    reasons = [
        *_count_reasons(len(plans), rules),
        *(
            _total_reason(total, rules)
            for total in totals
            if _above(total, rules.amount_limit(total.currency))
        ),
        *(
            f"The deal {plan.opportunity_id} of {plan.total} is above what may be billed without approval."
            for plan in large
        ),
    ]
    if not reasons:
        return None
    return RunLimit(
        reasons=tuple(reasons),
        deal_count=len(plans),
        totals=totals,
        opportunity_ids=tuple(plan.opportunity_id for plan in large),
    )


def deals_over_approval_limit(plans: Sequence[BillingPlan], rules: BillingRules) -> tuple[BillingPlan, ...]:
    """The plans that a person approves one by one, so that the others can go on without them."""
    return tuple(plan for plan in plans if _above(plan.total, rules.deal_limit(plan.currency)))


def totals_by_currency(plans: Sequence[BillingPlan]) -> tuple[Money, ...]:
    """The sum of the plans in each currency, sorted by currency."""
    currencies = sorted({plan.currency for plan in plans})
    return tuple(
        sum_money([plan.total for plan in plans if plan.currency == code], code) for code in currencies
    )


def write_back_rows(billed: Sequence[BilledDeal], names: FieldNames) -> WriteBack:
    """What Salesforce learns of billed deals (R8), each record once.

    An Account gets its customer's id when it has none, or one that Stripe deleted; a customer that it names
    stays, also when the deal was billed to another one in another currency.
    """
    opportunities = {deal.opportunity_id: _opportunity_row(deal, names) for deal in billed}
    accounts: dict[str, dict[str, Any]] = {}
    for deal in billed:
        if not deal.account_customer_id or deal.account_customer_gone:
            row = {"Id": deal.account_id, names.account_customer_id: deal.customer_id}
            accounts.setdefault(deal.account_id, row)
    return WriteBack(opportunities=tuple(opportunities.values()), accounts=tuple(accounts.values()))


def _opportunity_row(deal: BilledDeal, names: FieldNames) -> dict[str, Any]:
    return {
        "Id": deal.opportunity_id,
        names.opportunity_customer_id: deal.customer_id,
        names.opportunity_invoice_id: deal.invoice.invoice_id,
        names.opportunity_invoice_url: deal.invoice.hosted_invoice_url,
        names.opportunity_invoice_status: deal.invoice.status,
        names.opportunity_billed_at: deal.billed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def _count_reasons(count: int, rules: BillingRules) -> list[str]:
    if count <= rules.max_deals_per_run:
        return []
    return [f"{count} deals are more than the {rules.max_deals_per_run} that one run may bill."]


def _total_reason(total: Money, rules: BillingRules) -> str:
    return f"{total} are more than the {rules.amount_limit(total.currency)} that one run may bill."


def _above(amount: Money, limit: Money | None) -> bool:
    return limit is not None and amount > limit
