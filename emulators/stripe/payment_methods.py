"""Payment methods: cards, with Stripe's test cards and tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.customers import ADDRESS
from emulators.stripe.errors import StripeError, card_declined, missing_parameter
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    choice,
    hash_of,
    integer,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.world import token

PATH, KIND = "payment_methods", "payment_method"
# docs.stripe.com/testing: what happens when the card is charged (None: it succeeds).
NUMBERS: dict[str, str | None] = {
    "4242424242424242": None,
    "5555555555554444": None,
    "4000000000000341": "generic_decline",  # attaches, then fails
    "4000000000009995": "insufficient_funds",
    "4000000000000002": "generic_decline",
    "4000000000009987": "lost_card",
    "4000000000000259": None,  # disputed as fraudulent once it was charged
    "4000000000005126": None,  # its refunds fail
    "4000000000007726": None,  # its refunds take their time
    "4000002760003184": None,  # its bank asks the customer each time
}
DISPUTED, REFUND_FAILS, REFUND_PENDS = "4000000000000259", "4000000000005126", "4000000000007726"
ASKS = "4000002760003184"
TOKENS: dict[str, str] = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_authenticationRequired": ASKS,
    "pm_card_createDispute": DISPUTED,
    "pm_card_refundFail": REFUND_FAILS,
    "pm_card_pendingRefund": REFUND_PENDS,
}
REFUSED_AT_ATTACH = frozenset({"4000000000000002", "4000000000009995", "4000000000009987"})
BILLING = hash_of(
    address=ADDRESS, email=unsettable(text()), name=unsettable(text()), phone=unsettable(text())
)
WRITE: dict[str, Spec] = {"billing_details": BILLING, "metadata": metadata()}


def _card(number: str, month: int, year: int) -> dict[str, Any]:
    brand = "mastercard" if number.startswith("5") else "visa"
    return {
        "brand": brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": token(16),
        "funding": "credit",
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def make(api: Api, params: Params) -> Obj:
    card = params.pop("card", None)
    if card is None:
        raise missing_parameter("card")
    number = card["number"].replace(" ", "")
    if number not in NUMBERS:
        raise StripeError(
            "Your card number is incorrect.",
            code="incorrect_number",
            param="card[number]",
            status=402,
            kind="card_error",
        )
    return api.store(_blank(api, number, card["exp_month"], card["exp_year"], params))


def _blank(api: Api, number: str, month: int, year: int, params: Params) -> Obj:
    method = api.blank(KIND, card=_card(number, month, year), _number=number)
    method.update(merged(method, {name: value for name, value in params.items() if name != "type"}))
    return method


def of_token(api: Api, name: str) -> Obj | None:
    """A fresh payment method for one of Stripe's test tokens (pm_card_visa …)."""
    if name not in TOKENS:
        return None
    return api.store(_blank(api, TOKENS[name], 12, 2040, {}))


def resolve(api: Api, name: str, param: str) -> Obj:
    """The payment method of an id or a test token; raises StripeError `resource_missing`."""
    return of_token(api, name) or api.find(KIND, name, param)


def decline_of(method: Obj, now: int) -> str | None:
    """The decline code that charging it gives at `now`, or None."""
    card, today = method["card"], datetime.fromtimestamp(now, UTC)
    if (card["exp_year"], card["exp_month"]) < (today.year, today.month):
        return "expired_card"
    return NUMBERS[method["_number"]]


def change(api: Api, method: Obj, params: Params) -> Obj:
    card = params.pop("card", None)
    values = merged(method, params)
    if card is not None:
        values["card"] = {**method["card"], **card}
    return api.change(method, "payment_method.updated", "updated", **values)


def renew_card(api: Api, method: Obj, month: int, year: int, last4: str | None = None) -> Obj:
    """The card network tells of a new card, as it does when one expires or is replaced."""
    card = {**method["card"], "exp_month": month, "exp_year": year}
    card["last4"] = last4 or card["last4"]
    return api.change(method, "payment_method.automatically_updated", "updated", card=card)


def attach(api: Api, ids: list[str], params: Params) -> Obj:
    api.find("customer", params["customer"], "customer")
    method = of_token(api, ids[0]) or api.find_alive(KIND, ids[0])
    return attach_to(api, method, params["customer"])


def attach_to(api: Api, method: Obj, customer_id: str) -> Obj:
    if method["customer"] not in (None, customer_id):
        message = "The payment method you provided has already been attached to a customer."
        raise StripeError(message, code="payment_method_unexpected_state")
    if method["_number"] in REFUSED_AT_ATTACH:
        raise card_declined(NUMBERS[method["_number"]] or "generic_decline")
    return api.change(method, "payment_method.attached", "attached", customer=customer_id)


def detach(api: Api, method: Obj, params: Params) -> Obj:
    del params
    if method["customer"] is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise StripeError(message)
    return api.change(method, "payment_method.detached", "detached", customer=None)


CARD = hash_of(
    number=required(text()),
    exp_month=required(integer(1, 12)),
    exp_year=required(integer(2000)),
    cvc=text(),
)
EXPIRY = hash_of(exp_month=integer(1, 12), exp_year=integer(2000))
PAYMENT_METHOD = Resource(
    name=KIND,
    path=PATH,
    prefix="pm_",
    noun="PaymentMethod",
    fields={
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "card": None,
        "customer": None,
        "metadata": {},
        "type": "card",
    },
    expandable={"customer": "customer"},
    operations=(
        crud.create(
            PATH,
            KIND,
            make,
            {**WRITE, "type": required(choice("card")), "card": CARD},
            "payment_method_create",
        ),
        crud.retrieve(PATH, KIND, KIND, "payment_method_retrieve"),
        crud.update(PATH, KIND, KIND, {**WRITE, "card": EXPIRY}, "payment_method_update", change),
        crud.listing(PATH, KIND, KIND, "payment_method_list", {"customer": text(), "type": choice("card")}),
        crud.raw_action(
            PATH, "attach", KIND, attach, {"customer": required(text())}, "payment_method_attach"
        ),
        crud.action(PATH, "detach", KIND, KIND, detach, {}, "payment_method_detach"),
    ),
)
