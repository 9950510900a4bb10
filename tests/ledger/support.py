"""What the ledger's tests share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from order_to_cash.domain.money import Money
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.ledger import Ledger

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OPPORTUNITY = "006000000000001AAA"
ACCOUNT = "001000000000001AAA"


class MovableClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


def claim_deal(ledger: Ledger, run: str = "run-1", digest: str = "plan-a", **other: object) -> Claim:
    """Claim what the test's deal owes; `other` overrides arguments of `Obligations.claim`."""
    arguments: dict[str, object] = {
        "opportunity_id": OPPORTUNITY,
        "account_id": ACCOUNT,
        "amount": Money(125_000, "eur"),
        "lease_seconds": 120,
    }
    return ledger.obligations.claim(plan_digest=digest, run_id=run, **(arguments | other))  # type: ignore[arg-type]  # typed by the callee's tests
