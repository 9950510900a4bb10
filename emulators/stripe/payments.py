"""How invoices are paid: intents, charges and attempts."""

from __future__ import annotations

from emulators.stripe.api import Api
from emulators.stripe.errors import StripeError, card_declined
from emulators.stripe.model import Obj
from emulators.stripe.payment_methods import ASKS, DISPUTED, decline_of, resolve
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
    payment = {"type": "payment_intent", "payment_intent": intent["id"]}
    api.store(invoice_payment(api, invoice, payment, invoice["amount_due"]))


def new_intent(api: Api, **values: object) -> Obj:
    intent = api.blank("payment_intent", **values)
    intent["client_secret"] = f"{intent['id']}_secret_{token(25)}"
    return intent


def invoice_payment(api: Api, invoice: Obj, payment: Obj, amount: int, *, is_default: bool = True) -> Obj:
    """An entry of the invoice's `payments`, open and not stored."""
    return api.blank(
        "invoice_payment",
        amount_requested=amount,
        is_default=is_default,
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
        _failed(api, invoice, error, automatic=True)


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
        _failed(api, invoice, error, automatic=False)
        raise error
    return settle(api, invoice)


def charge(api: Api, intent: Obj, method: Obj, *, asked: bool = False) -> StripeError | None:
    """Charge an intent; returns the card error of a decline, or of a bank that asks the customer first."""
    if method["_number"] == ASKS and not asked:
        return _bank_asks(api, intent, method)
    decline = decline_of(method, api.now)
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
        outcome=_outcome(decline),
        receipt_email=intent["receipt_email"],
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
        _afterwards(api, intent, made, method)
        return None
    error = card_declined(decline, charge=made["id"])
    code = error.code
    made.update(status="failed", failure_code=code, failure_message=error.message)
    api.store(made, "charge.failed")
    details = {
        "charge": made["id"],
        "code": code,
        "decline_code": decline,
        "doc_url": f"https://docs.stripe.com/error-codes/{str(code).replace('_', '-')}",
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


def _outcome(decline: str | None) -> Obj:
    plain = {"advice_code": None, "network_advice_code": None, "network_decline_code": None}
    if decline is None:
        said = {"network_status": "approved_by_network", "reason": None, "type": "authorized"}
        return {**plain, **said, "risk_level": "normal", "seller_message": "Payment complete."}
    said = {"network_status": "declined_by_network", "reason": decline, "type": "issuer_declined"}
    message = "The bank did not return any further details with this decline."
    return {**plain, **said, "risk_level": "normal", "seller_message": message}


def _afterwards(api: Api, intent: Obj, made: Obj, method: Obj) -> None:
    """What a success brings about: the invoice that it was attached to, and what some test cards do."""
    from emulators.stripe.allocations import attached_paid
    from emulators.stripe.disputes import open_dispute

    if method["_number"] == DISPUTED:
        open_dispute(api, made)
    if "_attached" in intent:
        attached_paid(api, intent)


def _bank_asks(api: Api, intent: Obj, method: Obj) -> StripeError:
    api.change(
        intent,
        "payment_intent.requires_action",
        "asked",
        status="requires_action",
        payment_method=method["id"],
        next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {}},
    )
    message = "This payment requires additional user action before it can be completed successfully."
    code = "invoice_payment_intent_requires_action"
    return StripeError(message, code=code, status=402, kind="card_error")


def authenticate(api: Api, intent: Obj, *, ok: bool) -> Obj:
    """What the customer told the bank: the payment goes on, or fails; raises StripeError unless it was asked."""
    if intent["status"] != "requires_action":
        raise StripeError(f"{intent['id']} is {intent['status']}: nobody was asked.")
    invoice = api.world.get("invoice", intent.get("_invoice") or "")
    method = api.world.tables["payment_method"][intent["payment_method"]]
    intent["next_action"] = None
    if ok:
        charge(api, intent, method, asked=True)
        if invoice is not None:
            settle(api, invoice)
        return intent
    details = {
        "code": "payment_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication.",
        "type": "card_error",
    }
    status = "requires_payment_method"
    failed = "payment_intent.payment_failed"
    api.change(intent, failed, "failed", status=status, payment_method=None, last_payment_error=details)
    if invoice is not None:
        api.change(invoice, "invoice.payment_failed", "payment_failed")
        after_failure(api, invoice, last=False)
    return intent


def _card_details(card: Obj) -> Obj:
    kept = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: card[name] for name in kept}


def _failed(api: Api, invoice: Obj, error: StripeError, *, automatic: bool) -> None:
    if error.code == "invoice_payment_intent_requires_action":
        api.emit("invoice.payment_action_required", invoice)
    steps = api.settings.payment_retry_seconds
    attempt = invoice["attempt_count"]
    following: int | None = invoice["next_payment_attempt"]
    if automatic:
        can_retry = invoice["auto_advance"] and attempt <= len(steps)
        following = api.now + steps[attempt - 1] if can_retry else None
        if following is not None:
            api.later(following - api.now, lambda later: _retry(later, invoice, following))
    api.change(invoice, "invoice.payment_failed", "payment_failed", next_payment_attempt=following)
    after_failure(api, invoice, last=automatic and following is None)


def _retry(api: Api, invoice: Obj, planned: int | None) -> None:
    if invoice["status"] == "open" and invoice["next_payment_attempt"] == planned:
        collect(api, invoice)


def settle(api: Api, invoice: Obj, *, off_stripe: bool = False, own: bool = True) -> Obj:
    """Mark an invoice paid in full: by its own payment, past Stripe, or (not `own`) by payments counted before."""
    intent = api.world.get("payment_intent", invoice.get("_payment_intent") or "")
    left = invoice["amount_remaining"]
    by_others = off_stripe or not own
    if by_others and intent is not None and intent["status"] not in ("canceled", "succeeded"):
        api.change(intent, "payment_intent.canceled", "canceled", status="canceled", canceled_at=api.now)
    for payment in api.world.tables["invoice_payment"].values():
        if payment["invoice"] == invoice["id"] and payment["status"] == "open":
            close_payment(api, payment, canceled=by_others)
    if off_stripe and left:
        payment = {"type": "payment_record", "payment_record": "pmtr_" + token(24)}
        record = api.store(invoice_payment(api, invoice, payment, left))
        close_payment(api, record, canceled=False)
    api.change(
        invoice,
        "invoice.paid",
        "paid",
        status="paid",
        amount_paid=invoice["amount_paid"] + left,
        amount_paid_off_stripe=invoice["amount_paid_off_stripe"] + (left if off_stripe else 0),
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


def close_payment(api: Api, payment: Obj, *, canceled: bool) -> None:
    """Paid in full, or canceled because the invoice was paid otherwise."""
    if canceled:
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
