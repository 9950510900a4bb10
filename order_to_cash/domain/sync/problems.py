"""Why an object of Stripe's is not shown in Salesforce, in words for the person who corrects it."""

from __future__ import annotations

from enum import StrEnum

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.records import Problem


class SyncReason(StrEnum):
    """The `code` of a Problem on the way from Stripe. Stable: people filter and automate by it."""

    STRIPE_OBJECT_UNREADABLE = "stripe_object_unreadable"
    TEXT_TOO_LONG = "text_too_long"
    VALUE_UNKNOWN = "value_unknown"
    CURRENCY_UNKNOWN = "currency_unknown"
    AMOUNT_NOT_EXACT = "amount_not_exact"
    CUSTOMER_AMBIGUOUS = "customer_ambiguous"
    CUSTOMER_UNKNOWN = "customer_unknown"
    CUSTOMER_EMAIL_MISSING = "customer_email_missing"
    CUSTOMER_CONTRADICTS = "customer_contradicts"


_REMEDIES = {
    SyncReason.STRIPE_OBJECT_UNREADABLE: "Look at the object in Stripe, then replay the event: o2c events replay ID.",
    SyncReason.TEXT_TOO_LONG: "Lengthen the field in Salesforce or shorten the text in Stripe, then replay the event.",
    SyncReason.VALUE_UNKNOWN: "Stripe has a value that this version does not know: update the package and o2c, "
    "then replay the event.",
    SyncReason.CURRENCY_UNKNOWN: "Update o2c: Stripe bills in a currency that this version does not know. "
    "Then replay the event.",
    SyncReason.AMOUNT_NOT_EXACT: "Correct the amount in Stripe to what the currency allows, then replay the event.",
    SyncReason.CUSTOMER_AMBIGUOUS: "Set metadata salesforce_account_id on the customer in Stripe, "
    "then replay the event.",
    SyncReason.CUSTOMER_UNKNOWN: "Create the Account, or set metadata salesforce_account_id on the customer in Stripe, "
    "then replay the event.",
    SyncReason.CUSTOMER_EMAIL_MISSING: "Fill in the customer's e-mail address or metadata salesforce_account_id in "
    "Stripe, then replay the event.",
    SyncReason.CUSTOMER_CONTRADICTS: "Correct metadata salesforce_account_id on the customer in Stripe, or "
    "Stripe_Customer_Id__c on the Account, then replay the event.",
}


def sync_problem(reason: SyncReason, message: str, *, field: str = "") -> Problem:
    """A Problem with the reason's remedy. `message` carries ids, no personal data."""
    return Problem(code=reason.value, field=field, message=message, remedy=_REMEDIES[reason])


def unreadable(object_type: str, object_id: str, why: str) -> Problem:
    """The Problem of a body that does not hold what its object has. `why`: the name of an exception."""
    about = f"{object_type or 'object'} {object_id}".strip()
    return sync_problem(
        SyncReason.STRIPE_OBJECT_UNREADABLE,
        f"What Stripe sent of {about} cannot be read ({why}).",
        field="body",
    )


def problem_of(error: RecordRejected, *, field: str = "") -> Problem:
    """What a rule of ours refused, with this way's remedy where it has one for the code."""
    known = {reason.value: remedy for reason, remedy in _REMEDIES.items()}
    return Problem(
        code=error.code, field=field, message=error.message, remedy=known.get(error.code, error.remedy)
    )
