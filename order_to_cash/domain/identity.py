"""Names that stay the same however often something is tried: record ids, idempotency and metadata keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from order_to_cash.domain.errors import RecordRejected

METADATA_ACCOUNT = "salesforce_account_id"
METADATA_OPPORTUNITY = "salesforce_opportunity_id"
METADATA_OWNER = "salesforce_owner_id"
METADATA_LEAD_SOURCE = "salesforce_lead_source"
METADATA_LINE = "salesforce_line_id"
METADATA_KEY = "o2c_key"
METADATA_CURRENCY = (
    "o2c_currency"  # of a customer that we made: Stripe shows one only after the first invoice
)

# Stripe's limit for an idempotency key: https://docs.stripe.com/api/idempotent_requests
_LONGEST_KEY = 255

_ID = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?", re.ASCII)
_SUFFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def salesforce_id(text: str) -> str:
    """The 18-character form of a Salesforce record id given with 15 or 18 characters.

    The last three characters encode which of the first fifteen are upper case (Salesforce Help, "How to
    convert 15 digit Id to 18 digit Id"). Raises RecordRejected (`salesforce_id_malformed`) for anything else,
    also for a suffix that does not belong to the first fifteen.
    """
    stripped = text.strip()
    if _ID.fullmatch(stripped):
        full = stripped[:15] + _suffix(stripped[:15])
        if len(stripped) == 15 or full == stripped[:15] + stripped[15:].upper():
            return full
    raise RecordRejected(
        "A Salesforce record id has 15 letters and digits, or 18, of which the last three check the others; this one "
        "does not fit.",
        code="salesforce_id_malformed",
        remedy="Copy the id from the record's address in Salesforce.",
        ids={"given": re.sub(r"[^a-zA-Z0-9]", "?", stripped)[:18]},
    )


def invoice_key(opportunity_id: str, generation: int) -> str:
    """The idempotency key of what one won deal owes. A new generation only when the deal rightly changed."""
    if generation < 1:
        raise ValueError("generations count from 1")
    return f"o2c:invoice:{salesforce_id(opportunity_id)}:{generation}"


def full_id(text: str) -> str:
    """`salesforce_id` for a value that people may have typed: what is no record id stays as it is."""
    try:
        return salesforce_id(text)
    except RecordRejected:
        return text.strip()


def customer_key(account_id: str, currency: str, generation: int = 1) -> str:
    """What making an Account's customer in one currency is called, whatever the Account says by then.

    The next generation replaces a customer that was deleted in Stripe or given to another Account.
    """
    key = f"o2c:customer:{salesforce_id(account_id)}:{currency.lower()}"
    return key if generation == 1 else f"{key}:{generation}"


def adoption_key(customer_id: str) -> str:
    """What bringing a Stripe customer up to date with its Account is called."""
    return f"o2c:adopt:{customer_id}"


def step_key(obligation_key: str, step: str) -> str:
    """The idempotency key of one step (`draft`, `lines`, `finalize`, …) towards an obligation."""
    key = f"{obligation_key}:{step}"
    if len(key) > _LONGEST_KEY:
        raise ValueError(f"an idempotency key has at most {_LONGEST_KEY} characters")
    return key


def notice_key(kind: str, subject: str) -> str:
    """The key under which a message to people is posted once, such as ``o2c:notice:billed:006…``."""
    return f"o2c:notice:{kind}:{subject}"


def digest(value: Any) -> str:
    """SHA-256, in hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces. Decimals keep their value, not their trailing zeros.

    Raises TypeError for floats and for what is neither JSON nor a record of ours.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, date):  # datetime is a date
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _suffix(fifteen: str) -> str:
    chunks = (fifteen[start : start + 5] for start in (0, 5, 10))
    return "".join(
        _SUFFIX_ALPHABET[sum(1 << place for place, char in enumerate(chunk) if char.isupper())]
        for chunk in chunks
    )
