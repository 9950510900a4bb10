"""Payment intents, charges and invoice payments."""

from __future__ import annotations

from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata, merged
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    boolean,
    choice,
    created_range,
    currency,
    email,
    hash_of,
    integer,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.payment_methods import resolve
from emulators.stripe.payments import charge, new_intent

INTENTS, CHARGES, INVOICE_PAYMENTS = "payment_intents", "charges", "invoice_payments"
INTENT_CREATE: dict[str, Spec] = {
    "amount": required(integer(1)),
    "currency": required(currency()),
    "confirm": boolean(),
    "customer": text(),
    "description": text(1000),
    "metadata": metadata(),
    "off_session": boolean(),
    "payment_method": text(),
    "receipt_email": email(),
}


def make_intent(api: Api, params: Params) -> Obj:
    confirm, method_name = params.pop("confirm", False), params.pop("payment_method", None)
    params.pop("off_session", None)
    if "customer" in params:
        api.find("customer", params["customer"], "customer")
    method = resolve(api, method_name, "payment_method") if method_name else None
    intent = new_intent(api)
    intent.update({**params, "metadata": merge_metadata({}, params.get("metadata"))})
    if method is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation")
    api.store(intent, "payment_intent.created")
    return confirm_intent(api, intent, {}) if confirm else intent


def confirm_intent(api: Api, intent: Obj, params: Params) -> Obj:
    if intent["status"] not in ("requires_payment_method", "requires_confirmation"):
        message = f"This PaymentIntent could not be confirmed because it has a status of {intent['status']}."
        raise StripeError(message, code="payment_intent_unexpected_state")
    name = params.get("payment_method") or intent["payment_method"]
    if name is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise StripeError(message, code="payment_intent_unexpected_state")
    error = charge(api, intent, resolve(api, name, "payment_method"))
    if error is not None and intent["status"] != "requires_action":
        raise error
    return intent


def cancel_intent(api: Api, intent: Obj, params: Params) -> Obj:
    if intent["status"] in ("succeeded", "canceled") or intent.get("_invoice"):
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise StripeError(message, code="payment_intent_unexpected_state")
    reason = params.get("cancellation_reason")
    return api.change(
        intent,
        "payment_intent.canceled",
        "canceled",
        status="canceled",
        canceled_at=api.now,
        cancellation_reason=reason,
    )


def change_intent(api: Api, intent: Obj, params: Params) -> Obj:
    return api.change(
        intent, None, "updated", **merged(intent, params)
    )  # Stripe has no payment_intent.updated


def refunds_of(world: Any, made: Obj) -> Obj:
    found = [world.render(each) for each in world.all("refund") if each["charge"] == made["id"]]
    url = f"/v1/charges/{made['id']}/refunds"
    return {"object": "list", "data": found[:10], "has_more": len(found) > 10, "url": url}


PAYMENT_INTENT = Resource(
    name="payment_intent",
    path=INTENTS,
    prefix="pi_",
    fields={
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": None,
        "confirmation_method": "automatic",
        "currency": "usd",
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    },
    expandable={"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
    searchable=frozenset({"amount", "created", "currency", "customer", "metadata", "status"}),
    operations=(
        crud.create(INTENTS, "payment_intent", make_intent, INTENT_CREATE, "payment_intent_create"),
        crud.retrieve(INTENTS, "payment_intent", "payment_intent", "payment_intent_retrieve"),
        crud.update(
            INTENTS,
            "payment_intent",
            "payment_intent",
            {"description": text(1000), "metadata": metadata()},
            "payment_intent_update",
            change_intent,
        ),
        crud.searching(INTENTS, "payment_intent", "payment_intent", "payment_intent_search"),
        crud.listing(
            INTENTS,
            "payment_intent",
            "payment_intent",
            "payment_intent_list",
            {**crud.CREATED, "customer": text()},
        ),
        crud.action(
            INTENTS,
            "confirm",
            "payment_intent",
            "payment_intent",
            confirm_intent,
            {"payment_method": text(), "off_session": boolean()},
            "payment_intent_confirm",
        ),
        crud.action(
            INTENTS,
            "cancel",
            "payment_intent",
            "payment_intent",
            cancel_intent,
            {"cancellation_reason": choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")},
            "payment_intent_cancel",
        ),
    ),
)

CHARGE = Resource(
    name="charge",
    path=CHARGES,
    prefix="ch_",
    fields={
        "amount": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {},
        "calculated_statement_descriptor": None,
        "captured": False,
        "currency": "usd",
        "customer": None,
        "description": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "metadata": {},
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": None,
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    },
    expandable={"customer": "customer", "payment_intent": "payment_intent"},
    includable={"refunds": refunds_of},
    holds={"refunds.data": "refund"},
    searchable=frozenset({"amount", "created", "currency", "customer", "metadata", "status"}),
    operations=(
        crud.retrieve(CHARGES, "charge", "charge", "charge_retrieve"),
        crud.update(
            CHARGES,
            "charge",
            "charge",
            {"description": unsettable(text()), "metadata": metadata()},
            "charge_update",
        ),
        crud.searching(CHARGES, "charge", "charge", "charge_search"),
        crud.listing(
            CHARGES,
            "charge",
            "charge",
            "charge_list",
            {"created": created_range(), "customer": text(), "payment_intent": text()},
        ),
    ),
)

INVOICE_PAYMENT = Resource(
    name="invoice_payment",
    path=INVOICE_PAYMENTS,
    prefix="inpay_",
    noun="invoice payment",
    fields={
        "amount_paid": None,
        "amount_requested": 0,
        "currency": "usd",
        "invoice": "",
        "is_default": True,
        "payment": {},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    },
    expandable={
        "invoice": "invoice",
        "payment.payment_intent": "payment_intent",
        "payment.charge": "charge",
    },
    operations=(
        crud.retrieve(INVOICE_PAYMENTS, "invoice", "invoice_payment", "invoice_payment_retrieve"),
        crud.listing(
            INVOICE_PAYMENTS,
            "invoice",
            "invoice_payment",
            "invoice_payment_list",
            {
                "created": created_range(),
                "invoice": text(),
                "payment": hash_of(
                    payment_intent=text(), type=required(choice("payment_intent", "payment_record"))
                ),
                "status": choice("open", "paid", "canceled"),
            },
            {
                "payment": lambda obj, value: all(
                    obj["payment"].get(name) == each for name, each in value.items()
                )
            },
        ),
    ),
)
