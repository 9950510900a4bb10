"""Stripe's webhook signature, checked on the header alone: no object is built of the body.

`stripe.Webhook.construct_event` checks the same and then builds objects (550 µs an event), lets a timestamp of the
future pass, and verifies against an empty key when the secret is empty.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import StrEnum

PAST_SECONDS = 300
"""How old a signature may be: Stripe's default tolerance (docs.stripe.com/webhooks, "Preventing replay attacks")."""

FUTURE_SECONDS = 60
"""How far ahead a signature may be: clocks differ. Nobody but a holder of the secret can sign ahead of time."""

_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16  # Stripe sends one for each live secret of the endpoint: two at most
_LONGEST_TIMESTAMP = 12


class SignatureProblem(StrEnum):
    """Why a delivery is not believed. The names are values of a metric's label."""

    MISSING = "signature_missing"
    WRONG = "signature_wrong"
    STALE = "stale"
    FUTURE = "future"


def parse(header: bytes) -> tuple[bytes, list[bytes]] | None:
    """Timestamp and `v1` signatures of a `Stripe-Signature` header; None when it has not both."""
    if len(header) > _LONGEST_HEADER:
        return None
    stamps: list[bytes] = []
    signatures: list[bytes] = []
    for part in header.split(b","):
        name, _, value = part.strip().partition(b"=")
        if name == b"t":
            stamps.append(value)
        elif name == b"v1":
            signatures.append(value)
    if len(stamps) != 1 or not 0 < len(signatures) <= _MOST_SIGNATURES:
        return None
    if not stamps[0].isdigit() or len(stamps[0]) > _LONGEST_TIMESTAMP:
        return None
    return stamps[0], signatures


def check(
    stamp: bytes, signatures: Sequence[bytes], body: bytes, secrets: Sequence[bytes], now: float
) -> SignatureProblem | None:
    """None when one of `secrets` signed `body` at `stamp`, and that was about `now` (Unix time, seconds).

    Age comes after the signature: only who holds the secret learns anything about the clock. An empty secret
    never matches. Raises nothing.
    """
    if not _signed(stamp, signatures, body, secrets):
        return SignatureProblem.WRONG
    age = now - int(stamp)
    if age > PAST_SECONDS:
        return SignatureProblem.STALE
    if age < -FUTURE_SECONDS:
        return SignatureProblem.FUTURE
    return None


def _signed(stamp: bytes, signatures: Sequence[bytes], body: bytes, secrets: Sequence[bytes]) -> bool:
    signed = stamp + b"." + body
    found = False
    for secret in secrets:
        if secret:
            expected = hmac.digest(secret, signed, "sha256").hex().encode()
            for signature in signatures:
                found |= hmac.compare_digest(expected, signature)
    return found
