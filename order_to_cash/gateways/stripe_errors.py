"""What Stripe's refusals mean: each answer as one error of ours, with the remedy (R84)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from order_to_cash.domain.errors import (
    CredentialsRefused,
    IdempotencyMismatch,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    RecordGone,
    Refused,
    RowLocked,
    Unavailable,
)
from order_to_cash.domain.redaction import redact

_OBJECT_ID = re.compile(r"/((?:cus|in|ii|il|price|prod|sub|evt|pi|ch|re|cn)_[A-Za-z0-9]+)")
_ACCOUNT_ID = re.compile(r"\bacct_[A-Za-z0-9]+")
_PERMISSION = re.compile(r"\brak_[a-z0-9_]+")

# The code of an OutcomeUnknown whose idempotency key replays a 5xx, as it will for 24 hours: after a look-up
# found nothing, the request needs another key (https://docs.stripe.com/api/idempotent_requests).
KEY_SPENT = "key_spent"

# First match wins; the parameter's name decides, then the error's code.
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("email", "Correct the billing e-mail on the Account or its primary contact in Salesforce."),
    ("country", "Use a country that Stripe knows (ISO 3166-1 alpha-2) in the Account's billing address."),
    ("address", "Correct the Account's billing address in Salesforce."),
    ("currency", "One Stripe customer bills in one currency: check the deal's currency and the customer."),
    ("price", "Check Stripe_Price_Id__c on the Product: the price must exist, be active and one-time."),
    ("product", "Check the Product's Stripe price: its product must exist and be active."),
    (
        "customer",
        "Check Stripe_Customer_Id__c on the Account: the customer must exist in this Stripe account.",
    ),
    ("days_until_due", "Set payment terms of 0 days or more on the deal or in the billing policy."),
    ("phone", "Correct the phone number on the Account (at most 20 characters)."),
    ("name", "Shorten the Account's name: Stripe takes at most 256 characters."),
    ("metadata", "Shorten the value: Stripe's metadata takes 500 characters."),
    (
        "resource_missing",
        "It was deleted in Stripe or belongs to another account; check the id in Salesforce.",
    ),
    ("parameter_unknown", "Report it: the product sent a parameter that this API version does not know."),
    ("amount_too_large", "Split the deal: Stripe limits the amount of one invoice."),
    ("amount_too_small", "Raise the amount: Stripe has a minimum for each currency."),
    ("tax", "Check the Stripe Tax settings and the customer's address."),
)
_FALLBACK_REMEDY = "Look the request up in Stripe's dashboard (Developers → Logs) by its request id."


@dataclass(frozen=True)
class Failure:
    """One call that ended badly. `status` is None when no answer arrived.

    `effect_possible`: this try or an earlier one may have reached Stripe and done its work.
    """

    method: str
    path: str
    status: int | None
    error: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    retry_after_seconds: float | None = None
    effect_possible: bool = False
    replayed: bool = False  # Idempotent-Replayed: the answer that the key got the first time
    cause: str = ""  # exception type when no answer arrived

    @property
    def code(self) -> str:
        return str(self.error.get("code") or "")

    @property
    def ids(self) -> dict[str, str]:
        found = _OBJECT_ID.search(self.path)
        facts = {
            "stripe_id": found[1] if found else "",
            "param": str(self.error.get("param") or ""),
            "request_id": self.request_id,
        }
        return {name: value for name, value in facts.items() if value}


def translate(failure: Failure) -> O2CError:
    """The error of ours for `failure`."""
    server_error = failure.status is None or failure.status >= 500
    # A DELETE has no key; its refusal says all: what an earlier try deleted is gone.
    conclusive = failure.replayed or failure.method == "DELETE"
    if failure.effect_possible and (server_error or not conclusive):
        return _unknown(failure)
    if failure.status is None or failure.status >= 500:
        return _unreached(failure)
    if failure.code == "lock_timeout":
        return RowLocked(_said(failure), code="lock_timeout", ids=failure.ids)
    special = _BY_STATUS.get(failure.status)
    if special is not None:
        return special(failure)
    return _refused(failure)


def _said(failure: Failure) -> str:
    message = str(redact(str(failure.error.get("message") or "no reason given")))
    return f"Stripe answered {failure.status} to {failure.method} {failure.path}: {message}"


def _unknown(failure: Failure) -> O2CError:
    what = f"answered {failure.status}" if failure.status else f"did not answer ({failure.cause})"
    return OutcomeUnknown(
        f"Stripe {what} to {failure.method} {failure.path}; the request may have had its effect.",
        code=KEY_SPENT if failure.replayed else "",
        ids=failure.ids,
        retry_after_seconds=failure.retry_after_seconds,
    )


def _unreached(failure: Failure) -> O2CError:
    if failure.status is None:
        message = f"Stripe did not answer {failure.method} {failure.path} ({failure.cause})."
    else:
        message = _said(failure)
    return Unavailable(message, ids=failure.ids, retry_after_seconds=failure.retry_after_seconds)


def _rate_limited(failure: Failure) -> O2CError:
    return RateLimited(_said(failure), ids=failure.ids, retry_after_seconds=failure.retry_after_seconds)


def _unauthorized(failure: Failure) -> O2CError:
    return CredentialsRefused(
        f"Stripe refused the key for {failure.method} {failure.path}.",
        remedy="Check O2C_STRIPE_API_KEY: it may be revoked or expired. Then run `o2c doctor`.",
        ids=failure.ids,
    )


def missing_permission(error: Mapping[str, Any]) -> str:
    """The permission that a 403 names, such as ``rak_invoice_write``, or empty."""
    found = _PERMISSION.search(str(error.get("message") or ""))
    return found[0] if found else ""


def _forbidden(failure: Failure) -> O2CError:
    permission = missing_permission(failure.error)
    named = f"the permission {permission}" if permission else "a permission"
    account = _ACCOUNT_ID.search(str(failure.error.get("message") or ""))
    named_ids = {"permission": permission, "account": account[0] if account else ""}
    return PermissionMissing(
        f"The Stripe key lacks {named} for {failure.method} {failure.path}.",
        remedy=f"Grant {permission or 'it'} to the restricted key in the dashboard (Developers → API keys), "
        "then run `o2c doctor`.",
        ids={**failure.ids, **{name: value for name, value in named_ids.items() if value}},
    )


def _conflict(failure: Failure) -> O2CError:
    return RowLocked(_said(failure), code=failure.code or "conflict", ids=failure.ids)


def _missing(failure: Failure) -> O2CError:
    return RecordGone(
        _said(failure), code=failure.code or "resource_missing", remedy=_remedy(failure), ids=failure.ids
    )


def _refused(failure: Failure) -> O2CError:
    if failure.error.get("type") == "idempotency_error":
        return IdempotencyMismatch(_said(failure), ids=failure.ids)
    if failure.code == "rate_limit":
        return _rate_limited(failure)
    return Refused(
        _said(failure),
        code=failure.code or str(failure.error.get("type") or "refused"),
        remedy=_remedy(failure),
        ids=failure.ids,
    )


def _remedy(failure: Failure) -> str:
    for text in (str(failure.error.get("param") or ""), failure.code):
        for word, remedy in _REMEDIES:
            if text and word in text:
                return remedy
    return _FALLBACK_REMEDY


_BY_STATUS = {401: _unauthorized, 403: _forbidden, 404: _missing, 409: _conflict, 429: _rate_limited}
