"""Disputes: opened by a test card or by the control API, answered with evidence, closed by the bank."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import boolean, created_range, hash_of, metadata, text

PATH, KIND = "disputes", "dispute"
DUE_SECONDS = 9 * 86400
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
# What is sent as evidence decides a test dispute (docs.stripe.com/testing, under evidence).
DECIDING = {"winning_evidence": "won", "losing_evidence": "lost"}
FILES = ("cancellation_policy", "customer_communication", "customer_signature", "receipt", "refund_policy")
TEXTS = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
)
MORE_FILES = (
    "duplicate_charge_documentation",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)


def open_dispute(api: Api, charge: Obj, amount: int | None = None, reason: str = "fraudulent") -> Obj:
    """The bank takes the money back; raises StripeError for a charge that cannot be disputed."""
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise StripeError(f"Charge {charge['id']} has not succeeded, or is disputed already.")
    card = (charge["payment_method_details"] or {}).get("card") or {}
    dispute = api.blank(
        KIND,
        amount=charge["amount"] if amount is None else amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        reason=reason,
    )
    dispute["evidence_details"]["due_by"] = api.now + DUE_SECONDS
    dispute["payment_method_details"]["card"]["brand"] = card.get("brand", "visa")
    charge["disputed"] = True
    api.store(dispute, "charge.dispute.created")
    api.change(dispute, "charge.dispute.funds_withdrawn", "updated", is_charge_refundable=False)
    return dispute


def decide(api: Api, dispute: Obj, status: str) -> Obj:
    """`won` or `lost` closes it (won: the money comes back); another status is an update."""
    if status not in ("won", "lost"):
        return api.change(dispute, "charge.dispute.updated", "updated", status=status)
    if dispute["status"] not in OPEN:
        raise StripeError(f"Dispute {dispute['id']} is closed already.")
    api.change(dispute, "charge.dispute.closed", "closed", status=status)
    if status == "won":
        api.change(dispute, "charge.dispute.funds_reinstated", "updated")
    return dispute


def change(api: Api, dispute: Obj, params: Params) -> Obj:
    submit = params.pop("submit", True)
    given = params.pop("evidence", None)
    if given is not None and dispute["status"] not in OPEN:
        raise StripeError("This dispute is already closed.", param="evidence")
    values = merged(dispute, params)
    if given is not None:
        values["evidence"] = {**dispute["evidence"], **given}
        details = dispute["evidence_details"]
        count = details["submission_count"] + bool(submit)
        method = "manual" if count else "not_submitted"
        sent = {"has_evidence": True, "submission_count": count, "submission_method": method}
        values["evidence_details"] = {**details, **sent}
    if given is not None and submit:
        values["status"] = "under_review"
    api.change(dispute, "charge.dispute.updated", "updated", **values)
    verdict = DECIDING.get((given or {}).get("uncategorized_text", ""))
    if submit and verdict:
        decide(api, dispute, verdict)
    return dispute


def close(api: Api, dispute: Obj, params: Params) -> Obj:
    """Accept it: the money is lost."""
    del params
    return decide(api, dispute, "lost")


DISPUTE = Resource(
    name=KIND,
    path=PATH,
    prefix="du_",
    fields={
        "amount": 0,
        "balance_transactions": [],
        "charge": "",
        "currency": "usd",
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys((*FILES, *TEXTS, *MORE_FILES)), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": True,
        "metadata": {},
        "payment_intent": None,
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "needs_response",
    },
    expandable={"charge": "charge", "payment_intent": "payment_intent"},
    operations=(
        crud.retrieve(PATH, KIND, KIND, "dispute_retrieve"),
        crud.update(
            PATH,
            KIND,
            KIND,
            {
                "evidence": hash_of(**{name: text() for name in TEXTS}),
                "metadata": metadata(),
                "submit": boolean(),
            },
            "dispute_update",
            change,
        ),
        crud.action(PATH, "close", KIND, KIND, close, {}, "dispute_close"),
        crud.listing(
            PATH,
            KIND,
            KIND,
            "dispute_list",
            {"charge": text(), "created": created_range(), "payment_intent": text()},
        ),
    ),
)
