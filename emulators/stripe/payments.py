"""How invoices are paid: intents, charges and attempts."""

from __future__ import annotations

from emulators.stripe.api import Api
from emulators.stripe.errors import StripeError, card_declined
from emulators.stripe.model import Obj
from emulators.stripe.payment_methods import decline_of, resolve
from emulators.stripe.subscription_states import after_failure, after_paid
from emulators.stripe.world import token


def prepare_payment(api: Api, invoice: Obj) -> None:
    """The payment intent of a finalized invoice, and its place in `payments`."""
    intent = new_intent(
        api,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description=f"Payment for Invoice {invoice['number']}",
    )
    intent["_invoice"] = invoice["id"]
    api.store(intent, "payment_intent.created")
    invoice["_payment_intent"] = intent["id"]
    api.store(_invoice_payment(api, invoice, {"type": "payment_intent", "payment_intent": intent["id"]}))


def new_intent(api: Api, **values: object) -> Obj:
    intent = api.blank("payment_intent", **values)
    intent["client_secret"] = f"{intent['id']}_secret_{token(25)}"
    return intent


def _invoice_payment(api: Api, invoice: Obj, payment: Obj) -> Obj:
    return api.blank(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment=payment,
    )


def default_method(api: Api, invoice: Obj) -> str | None:
    """What an automatic attempt charges: the invoice's, the subscription's or the customer's default."""
    details = (invoice["parent"] or {}).get("subscription_details")
    subscription = api.world.get("subscription", details["subscription"]) if details else None
    customer = api.world.get("customer", invoice["customer"])
    candidates = (
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        customer["invoice_settings"]["default_payment_method"] if customer else None,
    )
    return next((each for each in candidates if each), None)


def collect(api: Api, invoice: Obj) -> None:
    """One automatic attempt; without a payment method the invoice stays open. Failures are retried."""
    method_id = default_method(api, invoice)
    method = api.world.get("payment_method", method_id) if method_id else None
    if method is None:
        return
    intent = api.world.tables["payment_intent"][invoice["_payment_intent"]]
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    error = charge(api, intent, method)
    if error is None:
        settle(api, invoice)
    else:
        _failed(api, invoice, automatic=True)


def pay_with(api: Api, invoice: Obj, method_name: str | None) -> Obj:
    """One attempt asked for; raises StripeError 402 when the card is declined (state and events stand)."""
    name = method_name or default_method(api, invoice)
    if name is None:
        message = (
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
            "`default_payment_method`."
        )
        raise StripeError(message)
    method = resolve(api, name, "payment_method")
    if invoice.get("_payment_intent") is None:
        prepare_payment(api, invoice)
    intent = api.world.tables["payment_intent"][invoice["_payment_intent"]]
    if not invoice["attempted"]:
        invoice["attempt_count"] += 1
    invoice["attempted"] = True
    error = charge(api, intent, method)
    if error is not None:
        _failed(api, invoice, automatic=False)
        raise error
    return settle(api, invoice)


def charge(api: Api, intent: Obj, method: Obj) -> StripeError | None:
    """Charge an intent; returns the card error of a decline."""
    decline = decline_of(method)
    made = api.blank(
        "charge",
        amount=intent["amount"],
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        billing_details=method["billing_details"],
        payment_method_details={"card": _card_details(method["card"]), "type": "card"},
        metadata=dict(intent["metadata"]),
    )
    shared = {"latest_charge": made["id"], "payment_method": method["id"]}
    if decline is None:
        made.update(status="succeeded", paid=True, captured=True, amount_captured=intent["amount"])
        made["receipt_url"] = f"https://pay.stripe.com/receipts/payment/{token(40)}"
        api.store(made, "charge.succeeded")
        api.change(
            intent,
            "payment_intent.succeeded",
            "succeeded",
            **shared,
            status="succeeded",
            amount_received=intent["amount"],
            last_payment_error=None,
        )
        return None
    code = "card_declined"
    made.update(status="failed", failure_code=code, failure_message="Your card was declined.")
    api.store(made, "charge.failed")
    error = card_declined(decline, charge=made["id"])
    details = {
        "charge": made["id"],
        "code": code,
        "decline_code": decline,
        "doc_url": "https://docs.stripe.com/error-codes/card-declined",
        "message": error.message,
        "type": "card_error",
    }
    shared["payment_method"] = None  # a declined intent wants another method
    api.change(
        intent,
        "payment_intent.payment_failed",
        "failed",
        **shared,
        status="requires_payment_method",
        last_payment_error=details,
    )
    return error


def _card_details(card: Obj) -> Obj:
    kept = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: card[name] for name in kept}


def _failed(api: Api, invoice: Obj, *, automatic: bool) -> None:
    steps = api.settings.payment_retry_seconds
    attempt = invoice["attempt_count"]
    following: int | None = invoice["next_payment_attempt"]
    if automatic:
        can_retry = invoice["auto_advance"] and attempt <= len(steps)
        following = api.now + steps[attempt - 1] if can_retry else None
        if following is not None:
            api.later(following - api.now, lambda later: _retry(later, invoice, following))
    api.change(invoice, "invoice.payment_failed", "payment_failed", next_payment_attempt=following)
    after_failure(api, invoice)


def _retry(api: Api, invoice: Obj, planned: int | None) -> None:
    if invoice["status"] == "open" and invoice["next_payment_attempt"] == planned:
        collect(api, invoice)


def settle(api: Api, invoice: Obj, *, off_stripe: bool = False) -> Obj:
    """Mark an invoice paid in full."""
    intent = api.world.get("payment_intent", invoice.get("_payment_intent") or "")
    due = invoice["amount_due"]
    if off_stripe and intent is not None and intent["status"] != "canceled":
        api.change(intent, "payment_intent.canceled", "canceled", status="canceled", canceled_at=api.now)
    for payment in api.world.tables["invoice_payment"].values():
        if payment["invoice"] == invoice["id"] and payment["status"] == "open":
            _close_payment(api, payment, off_stripe=off_stripe)
    if off_stripe and due:
        record = _invoice_payment(
            api, invoice, {"type": "payment_record", "payment_record": "pmtr_" + token(24)}
        )
        api.store(record)
        _close_payment(api, record, off_stripe=False)
    api.change(
        invoice,
        "invoice.paid",
        "paid",
        status="paid",
        amount_paid=due,
        amount_paid_off_stripe=due if off_stripe else 0,
        amount_remaining=0,
        attempted=invoice["attempted"] or not off_stripe,
        next_payment_attempt=None,
        auto_advance=False,
        status_transitions={**invoice["status_transitions"], "paid_at": api.now},
    )
    if not off_stripe:
        api.emit("invoice.payment_succeeded", invoice)
    after_paid(api, invoice)
    return invoice


def _close_payment(api: Api, payment: Obj, *, off_stripe: bool) -> None:
    if off_stripe:
        times = {**payment["status_transitions"], "canceled_at": api.now}
        api.change(payment, None, "canceled", status="canceled", status_transitions=times)
        return
    times = {**payment["status_transitions"], "paid_at": api.now}
    api.change(
        payment,
        "invoice_payment.paid",
        "paid",
        status="paid",
        amount_paid=payment["amount_requested"],
        status_transitions=times,
    )
