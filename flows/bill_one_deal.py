"""One won deal on its way to a sent invoice: each step a named task run, none repeated blindly.

Runs: inside `bill_won_deals`, one coroutine a deal.
Reads: the deal's plan; the ledger's claim and operations; Stripe.
Writes: one customer, one invoice in Stripe; the outcome of each step in the ledger.
Safe to re-run because: the claim is exclusive and every step's intent is committed before its effect.
"""

from __future__ import annotations

from dataclasses import replace

from prefect.logging import get_run_logger

from order_to_cash.domain.errors import O2CError, RecordGone
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import BillingPlan, BillTo, CollectionMethod, StripeInvoice
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.tables import Obligation
from tasks.company import Company
from tasks.customers import customer_for
from tasks.deals import label_of
from tasks.invoices import (
    add_lines,
    adopt_invoice,
    check_total,
    delete_stray,
    draft_invoice,
    finalize_invoice,
    send_invoice,
)
from tasks.obligations import Claims, claim_deal, let_rest, settle_undecided, start_over, take_up
from tasks.outcomes import DealOutcome, DealStatus, ended_by


async def bill_deal(
    company: Company, outcome: DealOutcome, bill_to: BillTo, run_id: str, claims: Claims
) -> DealOutcome:
    """Bill one planned deal: `billed` with its finalized and sent invoice, or how else it ended.

    The claim of a billed deal stays in `claims`: it is written back with the rest of the batch.
    """
    try:
        return await _bill(company, outcome, bill_to, run_id, claims)
    except Exception as error:  # noqa: BLE001 - whatever ends one deal must not end the others'
        return await _ended(company, outcome, claims, error)


async def finish_deal(
    company: Company, outcome: DealOutcome, owed: Obligation, run_id: str, claims: Claims
) -> DealOutcome:
    """Go on with a deal whose invoice an earlier run finalized: send it if that is still to be done."""
    label = label_of(outcome.mapped)
    try:
        claim, invoice = await take_up(company, owed, run_id, label)
        claims.hold(claim)
        return await _sent(company, outcome, claim, invoice)
    except Exception as error:  # noqa: BLE001 - whatever ends one deal must not end the others'
        return await _ended(company, outcome, claims, error)


async def _bill(
    company: Company, outcome: DealOutcome, bill_to: BillTo, run_id: str, claims: Claims
) -> DealOutcome:
    plan, label = outcome.plan, label_of(outcome.mapped)
    assert plan is not None
    claim = claims.hold(await claim_deal(company, plan, run_id, label))
    if claim.undecided:
        found = await settle_undecided(company, claim, label)
        if found is not None:
            return await _sent(company, outcome, claim, found)
        claim = claims.hold(await claim_deal(company, plan, run_id, label))
    if claim.already_finalized:
        invoice = await company.stripe.retrieve_invoice(claim.stripe_invoice_id)
        return await _sent(company, outcome, claim, invoice)
    try:
        invoice = await _invoice(company, outcome, claim, bill_to)
    except RecordGone:
        # Somebody deleted the draft, or the customer, in Stripe: once more from the beginning.
        await start_over(company, claim, label)
        claim = claims.hold(await claim_deal(company, plan, run_id, label))
        invoice = await _invoice(company, outcome, claim, bill_to)
    return await _sent(company, outcome, claim, invoice)


async def _invoice(company: Company, outcome: DealOutcome, claim: Claim, bill_to: BillTo) -> StripeInvoice:
    """The finalized invoice. A duplicate could only become visible here, so only one id is ever finalized."""
    plan, label = outcome.plan, label_of(outcome.mapped)
    assert plan is not None
    payer = await customer_for(company, bill_to, plan.currency, claim.run_id, label)
    for stray in claim.strays:
        await delete_stray(company, claim, stray, payer.customer_id, label)
    draft = await draft_invoice(company, claim, plan, payer, label)
    if draft.status != "draft":
        return await adopt_invoice(company, claim, draft, label)
    draft = await add_lines(company, claim, plan, draft, label)
    await check_total(plan, draft, payer.customer_id, label)
    return await finalize_invoice(company, claim, draft, label)


async def _sent(company: Company, outcome: DealOutcome, claim: Claim, invoice: StripeInvoice) -> DealOutcome:
    """Billed. What Stripe charges by itself is not sent; what was settled meanwhile is not sent any more."""
    if invoice.collection_method == CollectionMethod.SEND_INVOICE:
        await send_invoice(company, claim, invoice, label_of(outcome.mapped))
    billed = replace(outcome, status=DealStatus.BILLED, claim=claim, invoice=invoice)
    if outcome.plan is not None and _differs(outcome.plan, claim, invoice):
        edited = problem(Reason.EDITED_AFTER_BILLING, "The deal was changed after its invoice was finalized.")
        return replace(billed, problems=(*billed.problems, edited))
    return billed


def _differs(plan: BillingPlan, claim: Claim, invoice: StripeInvoice) -> bool:
    return claim.plan_digest != plan.digest or invoice.total_excluding_tax != plan.total


async def _ended(company: Company, outcome: DealOutcome, claims: Claims, error: Exception) -> DealOutcome:
    if not isinstance(error, O2CError):
        get_run_logger().error("%s ended by %s", label_of(outcome.mapped), type(error).__name__)
    claim = claims.drop(outcome.opportunity_id)
    if claim is not None:
        await let_rest(company, claim, error)
    return ended_by(outcome, error)
