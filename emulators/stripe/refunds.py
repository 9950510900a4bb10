"""Refunds."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.errors import StripeError, missing_parameter, only_one_of
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    choice,
    created_range,
    integer,
    metadata,
    text,
)
from emulators.stripe.payment_methods import REFUND_FAILS, REFUND_PENDS

REFUNDS = "refunds"
SETTLES_SECONDS = 3600  # what the test cards do "asynchronously": docs.stripe.com/testing#refunds
REASONS = choice("duplicate", "fraudulent", "requested_by_customer")


def make_refund(api: Api, params: Params) -> Obj:
    charge = _charge_of(api, params)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise StripeError(f"Charge {charge['id']} has not succeeded and cannot be refunded.", param="charge")
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise StripeError(message, code="charge_already_refunded")
    amount = params.get("amount", left)
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise StripeError(message, param="amount")
    refund = api.blank(
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=params.get("reason"),
        metadata=merge_metadata({}, params.get("metadata")),
    )
    method = api.world.get("payment_method", charge["payment_method"] or "") or {}
    number = method.get("_number")
    if number == REFUND_PENDS:
        refund.update(status="pending", pending_reason="processing")
    api.store(refund, "refund.created")
    refunded = charge["amount_refunded"] + amount
    api.change(
        charge,
        "charge.refunded",
        "refunded",
        amount_refunded=refunded,
        refunded=refunded == charge["amount"],
    )
    verdict = {REFUND_FAILS: "failed", REFUND_PENDS: "succeeded"}.get(number or "")

    def settle(later: Api) -> None:
        if verdict is not None and refund["status"] != verdict:
            decide(later, refund, verdict)

    if verdict is not None:
        api.later(SETTLES_SECONDS, settle)
    return refund


def decide(api: Api, refund: Obj, status: str, reason: str = "unknown") -> Obj:
    """What became of it: `succeeded`, or `failed` (the money is back with the account)."""
    if refund["status"] not in ("pending", "succeeded") or (refund["status"], status) == ("succeeded",) * 2:
        raise StripeError(f"Refund {refund['id']} is {refund['status']} already.")
    values: Params = {"status": status, "pending_reason": None}
    if status == "failed":
        values["failure_reason"] = reason
        charge = api.world.tables["charge"][refund["charge"]]
        charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
        api.touched(charge, "updated")
    api.change(refund, "refund.updated", status, **values)
    if status == "failed":
        api.emit("refund.failed", refund)
    api.emit("charge.refund.updated", refund)
    return refund


def _charge_of(api: Api, params: Params) -> Obj:
    if ("charge" in params) == ("payment_intent" in params):
        if "charge" not in params:
            raise missing_parameter("charge")
        raise only_one_of(["charge", "payment_intent"], "charge")
    if "charge" in params:
        return api.find("charge", params["charge"], "charge")
    intent = api.find("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise StripeError(message, code="payment_intent_unexpected_state", param="payment_intent")
    return api.find("charge", intent["latest_charge"], "payment_intent")


REFUND = Resource(
    name="refund",
    path=REFUNDS,
    prefix="re_",
    livemode=False,
    fields={
        "amount": 0,
        "balance_transaction": None,
        "charge": None,
        "currency": "usd",
        "customer": None,
        "metadata": {},
        "payment_intent": None,
        "payment_method": None,
        "pending_reason": None,
        "failure_reason": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    },
    expandable={"charge": "charge", "customer": "customer", "payment_intent": "payment_intent"},
    operations=(
        crud.create(
            REFUNDS,
            "charge",
            make_refund,
            {
                "amount": integer(1),
                "charge": text(),
                "metadata": metadata(),
                "payment_intent": text(),
                "reason": REASONS,
            },
            "refund_create",
        ),
        crud.retrieve(REFUNDS, "charge", "refund", "refund_retrieve"),
        crud.update(REFUNDS, "charge", "refund", {"metadata": metadata()}, "refund_update"),
        crud.listing(
            REFUNDS,
            "charge",
            "refund",
            "refund_list",
            {"charge": text(), "created": created_range(), "payment_intent": text()},
        ),
    ),
)
