"""Ladders for the ledger's tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStatus, NewLadder, Settled
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import START

VERSION = "policy-1"
DAY = timedelta(days=1)


def new(invoice: str, customer: str = "cus_a", due_at: datetime = START, **other: object) -> NewLadder:
    arguments: dict[str, object] = {
        "collection_method": CollectionMethod.CHARGE_AUTOMATICALLY,
        "policy_version": VERSION,
    }
    return NewLadder(invoice_id=invoice, customer_id=customer, due_at=due_at, **(arguments | other))  # type: ignore[arg-type]  # typed by the callee's tests


def opened(ledger: Ledger, *ladders: NewLadder) -> None:
    ledger.ladders.keep_policy(VERSION, {"quiet_period": "20h"}, "default")
    assert len(ledger.ladders.open(ladders)) == len(ladders)


def claimed(ledger: Ledger, owner: str = "worker-1", **other: object) -> dict[str, ClaimedLadder]:
    """What a claim of up to ten customers gives: invoice id → claim."""
    claims = ledger.ladders.claim(owner, **({"customers": 10} | other))  # type: ignore[arg-type]  # typed by the callee's tests
    assert len({one.ladder.invoice_id for one in claims}) == len(claims)
    return {one.ladder.invoice_id: one for one in claims}


def asleep(
    claim: ClaimedLadder, due_at: datetime | None, next_step: str = "mail", **other: object
) -> Settled:
    arguments: dict[str, object] = {"status": LadderStatus.WAITING, "next_step": next_step}
    return Settled(claim=claim, due_at=due_at, **(arguments | other))  # type: ignore[arg-type]  # typed by the callee's tests


def settled(ledger: Ledger, claims: Iterable[ClaimedLadder], due_at: datetime | None) -> None:
    assert ledger.ladders.settle([asleep(claim, due_at) for claim in claims]) == {}
