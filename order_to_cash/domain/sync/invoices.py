"""An invoice as a Stripe_Invoice__c record, its lines, and the deal it belongs to (R20, R21, R27).

The record shows what Stripe says of the invoice; a refund never alters it. What was paid adds up from the payments that
hang on it, and Stripe's own sums stand beside: paid, paid outside Stripe, overpaid, remaining.
"""

from __future__ import annotations

from collections.abc import Mapping

from order_to_cash.domain.identity import METADATA_OPPORTUNITY
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import day, items, mapping, metadata, ref, text, walk, whole
from order_to_cash.domain.sync.declines import chosen_code, plain_words, shown_code
from order_to_cash.domain.sync.normalize import payment_unexplained
from order_to_cash.domain.sync.rates import finalized_at, rate_at
from order_to_cash.domain.sync.record import Draft, draft_for, mapped
from order_to_cash.domain.sync.shapes import Body, Context, Mapped, Row, State

DELETED = "deleted"
_MONEY = {
    "Subtotal__c": "subtotal",
    "Total__c": "total",
    "Amount_Due__c": "amount_due",
    "Amount_Paid__c": "amount_paid",
    "Amount_Remaining__c": "amount_remaining",
}
_MONEY_IF_SAID = {
    "Amount_Paid_Off_Stripe__c": "amount_paid_off_stripe",
    "Amount_Overpaid__c": "amount_overpaid",
}


def invoice_rows(state: State, account_id: str, context: Context) -> Mapped:
    """The invoice, its lines once it is finalized (a draft's come and go), and its deal.

    None for one of which only the id is known any more: `invoice.deleted` carries the rest.
    """
    if state.deleted and "status" not in state.body:
        return Mapped()
    drafts = [_invoice(state, account_id, context)]
    if state.body.get("status") != "draft":
        drafts += [_line(line, state, account_id, context) for line in items(state.body.get("lines"))]
    drafts += _deal(state, account_id, context)
    return mapped(drafts)


def failure_of(invoice: Body) -> tuple[str, str]:
    """(code, message) of the last failed attempt on an unpaid invoice; empty while none failed or nobody can tell.

    From the payment intents that a fetched invoice carries; one that is still processing has not failed.
    """
    if invoice.get("status") not in {"open", "uncollectible"}:
        return "", ""
    for payment in reversed(items(invoice.get("payments"))):
        error = mapping(walk(payment, "payment", "payment_intent", "last_payment_error"))
        if error:
            code = chosen_code(text(error.get("decline_code")), text(error.get("code")))
            return code or "unknown", text(error.get("message"))
    return "", ""


def _invoice(state: State, account_id: str, context: Context) -> tuple[Draft, Row]:
    body = state.body
    draft = draft_for(fields.INVOICE, state)
    draft.common(context, account_id, state.customer_id, body.get("created"))
    draft.text("Stripe_Invoice_Id__c", state.key.id)
    draft.text("Invoice_Number__c", body.get("number"))
    draft.pick("Status__c", DELETED if state.deleted else body.get("status"))
    draft.text("Billing_Reason__c", body.get("billing_reason"))
    draft.pick("Collection_Method__c", body.get("collection_method"))
    for field, name in _MONEY.items():
        draft.money(field, body.get(name), needed=True)
    for field, name in _MONEY_IF_SAID.items():
        if name in body:
            draft.money(field, body[name])
    taxes = [whole(tax.get("amount")) or 0 for tax in items(body.get("total_taxes"))]
    draft.money("Tax__c", sum(taxes))
    _collection(draft, body)
    _dates(draft, body)
    _rate(draft, state, context)
    draft.text("Hosted_Invoice_URL__c", body.get("hosted_invoice_url"))
    draft.text("Invoice_PDF_URL__c", body.get("invoice_pdf"))
    subscription = subscription_of(body)
    draft.lookup("Subscription__r", "Stripe_Subscription_Id__c", subscription)
    deal = deal_of(body)
    if deal in context.invoice_of_opportunity:
        draft.fields["Opportunity__c"] = deal
    return draft, draft.row("Stripe_Invoice_Id__c", state.key.id, account_id)


def subscription_of(invoice: Body) -> str:
    """The subscription that a normalized invoice bills, "" for none."""
    return ref(walk(invoice, "parent", "subscription_details", "subscription"))


def deal_of(body: Body) -> str:
    """The Opportunity that a Stripe object names in its metadata, "" for none."""
    return next(metadata(body, METADATA_OPPORTUNITY), "")


def product_of(line: Body) -> str:
    """The Stripe product of a normalized invoice line, "" for none."""
    return ref(walk(line, "pricing", "price_details", "product"))


def _collection(draft: Draft, body: Body) -> None:
    draft.number("Attempt_Count__c", body.get("attempt_count"))
    draft.at("Next_Payment_Attempt__c", body.get("next_payment_attempt"))
    code, _ = failure_of(body)
    if not code and payment_unexplained(body):
        return  # attempted, and what came of it is not said here: what the record says stays
    draft.text("Failure_Code__c", shown_code(code))
    draft.words("Failure_Reason__c", plain_words(code) if code else "")


def _dates(draft: Draft, body: Body) -> None:
    moves = mapping(body.get("status_transitions"))
    draft.on("Due_Date__c", body.get("due_date"))
    draft.at("Finalized_At__c", moves.get("finalized_at"))
    draft.at("Paid_At__c", moves.get("paid_at"))
    draft.at("Voided_At__c", moves.get("voided_at"))
    draft.at("Period_Start__c", body.get("period_start"))
    draft.at("Period_End__c", body.get("period_end"))


def _rate(draft: Draft, state: State, context: Context) -> None:
    """As it was when the invoice was finalized; one that is not known stays as it is."""
    at = finalized_at(state)
    rate = rate_at(context.rates, draft.currency, at) if at is not None else None
    if rate is not None:
        draft.fields["Exchange_Rate__c"] = rate


def _line(line: Body, state: State, account_id: str, context: Context) -> tuple[Draft, Row]:
    draft = Draft(
        fields.INVOICE_LINE, state.key, text(line.get("currency") or state.body.get("currency")).lower()
    )
    draft.in_currency(context)
    draft.fields[fields.SYNCED_AT] = context.synced_at
    draft.text("Stripe_Invoice_Line_Id__c", ref(line))
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", state.key.id)
    draft.text("Description__c", line.get("description"))
    draft.money("Amount__c", line.get("amount"), needed=True)
    draft.number("Quantity__c", line.get("quantity"))
    draft.text("Stripe_Price_Id__c", ref(walk(line, "pricing", "price_details", "price")))
    nickname = text(walk(line, "price", "nickname")) or text(walk(line, "plan", "nickname"))
    draft.words("Plan__c", nickname or ref(walk(line, "pricing", "price_details", "price")))
    parent = mapping(line.get("parent"))
    details = mapping(parent.get("subscription_item_details")) or mapping(parent.get("invoice_item_details"))
    draft.flag("Proration__c", details.get("proration"))
    draft.at("Period_Start__c", walk(line, "period", "start"))
    draft.at("Period_End__c", walk(line, "period", "end"))
    if product_of(line) in context.products:
        draft.lookup("Product__r", "Stripe_Product_Id__c", product_of(line))
    return draft, draft.row("Stripe_Invoice_Line_Id__c", ref(line), account_id)


def _deal(state: State, account_id: str, context: Context) -> list[tuple[Draft, Row]]:
    """The deal follows the one invoice that it names; an invoice that was replaced says nothing about it any more.

    A deal that names none yet follows what was finalized: a draft may be one of several attempts at billing it.
    """
    deal = deal_of(state.body)
    named = context.invoice_of_opportunity.get(deal)
    unnamed = named == "" and state.body.get("status") != "draft"
    if not deal or not (named == state.key.id or unnamed):
        return []
    draft = Draft(fields.OPPORTUNITY, state.key)
    draft.pick("Stripe_Invoice_Status__c", None if state.deleted else state.body.get("status"))
    paid = is_paid(state.body) and not state.deleted
    if paid or named:  # an invoice that another one replaced may have been paid
        draft.fields["Stripe_Paid__c"] = paid
        moves = mapping(state.body.get("status_transitions"))
        draft.fields["Paid_Date__c"] = day(moves.get("paid_at")) if paid else None
    return [(draft, draft.row("Id", deal, account_id))]


def is_paid(invoice: Mapping[str, object]) -> bool:
    """Whether nothing is owed any more because it was paid (R20): not voided, not written off, not credited away.

    Stripe calls an invoice paid, too, when credit notes leave nothing of it to be paid
    (https://docs.stripe.com/api/credit_notes).
    """
    due, paid, left = (whole(invoice.get(name)) for name in ("amount_due", "amount_paid", "amount_remaining"))
    if due is None or paid is None or left is None:
        return False
    if not paid and whole(invoice.get("pre_payment_credit_notes_amount")):
        return False
    return invoice.get("status") == "paid" and paid >= due and left <= 0
