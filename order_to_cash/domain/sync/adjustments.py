"""Refunds, credit notes and disputes: records of their own beside invoice and payment (R24, R27)."""

from __future__ import annotations

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import items, ref, text, walk, whole
from order_to_cash.domain.sync.links import customer_of, invoice_of
from order_to_cash.domain.sync.record import Draft, draft_for, mapped
from order_to_cash.domain.sync.shapes import Context, Mapped, State

# https://docs.stripe.com/disputes/how-disputes-work: the bank only asks, and takes nothing.
_INQUIRY = "warning_"


def refund_rows(state: State, account_id: str, context: Context) -> Mapped:
    """Money given back, or on its way back."""
    body = state.body
    if state.deleted:
        return Mapped()
    draft = draft_for(fields.REFUND, state)
    draft.common(context, account_id, customer_of(state, context.links), body.get("created"))
    draft.text("Stripe_Refund_Id__c", state.key.id)
    draft.pick("Status__c", body.get("status"))
    draft.pick("Reason__c", body.get("reason"))
    draft.money("Amount__c", body.get("amount"), needed=True)
    draft.words("Failure_Reason__c", text(body.get("failure_reason")).replace("_", " "))
    draft.at("Refunded_At__c", body.get("created"))
    draft.text("Stripe_Charge_Id__c", ref(body.get("charge")))
    _of_payment(draft, state, context)
    return mapped([(draft, draft.row("Stripe_Refund_Id__c", state.key.id, account_id))])


def credit_note_rows(state: State, account_id: str, context: Context) -> Mapped:
    """What an invoice was reduced by: before payment its amount due, after it a refund or a balance."""
    body = state.body
    if state.deleted:
        return Mapped()
    draft = draft_for(fields.CREDIT_NOTE, state)
    draft.common(context, account_id, customer_of(state, context.links), body.get("created"))
    draft.text("Stripe_Credit_Note_Id__c", state.key.id)
    draft.text("Credit_Note_Number__c", body.get("number"))
    draft.pick("Status__c", body.get("status"))
    draft.pick("Type__c", body.get("type"))
    draft.pick("Reason__c", body.get("reason"))
    draft.money("Amount__c", body.get("total", body.get("amount")), needed=True)
    draft.money("Tax__c", sum(whole(tax.get("amount")) or 0 for tax in items(body.get("total_taxes"))))
    draft.money("Pre_Payment_Amount__c", body.get("pre_payment_amount"))
    draft.money("Post_Payment_Amount__c", body.get("post_payment_amount"))
    draft.text("Memo__c", body.get("memo"))
    draft.at("Effective_At__c", body.get("effective_at"))
    draft.at("Voided_At__c", body.get("voided_at"))
    draft.text("PDF_URL__c", body.get("pdf"))
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", ref(body.get("invoice")))
    return mapped([(draft, draft.row("Stripe_Credit_Note_Id__c", state.key.id, account_id))])


def dispute_rows(state: State, account_id: str, context: Context) -> Mapped:
    """A payment that the customer's bank takes back, or wants to: the payment's record says so too."""
    body = state.body
    if state.deleted:
        return Mapped()
    draft = draft_for(fields.DISPUTE, state)
    draft.common(context, account_id, customer_of(state, context.links), body.get("created"))
    draft.text("Stripe_Dispute_Id__c", state.key.id)
    draft.text("Status__c", body.get("status"))
    draft.text("Reason__c", body.get("reason"))
    draft.money("Amount__c", body.get("amount"), needed=True)
    draft.at("Evidence_Due_At__c", walk(body, "evidence_details", "due_by"))
    draft.flag("Past_Due__c", walk(body, "evidence_details", "past_due"))
    _of_payment(draft, state, context)
    made = [(draft, draft.row("Stripe_Dispute_Id__c", state.key.id, account_id))]
    charge = ref(body.get("charge"))
    if charge and not text(body.get("status")).startswith(_INQUIRY):
        payment = Draft(fields.PAYMENT, state.key)
        payment.text("Stripe_Charge_Id__c", charge)
        payment.fields[fields.SYNCED_AT] = context.synced_at
        payment.flag("Disputed__c", value=True)
        made.append((payment, payment.row("Stripe_Charge_Id__c", charge, account_id)))
    return mapped(made)


def _of_payment(draft: Draft, state: State, context: Context) -> None:
    draft.lookup("Payment__r", "Stripe_Charge_Id__c", ref(state.body.get("charge")))
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", invoice_of(state.body, context.links))
