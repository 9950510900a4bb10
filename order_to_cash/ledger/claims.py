"""What a run holds while it works on one obligation, and the check that it still holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost
from order_to_cash.ledger.tables import OBLIGATION


class ObligationState(StrEnum):
    """`open` → `finalized` → `closed`; `held` waits for a person; `superseded` made way for a generation."""

    OPEN = "open"
    HELD = "held"
    FINALIZED = "finalized"
    CLOSED = "closed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Stray:
    """A superseded generation whose draft may still lie in Stripe.

    `invoice_id` is empty when creating the draft was begun and its outcome never learned (`unknown_steps`
    names the step): look for it by metadata `o2c_key` = `key`. Report it done with `Obligations.discarded`.
    """

    key: str
    generation: int
    invoice_id: str
    unknown_steps: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """One run's exclusive lease on one obligation.

    `plan_digest`, `amount_minor` and `currency` are what the ledger has recorded, not what was asked for:
    they differ when `edited` is true. `fence` grows with every claim of the obligation. Three cases:

    - `already_finalized`: it is billed. `edited` then means: the deal was changed after billing.
    - `undecided`: the plan changed, but an earlier run stood past its point of no return and its outcome is
      unknown. Look the invoice up. If it is finalized, say so with `Obligations.finalized`; if not, delete
      the draft, `Operations.refuse` the step and claim again: that gives the next generation.
    - otherwise bill it: resume each step by what `Operations.begin` says.
    """

    key: str
    kind: str
    opportunity_id: str
    account_id: str
    generation: int
    plan_digest: str
    amount_minor: int
    currency: str
    state: ObligationState
    state_reason: str
    stripe_customer_id: str
    stripe_invoice_id: str
    stripe_invoice_url: str
    run_id: str
    token: str
    fence: int
    lease_seconds: int
    expires_at: datetime
    edited: bool
    undecided: bool
    strays: tuple[Stray, ...]

    @property
    def already_finalized(self) -> bool:
        return self.state in {ObligationState.FINALIZED, ObligationState.CLOSED}


def fenced(connection: Connection, claim: Claim) -> Row[Any]:
    """The locked row of `claim`'s obligation. Raises ClaimLost when another claim has taken its place."""
    row = connection.execute(
        select(OBLIGATION).where(OBLIGATION.c.key == claim.key).with_for_update()
    ).first()
    if row is None or row.claim_token != claim.token:
        raise lost(claim, row.claim_run_id if row is not None else "")
    return row


def fenced_many(connection: Connection, claims: Iterable[Claim]) -> dict[str, ClaimLost]:
    """Lock the rows of `claims`, in one order for everyone; obligation key → why, for each that is lost."""
    wanted = {claim.key: claim for claim in claims}
    query = (
        select(OBLIGATION.c.key, OBLIGATION.c.claim_token, OBLIGATION.c.claim_run_id)
        .where(OBLIGATION.c.key.in_(wanted))
        .order_by(OBLIGATION.c.key)
        .with_for_update()
    )
    found = {row.key: row for row in connection.execute(query)}
    return {
        key: lost(claim, found[key].claim_run_id if key in found else "")
        for key, claim in wanted.items()
        if key not in found or found[key].claim_token != claim.token
    }


def lost(claim: Claim, taken_by: str) -> ClaimLost:
    """The error for a write with a token that is no longer the obligation's."""
    return ClaimLost(
        "The claim on this obligation ended: its lease expired and another run took it, or it was released.",
        ids={"obligation": claim.key, "run": claim.run_id, "taken_by": taken_by or "nobody"},
    )


def held_elsewhere(what: str, key: str, run_id: str, until: datetime, now: datetime) -> ClaimedElsewhere:
    """The error for a lease of another run that has not expired: who holds it, and until when."""
    return ClaimedElsewhere(
        f"Another run is working on this {what}.",
        ids={what: key, "held_by": run_id, "until": until.isoformat()},
        retry_after_seconds=max((until - now).total_seconds(), 0.0),
    )
