"""How single settings are written: pure functions that read them. Each raises ValueError saying what belongs there."""

from __future__ import annotations

import re

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import salesforce_id


def signing_secrets(text: str) -> tuple[str, ...]:
    """Stripe's signing secrets of one endpoint, separated by commas. An empty one is none: anybody signs with that."""
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(re.fullmatch(r"whsec_\S{8,}", secret) for secret in secrets):
        raise ValueError("put the endpoint's signing secret there, whsec_…; while it is rolled, both")
    return secrets


def bearer_secret(text: str) -> str:
    """A secret of our own that a caller sends in a header; empty for none."""
    if text and not re.fullmatch(r"[!-~]{16,512}", text):
        raise ValueError("put at least 16 letters, digits and signs there, no spaces")
    return text


def org_ids(text: str) -> tuple[str, ...]:
    """Salesforce org ids, separated by commas, in their 18-character form."""
    try:
        known = tuple(salesforce_id(part) for part in text.split(",") if part.strip())
    except RecordRejected:
        known = ("",)
    if not all(one.startswith("00D") for one in known):
        raise ValueError("put the org's id there, 15 or 18 characters that begin with 00D")
    return known
