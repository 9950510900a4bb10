"""What Salesforce's refusals mean: each code as one error of ours, naming field and remedy (R84)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from order_to_cash.domain.errors import (
    BudgetExhausted,
    CredentialsRefused,
    FieldRefused,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    RecordGone,
    Refused,
    RowLocked,
    RuleRefused,
    Unavailable,
)
from order_to_cash.domain.redaction import redact

_QUOTED_FIELD = re.compile(r"No such column '(\w+)'|fields?: \[?([\w, ]+)|[Ff]ield '?(\w+__c)'?")

_FIELD_SECURITY = (
    "Grant the integration user's permission set read and edit access to the field (field-level security), "
    "or deploy the package with `o2c salesforce deploy`."
)
_BY_CODE: Mapping[str, tuple[type[O2CError], str]] = {
    "INVALID_FIELD": (FieldRefused, _FIELD_SECURITY),
    "INVALID_FIELD_FOR_INSERT_UPDATE": (FieldRefused, _FIELD_SECURITY),
    "INVALID_TYPE": (
        FieldRefused,
        "Deploy the package (`o2c salesforce deploy`) and assign its permission set.",
    ),
    "STRING_TOO_LONG": (FieldRefused, "Shorten the value: nothing is cut off silently."),
    "MALFORMED_ID": (FieldRefused, "Correct the id that the field refers to."),
    "REQUIRED_FIELD_MISSING": (
        FieldRefused,
        "Fill the required field, or lift the requirement for this user.",
    ),
    "NUMBER_OUTSIDE_VALID_RANGE": (FieldRefused, "Widen the field: the number does not fit."),
    "INVALID_EMAIL_ADDRESS": (FieldRefused, "Correct the e-mail address."),
    "JSON_PARSER_ERROR": (FieldRefused, "Report it: a value does not fit the field's type."),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": (
        RuleRefused,
        "Satisfy the org's validation rule, or exempt this user.",
    ),
    "FIELD_INTEGRITY_EXCEPTION": (RuleRefused, "Correct the field: the org does not take this combination."),
    "DUPLICATES_DETECTED": (RuleRefused, "Merge the duplicates, or let the duplicate rule allow this user."),
    "DUPLICATE_VALUE": (RuleRefused, "Another record holds this unique value: merge the two."),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (RuleRefused, "Add the value to the restricted picklist."),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (
        RuleRefused,
        "Correct the org's trigger that refused the record.",
    ),
    "CANNOT_EXECUTE_FLOW_TRIGGER": (RuleRefused, "Correct the org's flow that refused the record."),
    "ENTITY_IS_DELETED": (RecordGone, "Restore the record, or leave it: it was deleted or merged."),
    "INVALID_CROSS_REFERENCE_KEY": (RecordGone, "The record it refers to is gone or hidden from this user."),
    "NOT_FOUND": (RecordGone, "The record is gone or hidden from this user."),
    "ENTITY_IS_LOCKED": (
        RuleRefused,
        "An approval process holds the record: finish it, or exempt this user.",
    ),
    "API_DISABLED_FOR_ORG": (PermissionMissing, "Give the integration user the right API Enabled."),
    "API_CURRENTLY_DISABLED": (PermissionMissing, "Give the integration user the right API Enabled."),
    "MALFORMED_QUERY": (Refused, "Check the field names in the settings."),
    "INVALID_SESSION_ID": (
        CredentialsRefused,
        "Check the External Client App's policies, then run `o2c doctor`.",
    ),
    "UNABLE_TO_LOCK_ROW": (RowLocked, RowLocked.default_remedy),
    "SERVER_UNAVAILABLE": (Unavailable, Unavailable.default_remedy),
    "ORG_UNDER_MAINTENANCE": (Unavailable, Unavailable.default_remedy),
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": (Unavailable, Unavailable.default_remedy),
    "UNKNOWN_EXCEPTION": (Unavailable, Unavailable.default_remedy),
}
# Salesforce quotes the value, such as a person's name, and ends with the field's length.
_TOO_LARGE = re.compile(r"(data value too large):.*(?= \(max length=)", re.DOTALL)
_NO_PARENT = "Foreign key external ID"
_INSUFFICIENT = (
    PermissionMissing,
    "Assign the integration permission set to the user, and share the record.",
)


def first_error(content: Any) -> Mapping[str, Any]:
    """The first error of an answer's body: a list of errors, one error, or an OAuth refusal."""
    if isinstance(content, Sequence) and not isinstance(content, str) and content:
        content = content[0]
    if not isinstance(content, Mapping):
        return {}
    nested = content.get("errors")
    if isinstance(nested, Sequence) and not isinstance(nested, str) and nested:
        return first_error(nested)
    return content


def error_code(error: Mapping[str, Any]) -> str:
    """`errorCode` of an answer, `statusCode` of a row."""
    return str(error.get("errorCode") or error.get("statusCode") or error.get("error") or "")


def daily_limit_reached(error: Mapping[str, Any]) -> bool:
    """REQUEST_LIMIT_EXCEEDED of the day, not of the moment (too many long calls at once)."""
    about_now = "concurrent" in str(error.get("message", "")).lower()
    return error_code(error) == "REQUEST_LIMIT_EXCEEDED" and not about_now


def translate_error(error: Mapping[str, Any], where: str, ids: Mapping[str, str] | None = None) -> O2CError:
    """The error of ours for one refusal; `where` says of what, such as ``Opportunity 006…``."""
    code = error_code(error)
    about = dict(ids or {})
    fields = _fields(error)
    if fields:
        about["field"] = fields
    said = _TOO_LARGE.sub(r"\1", str(error.get("message") or "no reason given"))
    message = f"Salesforce refused {where}: {redact(said)}"
    if code == "REQUEST_LIMIT_EXCEEDED":
        return (BudgetExhausted if daily_limit_reached(error) else RateLimited)(message, code=code, ids=about)
    known = _BY_CODE.get(code) or (_INSUFFICIENT if code.startswith("INSUFFICIENT_ACCESS") else None)
    if known is None:
        return Refused(
            message,
            code=code or "refused",
            remedy="Look the code up in Salesforce's API reference (Status Codes).",
            ids=about,
        )
    kind, remedy = known
    if _NO_PARENT in message:
        remedy = "What it refers to is not in Salesforce, or not any more: replay that one's event, then this one's."
    return kind(message, code=code, remedy=remedy, ids=about)


def translate_answer(status: int, content: Any, where: str, *, retry_after: float | None = None) -> O2CError:
    """The error of ours for a whole call that was refused with `status`."""
    error = first_error(content)
    if status == 429:
        return RateLimited(f"Salesforce limits {where} (429).", retry_after_seconds=retry_after)
    if error_code(error) and status < 500:
        return translate_error(error, where)
    if status == 401:
        return CredentialsRefused(f"Salesforce refused the session for {where}.")
    if status >= 500:
        return Unavailable(f"Salesforce answered {status} to {where}.", retry_after_seconds=retry_after)
    if status == 404:
        return RecordGone(f"Salesforce does not know {where}.", remedy="Check the id and the API version.")
    remedy = "Ask for fewer records at once: the address is too long." if status in {414, 431} else ""
    return Refused(f"Salesforce answered {status} to {where}.", code=f"http_{status}", remedy=remedy)


def unknown_outcome(where: str, cause: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"Salesforce did not finish answering {where} ({cause}); the request may have had its effect."
    )


def _fields(error: Mapping[str, Any]) -> str:
    named = error.get("fields")
    if isinstance(named, Sequence) and not isinstance(named, str) and named:
        return ", ".join(str(name) for name in named)
    found = _QUOTED_FIELD.search(str(error.get("message", "")))
    return next((group.strip() for group in found.groups() if group), "") if found else ""
