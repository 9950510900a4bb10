"""Payments that an invoice did not ask for itself: parts of it, more than it, and money that came past Stripe."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    choice,
    currency,
    hash_of,
    integer,
    metadata,
    required,
    text,
    timestamp,
)
from emulators.stripe.payments import close_payment, invoice_payment, settle

RECORDS = "payment_records"


def attach_payment(api: Api, invoice: Obj, params: Params) -> Obj:
    """`invoices.attach_payment`: what has been paid counts at once, a payment under way when it succeeds."""
    if invoice["status"] not in ("open", "uncollectible"):
        message = f"You can only attach payments to open invoices; this invoice is {invoice['status']}."
        raise StripeError(message, param="invoice")
    name = next((each for each in ("payment_intent", "payment_record") if each in params), None)
    if name is None:
        raise missing_parameter("payment_intent")
    payment = api.find(name, params[name], name)
    of_record = name == "payment_record"
    code = payment["amount_requested"]["currency"] if of_record else payment["currency"]
    if code != invoice["currency"]:
        raise StripeError(f"The payment's currency {code} differs from the invoice's.", param=name)
    if any(each["payment"].get(name) == payment["id"] for each in api.world.all("invoice_payment")):
        raise StripeError("The payment is attached to an invoice already.", param=name)
    amount = payment["amount_guaranteed"]["value"] if of_record else payment["amount"]
    entry = invoice_payment(api, invoice, {"type": name, name: payment["id"]}, amount, is_default=False)
    api.store(entry)
    if of_record or payment["status"] == "succeeded":
        allocate(api, invoice, entry, off_stripe=of_record)
    else:
        payment["_attached"] = entry["id"]
    return invoice


def allocate(api: Api, invoice: Obj, entry: Obj, *, off_stripe: bool = False) -> None:
    """Count a payment towards its invoice; the rest lowers what the invoice's own payment asks for."""
    received = entry["amount_requested"]
    over = max(0, received - invoice["amount_remaining"])
    left = invoice["amount_remaining"] - (received - over)
    close_payment(api, entry, canceled=False)
    values = {
        "amount_paid": invoice["amount_paid"] + received,
        "amount_paid_off_stripe": invoice["amount_paid_off_stripe"] + (received if off_stripe else 0),
        "amount_remaining": left,
    }
    if left:
        api.change(invoice, "invoice.updated", "updated", **values)
        _ask_less(api, invoice, left)
        return
    invoice.update(values)
    settle(api, invoice, own=False)
    if over:
        customer = api.find("customer", invoice["customer"], "customer")
        api.change(customer, "customer.updated", "updated", balance=customer["balance"] - over)
        api.change(invoice, "invoice.overpaid", "updated", amount_overpaid=over)


def _ask_less(api: Api, invoice: Obj, left: int) -> None:
    intent = api.world.get("payment_intent", invoice.get("_payment_intent") or "")
    if intent is None or intent["status"] in ("succeeded", "canceled"):
        return
    intent["amount"] = left
    for entry in api.world.all("invoice_payment"):
        if entry["payment"].get("payment_intent") == intent["id"]:
            entry["amount_requested"] = left


def attached_paid(api: Api, intent: Obj) -> None:
    """A payment intent succeeded: if it was attached to an invoice, it counts now."""
    entry = api.world.get("invoice_payment", intent.pop("_attached", ""))
    if entry is not None:
        allocate(api, api.world.tables["invoice"][entry["invoice"]], entry)


def report_payment(api: Api, params: Params) -> Obj:
    asked = params["amount_requested"]
    money = {"currency": asked["currency"], "value": asked["value"]}
    nothing = {"currency": asked["currency"], "value": 0}
    outcome = params.get("outcome", "guaranteed")
    record = api.blank(
        "payment_record",
        amount=money,
        amount_requested=money,
        customer_details={
            **dict.fromkeys(("customer", "email", "name", "phone")),
            **params.get("customer_details", {}),
        },
        description=params.get("description"),
        metadata=merge_metadata({}, params.get("metadata")),
        payment_method_details=_method(params["payment_method_details"]),
        processor_details=params.get("processor_details", {"type": "custom", "custom": None}),
    )
    for name in ("authorized", "canceled", "failed", "guaranteed", "refunded"):
        record[f"amount_{name}"] = money if name == outcome else nothing
    return api.store(record)


def _method(details: Obj) -> Obj:
    custom = {"display_name": "Bank transfer", "type": None, **details.get("custom", {})}
    return {"type": "custom", "billing_details": None, "payment_method": None, "custom": custom}


PAYMENT_RECORD = Resource(
    name="payment_record",
    path=RECORDS,
    prefix="pr_",
    noun="payment record",
    fields={
        "amount": {},
        "amount_authorized": {},
        "amount_canceled": {},
        "amount_failed": {},
        "amount_guaranteed": {},
        "amount_refunded": {},
        "amount_requested": {},
        "application": None,
        "customer_details": None,
        "customer_presence": None,
        "description": None,
        "latest_payment_attempt_record": None,
        "metadata": {},
        "payment_method_details": None,
        "processor_details": {},
        "reported_by": "self",
        "shipping_details": None,
    },
    operations=(
        crud.retrieve(RECORDS, "payment_record", "payment_record", "payment_record_retrieve"),
        crud.create(
            f"{RECORDS}/report_payment",
            "payment_record",
            report_payment,
            {
                "amount_requested": required(
                    hash_of(currency=required(currency()), value=required(integer(1)))
                ),
                "customer_details": hash_of(customer=text(), email=text(), name=text(), phone=text()),
                "description": text(),
                "guaranteed": hash_of(guaranteed_at=required(timestamp())),
                "initiated_at": required(timestamp()),
                "metadata": metadata(),
                "outcome": choice("canceled", "failed", "guaranteed"),
                "payment_method_details": required(
                    hash_of(type=choice("custom"), custom=hash_of(display_name=text(), type=text()))
                ),
                "processor_details": hash_of(
                    type=required(choice("custom")), custom=hash_of(payment_reference=required(text()))
                ),
            },
            "payment_record_report_payment",
        ),
    ),
)
