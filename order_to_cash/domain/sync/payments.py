"""Charges, and payments made outside Stripe, as Stripe_Payment__c records: each attempt is one (R20, R26, R27).

A payment intent has no record of its own: each of its charges has. An InvoicePayment tells which invoice a charge
pays; where the money came outside Stripe there is no charge, and its payment record is the payment.
"""

from __future__ import annotations

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import mapping, ref, text, walk, whole
from order_to_cash.domain.sync.declines import chosen_code, plain_words, shown_code
from order_to_cash.domain.sync.links import customer_of, invoice_of, paid_by
from order_to_cash.domain.sync.record import Draft, draft_for, mapped
from order_to_cash.domain.sync.shapes import Body, Context, Mapped, State

OUT_OF_BAND = "out_of_band"
_STATUS = {"open": "pending", "paid": "succeeded", "canceled": "canceled"}


def charge_rows(state: State, account_id: str, context: Context) -> Mapped:
    """One attempt to take money. What was authorized and not captured yet is pending."""
    body = state.body
    if state.deleted:
        return Mapped()
    draft = draft_for(fields.PAYMENT, state)
    draft.common(context, account_id, state.customer_id, body.get("created"))
    draft.text("Stripe_Charge_Id__c", state.key.id)
    draft.text("Stripe_Payment_Intent_Id__c", ref(body.get("payment_intent")))
    authorized = body.get("status") == "succeeded" and body.get("captured") is False
    draft.pick("Status__c", "pending" if authorized else body.get("status"))
    draft.money("Amount__c", body.get("amount"), needed=True)
    for field, name in (("Amount_Captured__c", "amount_captured"), ("Amount_Refunded__c", "amount_refunded")):
        if name in body:
            draft.money(field, body[name])
    draft.flag("Out_Of_Band__c", value=False)
    if body.get("disputed"):  # no later event of the charge tells of its dispute, and none takes it back
        draft.flag("Disputed__c", value=True)
    _method(draft, body)
    code = failure_code(body)
    draft.text("Failure_Code__c", shown_code(code))
    draft.words("Failure_Reason__c", plain_words(code) if body.get("status") == "failed" else "")
    paid = body.get("status") == "succeeded" and not authorized
    draft.at("Paid_At__c", body.get("created") if paid else None)
    draft.text("Receipt_URL__c", body.get("receipt_url"))
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", invoice_of(body, context.links, state.key.id))
    return mapped([(draft, draft.row("Stripe_Charge_Id__c", state.key.id, account_id))])


def failure_code(charge: Body) -> str:
    """Why a charge failed: the issuer's reason where Stripe passes it on, else Stripe's own code; "" for none."""
    if charge.get("status") != "failed":
        return ""
    return chosen_code(text(walk(charge, "outcome", "reason")), text(charge.get("failure_code"))) or "unknown"


def invoice_payment_rows(state: State, account_id: str, context: Context) -> Mapped:
    """The link between a charge and its invoice, or a payment made outside Stripe."""
    kind, payer = paid_by(state.body)
    if state.deleted or not payer:
        return Mapped()
    if kind == "payment_record":
        return _out_of_band(state, payer, account_id, context)
    charge = payer if kind == "charge" else context.links.charge_of.get(payer, "")
    if not charge:
        return Mapped()
    draft = Draft(fields.PAYMENT, state.key)
    draft.text("Stripe_Charge_Id__c", charge)
    draft.fields[fields.SYNCED_AT] = context.synced_at
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", ref(state.body.get("invoice")))
    return mapped([(draft, draft.row("Stripe_Charge_Id__c", charge, account_id))])


def _out_of_band(state: State, record: str, account_id: str, context: Context) -> Mapped:
    body = state.body
    draft = draft_for(fields.PAYMENT, state)
    draft.common(context, account_id, customer_of(state, context.links), body.get("created"))
    draft.text("Stripe_Payment_Record_Id__c", record)
    draft.pick("Status__c", _STATUS.get(text(body.get("status")), body.get("status")))
    paid = whole(body.get("amount_paid"))
    draft.money("Amount__c", body.get("amount_requested") if paid is None else paid, needed=True)
    draft.flag("Out_Of_Band__c", value=True)
    draft.text("Payment_Method_Type__c", OUT_OF_BAND)
    draft.at("Paid_At__c", walk(body, "status_transitions", "paid_at"))
    draft.lookup("Invoice__r", "Stripe_Invoice_Id__c", ref(body.get("invoice")))
    return mapped([(draft, draft.row("Stripe_Payment_Record_Id__c", record, account_id))])


def _method(draft: Draft, body: Body) -> None:
    details = mapping(body.get("payment_method_details"))
    draft.text("Payment_Method_Type__c", details.get("type"))
    draft.text("Card_Brand__c", walk(details, "card", "brand"))
    draft.text("Card_Last4__c", walk(details, "card", "last4"))
