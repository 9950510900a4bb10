"""What becomes of an invoice: finalized, sent, paid, void, uncollectible."""

from __future__ import annotations

from emulators.stripe.api import Api
from emulators.stripe.currencies import smallest_charge
from emulators.stripe.drafts import sync_customer
from emulators.stripe.errors import StripeError
from emulators.stripe.events import emit
from emulators.stripe.model import Obj, Params, clone
from emulators.stripe.payments import collect, pay_with, prepare_payment, settle
from emulators.stripe.totals import check_tax_location, retotal
from emulators.stripe.world import ACCOUNT_ID, token

DAY = 86400


def not_editable(param: str) -> StripeError:
    return StripeError("This invoice is no longer editable", code="invoice_not_editable", param=param)


def finalize(api: Api, invoice: Obj, params: Params) -> Obj:
    if invoice["status"] != "draft":
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise StripeError(message, code="invoice_not_editable")
    customer = api.find("customer", invoice["customer"], "customer")
    check_tax_location(invoice, customer)
    if "auto_advance" in params:
        invoice["auto_advance"] = params["auto_advance"]
    before = clone(invoice)
    _open(api, invoice, customer)
    api.change(invoice, "invoice.finalized", "finalized")
    emit(api, "invoice.updated", invoice, {name: old for name, old in before.items() if old != invoice[name]})
    if invoice["amount_due"] == 0:
        settle(api, invoice)
        return invoice
    prepare_payment(api, invoice)
    if invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        collect(api, invoice)
    elif invoice["collection_method"] == "send_invoice":
        _watch_due_date(api, invoice)
        if invoice["auto_advance"] and api.settings.email_finalized_invoices and customer["email"]:
            _send(api, invoice)
    return invoice


def finalize_quietly(api: Api, invoice: Obj) -> None:
    """Finalization by the account itself: what a caller would be told goes to `last_finalization_error`."""
    try:
        finalize(api, invoice, {})
    except StripeError as error:
        details = {"code": error.code, "message": error.message, "param": error.param, "type": error.kind}
        api.change(invoice, "invoice.finalization_failed", "updated", last_finalization_error=details)


def _open(api: Api, invoice: Obj, customer: Obj) -> None:
    """Freeze the draft: totals, number, addresses, due date; the customer's balance is used."""
    retotal(api, invoice)
    sync_customer(invoice, customer)
    left = invoice["total"] + customer["balance"]
    if left >= smallest_charge(invoice["currency"]):
        balance = 0
    else:  # a credit is kept, and so is a debt too small to collect
        balance = left
        invoice.update(amount_due=0, amount_remaining=0)
    sequence = customer["next_invoice_sequence"]
    if invoice["number"] is None:
        invoice["number"] = f"{customer['invoice_prefix']}-{sequence:04d}"
    if balance != customer["balance"]:
        api.change(customer, "customer.updated", "updated", balance=balance)
    customer["next_invoice_sequence"] = sequence + 1
    secret = f"{ACCOUNT_ID}/{api.world.mode}_{token(60)}"
    invoice["_page"] = f"/i/{secret}"
    days = invoice.get("_days_until_due")
    invoice.update(
        status="open",
        ending_balance=balance,
        effective_at=invoice["effective_at"] or api.now,
        due_date=invoice["due_date"] if days is None else api.now + days * DAY,
        automatically_finalizes_at=None,
        hosted_invoice_url=f"{api.service.base_url}/i/{secret}",
        invoice_pdf=f"https://pay.stripe.com/invoice/{secret}/pdf?s=ap",
    )
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": api.now}


def _watch_due_date(api: Api, invoice: Obj) -> None:
    def overdue(later: Api) -> None:
        if invoice["status"] == "open":
            later.emit("invoice.overdue", invoice)

    def due_soon(later: Api) -> None:
        if invoice["status"] == "open":
            later.emit("invoice.will_be_due", invoice)

    if invoice["due_date"] is None:
        return
    wait = max(0, invoice["due_date"] - api.now)
    api.later(wait, overdue)
    notice = api.settings.will_be_due_days * DAY
    if 0 < notice < wait:
        api.later(wait - notice, due_soon)


def send(api: Api, invoice: Obj, params: Params) -> Obj:
    del params
    if invoice["collection_method"] != "send_invoice":
        message = "You can only manually send an invoice if its collection method is 'send_invoice'."
        raise StripeError(message)
    if invoice["status"] in ("void", "uncollectible"):
        raise StripeError(f"You can't send an invoice that is {invoice['status']}.")
    customer = api.find("customer", invoice["customer"], "customer")
    email = customer["email"] if invoice["status"] == "draft" else invoice["customer_email"]
    if not email:
        message = "The customer has no email address: set one before you send the invoice."
        raise StripeError(message, param="customer")
    if invoice["status"] == "draft":
        finalize(api, invoice, {})
    return _send(api, invoice)


def _send(api: Api, invoice: Obj) -> Obj:
    return api.change(invoice, "invoice.sent", "sent")


def pay(api: Api, invoice: Obj, params: Params) -> Obj:
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid")
    if invoice["status"] == "draft":
        finalize(api, invoice, {})
    if invoice["status"] == "void":
        raise StripeError("Invoices that are void cannot be paid.")
    if params.get("paid_out_of_band"):
        return settle(api, invoice, off_stripe=True)
    if invoice["status"] == "paid":
        return invoice
    return pay_with(api, invoice, params.get("payment_method"))


def void(api: Api, invoice: Obj, params: Params) -> Obj:
    del params
    if invoice["status"] not in ("open", "uncollectible"):
        message = f"You can only void open or uncollectible invoices; this invoice is {invoice['status']}."
        raise StripeError(message)
    _cancel_payment(api, invoice)
    transitions = {**invoice["status_transitions"], "voided_at": api.now}
    return api.change(
        invoice,
        "invoice.voided",
        "voided",
        status="void",
        status_transitions=transitions,
        amount_remaining=0,
        next_payment_attempt=None,
        auto_advance=False,
    )


def mark_uncollectible(api: Api, invoice: Obj, params: Params) -> Obj:
    del params
    if invoice["status"] != "open":
        message = f"You can only mark open invoices as uncollectible; this invoice is {invoice['status']}."
        raise StripeError(message)
    transitions = {**invoice["status_transitions"], "marked_uncollectible_at": api.now}
    return api.change(
        invoice,
        "invoice.marked_uncollectible",
        "marked_uncollectible",
        status="uncollectible",
        status_transitions=transitions,
        next_payment_attempt=None,
    )


def _cancel_payment(api: Api, invoice: Obj) -> None:
    intent = api.world.get("payment_intent", invoice.get("_payment_intent") or "")
    if intent is not None and intent["status"] not in ("succeeded", "canceled"):
        api.change(
            intent,
            "payment_intent.canceled",
            "canceled",
            status="canceled",
            canceled_at=api.now,
            cancellation_reason="void_invoice",
        )
