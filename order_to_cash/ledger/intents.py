"""What `operations` hands out, and how it is read from a row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from order_to_cash.domain.errors import O2CError

KEY_LIFETIME = timedelta(hours=23)
"""Stripe may forget an idempotency key after 24 hours (docs.stripe.com/api/idempotent_requests): one hour
less.
"""


class OperationState(StrEnum):
    """`fresh`: do it. `unknown`: begun earlier, outcome never learned. `done`, `refused`: it is over."""

    FRESH = "fresh"
    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"


_STATES = {
    "intended": OperationState.UNKNOWN,
    "succeeded": OperationState.DONE,
    "refused": OperationState.REFUSED,
}


@dataclass(frozen=True)
class Operation:
    """One effect as the ledger knows it.

    `key` names it in business terms and never changes. `idempotency_key` is what goes to the far side:
    `key`, with ``:r2``, ``:r3`` … after renewals. `intent` is the recorded one, also when `begin` was given
    another. `error` is ``{"code", "message", "remedy", "ids", "retryable"}`` when refused. `key_expired`:
    the intent is older than 23 hours, so the far side may no longer know the key. `token` matters to
    operations that stand alone only.
    """

    key: str
    step: str
    kind: str
    state: OperationState
    intent: dict[str, Any]
    outcome: dict[str, Any]
    error: dict[str, Any]
    idempotency_key: str
    attempt: int
    intended_at: datetime
    key_expired: bool
    token: str = ""


def operation_from(row: Row[Any], now: datetime, *, fresh: bool = False) -> Operation:
    """The operation that `row` records; `fresh` when its intent was committed just now."""
    return Operation(
        key=row.key,
        step=row.step,
        kind=row.kind,
        state=OperationState.FRESH if fresh else _STATES[row.state],
        intent=row.intent,
        outcome=row.outcome,
        error=row.error,
        idempotency_key=row.key if row.attempt == 1 else f"{row.key}:r{row.attempt}",
        attempt=row.attempt,
        intended_at=row.intended_at,
        key_expired=now - row.intended_at >= KEY_LIFETIME,
        token=row.token,
    )


def new_row(key: str, step: str, kind: str, intent: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The columns of an intent that is being committed."""
    return {
        "key": key,
        "obligation_key": None,
        "step": step,
        "kind": kind,
        "point_of_no_return": False,
        "state": "intended",
        "attempt": 1,
        "intent": intent,
        "outcome": {},
        "error": {},
        "token": "",
        "run_id": "",
        "lease_expires_at": None,
        "intended_at": now,
        "finished_at": None,
    }


def renewal(row: Row[Any], now: datetime) -> dict[str, Any]:
    """What changes when `row` is tried again under the next key."""
    return {
        "state": "intended",
        "attempt": row.attempt + 1,
        "outcome": {},
        "error": {},
        "intended_at": now,
        "finished_at": None,
    }


def described(error: O2CError) -> dict[str, Any]:
    """An error as the ledger keeps it."""
    return {
        "code": error.code,
        "message": error.message,
        "remedy": error.remedy,
        "ids": error.ids,
        "retryable": error.retryable,
    }
