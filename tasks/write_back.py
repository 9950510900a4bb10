"""What Salesforce is told of billed deals: one Collections call per 200 Opportunities, one per 200 Accounts (R8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from order_to_cash.domain.decisions import BilledDeal, WriteBack, write_back_rows
from order_to_cash.domain.errors import ClaimLost, O2CError, RecordGone
from order_to_cash.domain.queries import deals_by_id_queries
from order_to_cash.ledger.claims import Claim
from tasks.company import Company
from tasks.outcomes import DealOutcome, DealStatus, problem_of
from tasks.retrying import step

STEP = "write_back"


@step("write back {count} deals")
async def write_back(company: Company, billed: Sequence[DealOutcome], count: int) -> list[DealOutcome]:
    """Write Stripe's ids, address and status to Opportunity and Account.

    Repeating it changes nothing, so an unknown outcome is simply written again. A row that Salesforce refuses
    leaves the deal billed, its problem named, and the obligation open for the next run.
    """
    del count
    intents = [
        (_claim(outcome), {"invoice_id": _deal(company, outcome).invoice.invoice_id}) for outcome in billed
    ]
    begun = await asyncio.to_thread(company.ledger.operations.begin_many, STEP, intents)
    held = [
        outcome
        for outcome, operation in zip(billed, begun, strict=True)
        if not isinstance(operation, ClaimLost)
    ]
    lost = [
        outcome.now(DealStatus.WAITING, problem_of(operation))
        for outcome, operation in zip(billed, begun, strict=True)
        if isinstance(operation, ClaimLost)
    ]
    errors = await _write(company, held)
    done = [outcome for outcome in held if outcome.opportunity_id not in errors]
    await asyncio.to_thread(
        company.ledger.operations.succeed_many, STEP, [(_claim(outcome), {}) for outcome in done]
    )
    refused = [
        _refused(outcome, errors[outcome.opportunity_id])
        for outcome in held
        if outcome.opportunity_id in errors
    ]
    return [*(replace(outcome, written_back=True) for outcome in done), *refused, *lost]


async def _write(company: Company, outcomes: Sequence[DealOutcome]) -> dict[str, O2CError]:
    """Opportunity id → why it, or its Account, could not be written."""
    if not outcomes:
        return {}
    deals = [_deal(company, outcome) for outcome in outcomes]
    rows = write_back_rows(deals, company.rules.field_names)
    errors: dict[str, O2CError | None] = dict(await _write_rows(company, rows))
    merged = [
        deal for deal in deals if isinstance(errors.get(deal.account_id), RecordGone) and deal.account_id
    ]
    if merged:
        errors |= await _follow_merge(company, merged)
    return {
        deal.opportunity_id: error
        for deal in deals
        if (error := errors.get(deal.opportunity_id) or errors.get(deal.account_id)) is not None
    }


async def _write_rows(company: Company, rows: WriteBack) -> dict[str, O2CError]:
    opportunities, accounts = await asyncio.gather(
        asyncio.to_thread(company.salesforce.update_rows, "Opportunity", rows.opportunities),
        asyncio.to_thread(company.salesforce.update_rows, "Account", rows.accounts),
    )
    written = [
        *zip(rows.opportunities, opportunities, strict=True),
        *zip(rows.accounts, accounts, strict=True),
    ]
    return {str(row["Id"]): result.error for row, result in written if result.error is not None}


async def _follow_merge(company: Company, deals: Sequence[BilledDeal]) -> dict[str, O2CError | None]:
    """The Accounts of these deals are gone: a merge moved the deals to the surviving one, which is told instead.

    Old Account id → what still speaks against it, None when its successor was written.
    """
    queries = deals_by_id_queries(company.rules, [deal.opportunity_id for deal in deals])
    answers = [await asyncio.to_thread(company.salesforce.query, query) for query in queries]
    now_at = {str(row["Id"]): str(row.get("AccountId") or "") for rows in answers for row in rows}
    moved = [
        deal.model_copy(update={"account_id": now_at[deal.opportunity_id]})
        for deal in deals
        if now_at.get(deal.opportunity_id) and now_at[deal.opportunity_id] != deal.account_id
    ]
    rows = write_back_rows(moved, company.rules.field_names)
    errors = await _write_rows(company, rows.model_copy(update={"opportunities": ()}))
    new_id = {deal.opportunity_id: deal.account_id for deal in moved}
    return {
        deal.account_id: errors.get(new_id[deal.opportunity_id])
        for deal in deals
        if deal.opportunity_id in new_id
    }


def _deal(company: Company, outcome: DealOutcome) -> BilledDeal:
    assert outcome.invoice is not None
    claim, mapped = _claim(outcome), outcome.mapped
    account = mapped.deal.account if mapped.deal is not None else None
    return BilledDeal(
        opportunity_id=outcome.opportunity_id,
        account_id=account.account_id if account else claim.account_id,
        customer_id=outcome.invoice.customer_id,
        invoice=outcome.invoice,
        billed_at=outcome.invoice.finalized_at or company.clock.now(),
        account_customer_id=account.stripe_customer_id if account else "",
        account_customer_gone=outcome.account_customer_gone,
    )


def _claim(outcome: DealOutcome) -> Claim:
    assert outcome.claim is not None
    return outcome.claim


def _refused(outcome: DealOutcome, error: O2CError) -> DealOutcome:
    """Billed, but Salesforce does not say so yet."""
    problem = problem_of(error)
    message = f"The invoice is out, but Salesforce was not told of it: {problem.message}"
    told = problem.model_copy(update={"message": message})
    return replace(outcome, problems=(*outcome.problems, told), needs_a_person=not error.retryable)
