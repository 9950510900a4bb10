"""What is owed: one row per deal and generation, worked on by one run at a time.

No personal data: ids, digests, amounts and states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, or_, select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ClaimLost, IdempotencyMismatch
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.money import Money
from order_to_cash.ledger.claims import (
    Claim,
    ObligationState,
    Stray,
    fenced,
    fenced_many,
    held_elsewhere,
)
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.generations import (
    KIND,
    insert,
    lease,
    past_return,
    set_values,
    stray_drafts,
    supersede,
)
from order_to_cash.ledger.tables import OBLIGATION, OPERATION, Obligation

_DONE = (ObligationState.FINALIZED, ObligationState.CLOSED)


class Obligations:
    """Claims, states and look-ups. Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def claim(
        self,
        *,
        opportunity_id: str,
        account_id: str,
        plan_digest: str,
        amount: Money,
        run_id: str,
        lease_seconds: int = 120,
    ) -> Claim:
        """Take the exclusive lease on what `opportunity_id` owes, and choose its generation.

        Same plan: the same obligation is resumed. Another plan and nothing finalized: the old one is
        superseded and the next generation begins. Billed already: see `Claim.already_finalized`.
        `lease_seconds` counts by the ledger's clock and starts anew at each `Operations.begin`; it must
        outlast one outside call with its retries. A run that claims again what it holds itself gets a new
        token, and its older one is dead.

        Raises ClaimedElsewhere while another run's lease lasts, RecordRejected for an id that is none.
        """
        opportunity_id = salesforce_id(opportunity_id)
        with self._database.write() as connection:
            self._database.serialize(connection, f"obligation:{opportunity_id}")
            latest = self._newest(connection, opportunity_id)
            generation = latest.generation + 1 if latest is not None else 1
            if latest is not None:
                self._refuse_if_held(latest, run_id)
            undecided = False
            if latest is not None and latest.state not in _DONE and latest.plan_digest != plan_digest:
                undecided = past_return(connection, latest.key)
                if not undecided:
                    supersede(connection, latest.key)
                    latest = None
            now = self._clock.now()
            if latest is None or latest.state == ObligationState.SUPERSEDED:
                latest = insert(connection, now, opportunity_id, generation, account_id, plan_digest, amount)
            claim = lease(connection, now, latest, run_id, lease_seconds)
            strays = stray_drafts(connection, opportunity_id, latest.key)
            return replace(
                claim, edited=latest.plan_digest != plan_digest, undecided=undecided, strays=strays
            )

    def renew(self, claim: Claim) -> Claim:
        """Start the lease anew. Raises ClaimLost; not for a lease that expired while nobody else came."""
        expires = self._clock.now() + timedelta(seconds=claim.lease_seconds)
        with self._database.write() as connection:
            fenced(connection, claim)
            set_values(connection, claim.key, claim_expires_at=expires)
        return replace(claim, expires_at=expires)

    def release(self, claim: Claim) -> bool:
        """Give the lease back, so that the next run need not wait. False when it was not held any more."""
        with self._database.write() as connection:
            statement = (
                update(OBLIGATION)
                .where(OBLIGATION.c.key == claim.key, OBLIGATION.c.claim_token == claim.token)
                .values(claim_token="", claim_expires_at=None)
            )
            return connection.execute(statement).rowcount == 1

    def held(self, claim: Claim, reason: str) -> None:
        """Wait for a person; `reason` is an error's code, such as ``total_mismatch``. Raises ClaimLost.

        The state is a note to people, not a lock: a later claim of the same plan resumes the obligation.
        """
        with self._database.write() as connection:
            row = fenced(connection, claim)
            if row.state not in _DONE:
                set_values(connection, claim.key, state=ObligationState.HELD, state_reason=reason)

    def finalized(self, claim: Claim, *, invoice_id: str, url: str, customer_id: str = "") -> None:
        """Record that Stripe invoice `invoice_id` is finalized. Saying the same again changes nothing.

        Raises ClaimLost, and IdempotencyMismatch when another invoice is recorded as the finalized one.
        """
        with self._database.write() as connection:
            row = fenced(connection, claim)
            if row.state in _DONE and row.stripe_invoice_id != invoice_id:
                raise IdempotencyMismatch(
                    "Two finalized invoices were reported for one obligation.",
                    remedy="Compare both in Stripe and void the one that should not be.",
                    ids={"obligation": claim.key, "recorded": row.stripe_invoice_id, "reported": invoice_id},
                )
            if row.state in _DONE:
                return
            set_values(
                connection,
                claim.key,
                state=ObligationState.FINALIZED,
                state_reason="",
                stripe_invoice_id=invoice_id,
                stripe_invoice_url=url,
                stripe_customer_id=customer_id or row.stripe_customer_id,
                finalized_at=self._clock.now(),
            )

    def closed(self, claim: Claim) -> None:
        """Everything about it is done, also in Salesforce; the lease ends. Raises ClaimLost."""
        for error in self.closed_many([claim]):
            raise error

    def closed_many(self, claims: Sequence[Claim]) -> list[ClaimLost]:
        """`closed` for a batch, in one transaction; the claims that were lost, which stay as they are.

        Raises ValueError, and changes nothing, when one of them is not finalized.
        """
        with self._database.write() as connection:
            missing = fenced_many(connection, claims)
            keys = [claim.key for claim in claims if claim.key not in missing]
            statement = (
                update(OBLIGATION)
                .where(OBLIGATION.c.key.in_(keys), OBLIGATION.c.state.in_(_DONE))
                .values(
                    state=ObligationState.CLOSED,
                    closed_at=self._clock.now(),
                    claim_token="",
                    claim_expires_at=None,
                )
            )
            if connection.execute(statement).rowcount != len(set(keys)):
                raise ValueError("only finalized obligations can be closed")
            return list(missing.values())

    def start_over(self, claim: Claim) -> None:
        """Give this generation up and end the lease: the next claim begins a new one, with new keys.

        For a draft that was deleted or is beyond repair. Raises ClaimLost, and ValueError past the point of
        no return, where a second invoice could come of it.
        """
        with self._database.write() as connection:
            row = fenced(connection, claim)
            if row.state in _DONE or past_return(connection, claim.key):
                raise ValueError("this generation may have been finalized")
            supersede(connection, claim.key)

    def discarded(self, claim: Claim, stray: Stray) -> None:
        """The draft of the superseded generation `stray` is deleted, or never existed. Raises ClaimLost."""
        with self._database.write() as connection:
            fenced(connection, claim)
            set_values(connection, stray.key, draft_discarded=True)

    def get(self, key: str) -> Obligation | None:
        """The obligation with this key."""
        return self._first(select(OBLIGATION).where(OBLIGATION.c.key == key))

    def latest(self, opportunity_id: str) -> Obligation | None:
        """The newest generation of what this Opportunity owes."""
        return self.latest_many([opportunity_id]).get(opportunity_id)

    def latest_many(self, opportunity_ids: Iterable[str]) -> dict[str, Obligation]:
        """Opportunity id, as given → its newest generation, for those that have one."""
        given = {salesforce_id(opportunity_id): opportunity_id for opportunity_id in opportunity_ids}
        query = (
            select(OBLIGATION)
            .where(OBLIGATION.c.opportunity_id.in_(given), OBLIGATION.c.kind == KIND)
            .order_by(OBLIGATION.c.generation)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {given[row.opportunity_id]: Obligation(**row._mapping) for row in rows}

    def unfinished(self, limit: int = 500) -> list[Obligation]:
        """Not closed and leased by nobody now: what a killed or failed run left. Invoices that may be out come first.

        Those are finalized, or past the point of no return with an unknown outcome, held ones too. Then what is open
        without that. Oldest first within each.
        """
        maybe_out = or_(OBLIGATION.c.state == ObligationState.FINALIZED, _maybe_finalized())
        query = (
            select(OBLIGATION)
            .where(
                or_(maybe_out, OBLIGATION.c.state == ObligationState.OPEN),
                or_(
                    OBLIGATION.c.claim_expires_at.is_(None),
                    OBLIGATION.c.claim_expires_at <= self._clock.now(),
                ),
            )
            .order_by(case((maybe_out, 0), else_=1), OBLIGATION.c.created_at, OBLIGATION.c.key)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Obligation(**row._mapping) for row in connection.execute(query)]

    def maybe_finalized(self, keys: Iterable[str]) -> set[str]:
        """Of these obligations, those not recorded as finalized whose finalizing was begun and not refused."""
        query = select(OBLIGATION.c.key).where(OBLIGATION.c.key.in_(list(keys)), _maybe_finalized())
        with self._database.read() as connection:
            return {row.key for row in connection.execute(query)}

    def voided(self, claim: Claim) -> None:
        """The finalized invoice was voided in Stripe and the deal is to be billed again: end this generation.

        The next claim begins a new one. Raises ClaimLost, and ValueError for what was never finalized.
        """
        with self._database.write() as connection:
            row = fenced(connection, claim)
            if row.state not in _DONE:
                raise ValueError("only a finalized invoice can have been voided")
            supersede(connection, claim.key)
            set_values(connection, claim.key, state_reason="voided", draft_discarded=True)

    def _first(self, query: Any) -> Obligation | None:
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Obligation(**row._mapping) if row else None

    def _newest(self, connection: Connection, opportunity_id: str) -> Row[Any] | None:
        """The newest generation, locked; it alone: `discarded` locks an older one while it holds this one."""
        query = (
            select(OBLIGATION)
            .where(OBLIGATION.c.opportunity_id == opportunity_id, OBLIGATION.c.kind == KIND)
            .order_by(OBLIGATION.c.generation.desc())
            .limit(1)
            .with_for_update()
        )
        return connection.execute(query).first()

    def _refuse_if_held(self, row: Row[Any], run_id: str) -> None:
        now = self._clock.now()
        expires = row.claim_expires_at
        if row.claim_token and row.claim_run_id != run_id and expires is not None and expires > now:
            raise held_elsewhere("obligation", row.key, row.claim_run_id, expires, now)


def _maybe_finalized() -> ColumnElement[bool]:
    begun = (
        select(OPERATION.c.key)
        .where(
            OPERATION.c.obligation_key == OBLIGATION.c.key,
            OPERATION.c.point_of_no_return,
            OPERATION.c.state.in_(("intended", "succeeded")),
        )
        .exists()
    )
    return and_(OBLIGATION.c.state.in_((ObligationState.OPEN, ObligationState.HELD)), begun)
