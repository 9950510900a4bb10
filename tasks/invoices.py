"""From plan to sent invoice: draft, lines, check, finalize, send. Only finalizing could make a duplicate visible."""

from __future__ import annotations

import asyncio

from order_to_cash.domain.identity import METADATA_KEY, METADATA_OPPORTUNITY, digest
from order_to_cash.domain.plan import verify_draft
from order_to_cash.domain.records import BillingPlan, StripeInvoice
from order_to_cash.domain.wire import invoice_params, line_params
from order_to_cash.ledger.claims import Claim, Stray
from order_to_cash.ledger.intents import Operation
from tasks.company import Company
from tasks.customers import Payer
from tasks.effects import CLOCK_SKEW, Effect, Outcome, StepPage, once
from tasks.retrying import step


@step("draft · {label}")
async def draft_invoice(
    company: Company, claim: Claim, plan: BillingPlan, payer: Payer, label: str
) -> StripeInvoice:
    """The one invoice of this obligation: created as a draft now, or found when an earlier run created it."""
    del label
    params = invoice_params(plan, payer.customer_id, claim.key)

    async def make(key: str) -> StripeInvoice:
        earlier = None if payer.is_new else await _billed_before(company, claim, payer.customer_id)
        return earlier or await company.stripe.create_invoice(params, key)

    async def look_up(operation: Operation) -> StripeInvoice | None:
        since = operation.intended_at - CLOCK_SKEW
        made = await company.stripe.list_invoices(payer.customer_id, created_gte=since)
        return next((invoice for invoice in made if _of_obligation(invoice, claim.key)), None)

    effect = Effect(
        "draft",
        {"params": digest(params), "customer_id": payer.customer_id},
        make,
        look_up,
        record=_recorded,
        recall=lambda outcome: _recalled(company, outcome),
    )
    return await once(StepPage(company.ledger.operations, claim, effect), effect)


@step("lines · {label}")
async def add_lines(
    company: Company, claim: Claim, plan: BillingPlan, draft: StripeInvoice, label: str
) -> StripeInvoice:
    """The draft with all its lines, as Stripe totals it. All lines go in one call: there are all of them or none."""
    del label
    lines = line_params(plan)

    async def make(key: str) -> StripeInvoice:
        return await company.stripe.add_lines(draft.invoice_id, lines, key)

    async def look_up(_operation: Operation) -> StripeInvoice | None:
        current = await company.stripe.retrieve_invoice(draft.invoice_id)
        return current if current.line_count else None

    effect = Effect(
        "lines",
        {"lines": digest(lines), "line_count": len(lines)},
        make,
        look_up,
        record=_recorded,
        recall=lambda outcome: _recalled(company, outcome),
    )
    return await once(StepPage(company.ledger.operations, claim, effect), effect)


@step("check total · {label}")
async def check_total(plan: BillingPlan, draft: StripeInvoice, customer_id: str, label: str) -> None:
    """Compare what Stripe made of the lines with the plan, tax apart. Raises TotalMismatch."""
    del label
    verify_draft(plan, draft, customer_id)


@step("finalize · {label}")
async def finalize_invoice(company: Company, claim: Claim, draft: StripeInvoice, label: str) -> StripeInvoice:
    """The finalized invoice. From here on it is visible to the customer and cannot be edited."""
    del label

    async def make(key: str) -> StripeInvoice:
        return await company.stripe.finalize_invoice(draft.invoice_id, key)

    async def look_up(_operation: Operation) -> StripeInvoice | None:
        current = await company.stripe.retrieve_invoice(draft.invoice_id)
        return current if current.status != "draft" else None

    effect = Effect(
        "finalize",
        {"invoice_id": draft.invoice_id, "total_minor": draft.total.amount_minor},
        make,
        look_up,
        record=_recorded,
        recall=lambda outcome: _recalled(company, outcome),
        point_of_no_return=True,
    )
    invoice = await once(StepPage(company.ledger.operations, claim, effect), effect)
    await record_finalized(company, claim, invoice)
    return invoice


@step("adopt · {label}")
async def adopt_invoice(company: Company, claim: Claim, invoice: StripeInvoice, label: str) -> StripeInvoice:
    """Stripe bills this deal already and the ledger did not know: it was restored, or is new. Nothing is made."""
    del label
    await record_finalized(company, claim, invoice)
    return invoice


async def record_finalized(company: Company, claim: Claim, invoice: StripeInvoice) -> None:
    """Write down that this obligation is billed by `invoice`."""
    await asyncio.to_thread(
        company.ledger.obligations.finalized,
        claim,
        invoice_id=invoice.invoice_id,
        url=invoice.hosted_invoice_url,
        customer_id=invoice.customer_id,
    )
    await asyncio.to_thread(
        company.ledger.links.put, "invoice", invoice.invoice_id, "Opportunity", claim.opportunity_id
    )


@step("send · {label}")
async def send_invoice(company: Company, claim: Claim, invoice: StripeInvoice, label: str) -> None:
    """Have Stripe e-mail the invoice to the customer, once. One that is settled meanwhile is not sent any more."""
    del label
    if invoice.status != "open":
        return

    async def make(key: str) -> StripeInvoice:
        return await company.stripe.send_invoice(invoice.invoice_id, key)

    async def look_up(operation: Operation) -> StripeInvoice | None:
        sent = await company.stripe.invoice_was_sent(invoice.invoice_id, operation.intended_at - CLOCK_SKEW)
        current = await company.stripe.retrieve_invoice(invoice.invoice_id)
        return current if sent or current.status != "open" else None

    effect = Effect(
        "send",
        {"invoice_id": invoice.invoice_id},
        make,
        look_up,
        record=_recorded,
        recall=lambda _outcome: _itself(invoice),
    )
    await once(StepPage(company.ledger.operations, claim, effect), effect)


@step("delete stray draft · {label}")
async def delete_stray(company: Company, claim: Claim, stray: Stray, customer_id: str, label: str) -> None:
    """Remove the draft of a generation that an edited deal has superseded. It was never visible to the customer."""
    del label
    if stray.invoice_id:
        drafts = [stray.invoice_id]
    else:
        made = await company.stripe.list_invoices(customer_id)
        drafts = [invoice.invoice_id for invoice in made if _of_obligation(invoice, stray.key)]
    for invoice_id in drafts:
        await company.stripe.delete_draft(invoice_id)
    await asyncio.to_thread(company.ledger.obligations.discarded, claim, stray)


async def _billed_before(company: Company, claim: Claim, customer_id: str) -> StripeInvoice | None:
    """An invoice of this deal that Stripe knows and the ledger does not: the ledger may have been restored."""
    made = await company.stripe.list_invoices(customer_id)
    of_deal = [
        invoice
        for invoice in made
        if invoice.metadata.get(METADATA_OPPORTUNITY) == claim.opportunity_id and invoice.status != "void"
    ]
    finalized = [invoice for invoice in of_deal if invoice.status != "draft"]
    drafts = [invoice for invoice in of_deal if _of_obligation(invoice, claim.key)]
    return next(iter(finalized + drafts), None)


def _of_obligation(invoice: StripeInvoice, key: str) -> bool:
    return invoice.metadata.get(METADATA_KEY) == key


def _recorded(invoice: StripeInvoice) -> Outcome:
    return {
        "invoice_id": invoice.invoice_id,
        "customer_id": invoice.customer_id,
        "status": invoice.status,
        "line_count": invoice.line_count,
        "total_minor": invoice.total.amount_minor,
    }


async def _recalled(company: Company, outcome: Outcome) -> StripeInvoice:
    return await company.stripe.retrieve_invoice(str(outcome["invoice_id"]))


async def _itself(invoice: StripeInvoice) -> StripeInvoice:
    return invoice
