"""One won deal on its way to a sent invoice: each step a named task run, none repeated blindly.

Runs: inside `bill_won_deals`, one coroutine a deal.
Reads: the deal's plan; the ledger's claim and operations; Stripe.
Writes: one customer, one invoice in Stripe; the outcome of each step in the ledger.
Safe to re-run because: the claim is exclusive and every step's intent is committed before its effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from prefect.logging import get_run_logger

from order_to_cash.domain.errors import O2CError, RecordGone, TotalMismatch
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
    check_finalized,
    check_total,
    delete_stray,
    draft_invoice,
    finalize_invoice,
    send_invoice,
)
from tasks.obligations import (
    Claims,
    begin_anew,
    claim_deal,
    let_rest,
    settle_undecided,
    start_over,
    take_up,
)
from tasks.outcomes import DealOutcome, DealStatus, ended_by


@dataclass(frozen=True)
class Final:
    """A finalized invoice, whether it was this run that finalized it, and whether the Account names a dead customer."""

    invoice: StripeInvoice
    finalized_now: bool
    named_gone: bool


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
    """Go on with a deal whose invoice is final already: send it if that is still to be done."""
    label = label_of(outcome.mapped)
    try:
        claim = claims.hold(await take_up(company, owed, run_id, label))
        invoice = await company.stripe.retrieve_invoice(owed.stripe_invoice_id)
        return await _sent(company, outcome, claim, invoice, finalized_now=False)
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
            return await _sent(company, outcome, claim, found, finalized_now=False)
        claim = claims.hold(await claim_deal(company, plan, run_id, label))
    if claim.already_finalized:
        invoice = await company.stripe.retrieve_invoice(claim.stripe_invoice_id)
        if invoice.status != "void":
            return await _sent(company, outcome, claim, invoice, finalized_now=False)
        # Voided in Stripe and cleared in Salesforce: a person wants it billed anew.
        await begin_anew(company, claim, label)
        claim = claims.hold(await claim_deal(company, plan, run_id, label))
    return await _invoiced(company, outcome, claim, bill_to, claims)


async def _invoiced(
    company: Company, outcome: DealOutcome, claim: Claim, bill_to: BillTo, claims: Claims
) -> DealOutcome:
    plan, label = outcome.plan, label_of(outcome.mapped)
    assert plan is not None
    resumed = bool(claim.stripe_invoice_id)
    try:
        final = await _invoice(company, outcome, claim, bill_to)
    except (RecordGone, TotalMismatch) as error:
        # Somebody deleted the draft or the customer in Stripe, or changed the draft that an earlier run left, or the
        # Account has another customer now: once more from the beginning.
        if isinstance(error, TotalMismatch) and not resumed:
            raise
        await start_over(company, claim, label)
        claim = claims.hold(await claim_deal(company, plan, claim.run_id, label))
        final = await _invoice(company, outcome, claim, bill_to)
    outcome = replace(outcome, account_customer_gone=final.named_gone)
    return await _sent(company, outcome, claim, final.invoice, finalized_now=final.finalized_now)


async def _invoice(company: Company, outcome: DealOutcome, claim: Claim, bill_to: BillTo) -> Final:
    """The finalized invoice. A duplicate could only become visible here, so only one id is ever finalized."""
    plan, label = outcome.plan, label_of(outcome.mapped)
    assert plan is not None
    payer = await customer_for(company, bill_to, plan.currency, claim.run_id, label)
    for stray in claim.strays:
        await delete_stray(company, claim, stray, payer.customer_id, label)
    draft = await draft_invoice(company, claim, plan, payer, label)
    if draft.status != "draft":
        adopted = await adopt_invoice(company, claim, draft, label)
        return Final(adopted, finalized_now=False, named_gone=payer.named_gone)
    draft = await add_lines(company, claim, plan, draft, label)
    await check_total(plan, draft, payer.customer_id, label)
    finalized = await finalize_invoice(company, claim, draft, label)
    return Final(finalized, finalized_now=True, named_gone=payer.named_gone)


async def _sent(
    company: Company, outcome: DealOutcome, claim: Claim, invoice: StripeInvoice, *, finalized_now: bool
) -> DealOutcome:
    """Billed. What Stripe charges or mails by itself is not sent; nor is what was settled meanwhile."""
    label = label_of(outcome.mapped)
    await check_finalized(claim, invoice, label)
    ours_to_send = invoice.collection_method == CollectionMethod.SEND_INVOICE
    if ours_to_send and invoice.status == "open" and not company.rules.stripe_emails_invoices:
        invoice = await send_invoice(company, claim, invoice, finalized_now, label)
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
