"""From plan to sent invoice: draft, lines, check, finalize, send. Only finalizing could make a duplicate visible."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from order_to_cash.domain.errors import RecordRejected, TotalMismatch
from order_to_cash.domain.identity import METADATA_KEY, METADATA_OPPORTUNITY, digest
from order_to_cash.domain.money import Money
from order_to_cash.domain.plan import verify_draft
from order_to_cash.domain.problems import Reason, advice
from order_to_cash.domain.records import BillingPlan, StripeInvoice
from order_to_cash.domain.wire import invoice_params, line_params
from order_to_cash.ledger.claims import Claim, Stray
from order_to_cash.ledger.intents import Operation
from tasks.company import Company
from tasks.customers import Payer
from tasks.effects import CLOCK_SKEW, Effect, Outcome, StepPage, once
from tasks.retrying import step

# Events may be listed some time after what they tell of; after this long, one that is missing did not happen.
EVENTS_LAG = timedelta(minutes=15)
# Stripe keeps an idempotency key for at least 24 hours. A ledger that replaced a lost one can meet a key of the old one
# (IdempotencyMismatch): that invoice is older than the new ledger's intent by so much, and may be another customer's.
KEYS_KEPT = timedelta(days=2)


@step("draft · {label}")
async def draft_invoice(
    company: Company, claim: Claim, plan: BillingPlan, payer: Payer, label: str
) -> StripeInvoice:
    """The one invoice of this obligation: created as a draft now, or found when an earlier run created it."""
    del label
    params = invoice_params(plan, payer.customer_id, claim.key)

    async def make(key: str) -> StripeInvoice:
        earlier = await _billed_before(company, claim, payer)
        return earlier or await company.stripe.create_invoice(params, key)

    async def look_up(operation: Operation) -> StripeInvoice | None:
        since = operation.intended_at - CLOCK_SKEW
        customers = {payer.customer_id, str(operation.intent.get("customer_id") or payer.customer_id)}
        if operation.key_expired:
            customers, since = {""}, since - KEYS_KEPT
        for customer_id in customers:
            for invoice in await company.stripe.list_invoices(customer_id, created_gte=since):
                if _of_obligation(invoice, claim.key):
                    return invoice
        return None

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


@step("check what was finalized · {label}")
async def check_finalized(claim: Claim, invoice: StripeInvoice, label: str) -> None:
    """Compare the final invoice with what the ledger says is owed, before anybody is mailed.

    Somebody may have edited the draft in Stripe between our check and finalizing it, finalized it themselves, or
    voided it. Raises TotalMismatch, RecordRejected (`invoice_voided`).
    """
    del label
    if invoice.status == "void":
        raise RecordRejected(
            f"The deal's invoice {invoice.invoice_id} was voided in Stripe before Salesforce was told of it.",
            code=Reason.INVOICE_VOIDED,
            remedy=advice(Reason.INVOICE_VOIDED),
            ids={"opportunity": claim.opportunity_id, "invoice": invoice.invoice_id},
        )
    owed = Money(claim.amount_minor, claim.currency)
    if invoice.total_excluding_tax != owed:
        raise TotalMismatch(
            f"The final invoice bills {invoice.total_excluding_tax}, the deal owes {owed}. It was not e-mailed.",
            remedy="Void the invoice in Stripe, then bill the deal again by name with an approver.",
            ids={"opportunity": claim.opportunity_id, "invoice": invoice.invoice_id},
        )


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
async def send_invoice(
    company: Company, claim: Claim, invoice: StripeInvoice, finalized_now: bool, label: str
) -> StripeInvoice:
    """Have Stripe e-mail the invoice to the customer, once; the invoice as it is now.

    One that is settled meanwhile is not sent any more. Unless this very run finalized it, Stripe is asked first
    whether it was sent: the ledger may be older than what was done (restored), or a person may have sent it.
    """
    del label

    async def sent_before(since: datetime) -> StripeInvoice | None:
        sent = await company.stripe.invoice_was_sent(invoice.invoice_id, since)
        current = await company.stripe.retrieve_invoice(invoice.invoice_id)
        return current if sent or current.status != "open" else None

    async def make(key: str) -> StripeInvoice:
        if not finalized_now:
            done = await sent_before((invoice.created or claim.expires_at) - CLOCK_SKEW)
            if done is not None:
                return done
        return await company.stripe.send_invoice(invoice.invoice_id, key)

    async def look_up(operation: Operation) -> StripeInvoice | None:
        return await sent_before(operation.intended_at - CLOCK_SKEW)

    effect = Effect(
        "send",
        {"invoice_id": invoice.invoice_id},
        make,
        look_up,
        record=_recorded,
        recall=lambda _outcome: _itself(invoice),
        may_renew=lambda operation: company.clock.now() - operation.intended_at > EVENTS_LAG,
    )
    return await once(StepPage(company.ledger.operations, claim, effect), effect)


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


async def _billed_before(company: Company, claim: Claim, payer: Payer) -> StripeInvoice | None:
    """An invoice of this deal that Stripe knows and the ledger does not: the ledger may have been restored.

    Looked for at every customer of the Account that is known: the deal may have been billed to another one.
    """
    customers = await _customers_of(company, claim.account_id)
    customers.pop(payer.customer_id, None)
    if not payer.is_new:
        customers[payer.customer_id] = None
    made = [one for customer_id in customers for one in await company.stripe.list_invoices(customer_id)]
    of_deal = [
        invoice
        for invoice in made
        if invoice.metadata.get(METADATA_OPPORTUNITY) == claim.opportunity_id and invoice.status != "void"
    ]
    finalized = [invoice for invoice in of_deal if invoice.status != "draft"]
    drafts = [
        invoice
        for invoice in of_deal
        if _of_obligation(invoice, claim.key) and invoice.customer_id == payer.customer_id
    ]
    return next(iter(finalized + drafts), None)


async def _customers_of(company: Company, account_id: str) -> dict[str, None]:
    """Ids of the Stripe customers that were ever linked with the Account, or name it in their metadata."""
    links = await asyncio.to_thread(
        company.ledger.links.by_salesforce, "Account", account_id, stripe_type="customer"
    )
    mirrored = await asyncio.to_thread(company.ledger.customers.candidates, account_id=account_id)
    ids = [link.stripe_id for link in links] + [customer.customer_id for customer in mirrored]
    return dict.fromkeys(ids)


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
