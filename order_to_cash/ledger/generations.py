"""Rows of `ledger_obligation`: how a generation begins, is leased, and makes way for the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, select, update

from order_to_cash.domain.identity import invoice_key
from order_to_cash.domain.money import Money
from order_to_cash.ledger.claims import Claim, ObligationState, Stray
from order_to_cash.ledger.tables import OBLIGATION, OPERATION, Obligation

KIND = "invoice"


def insert(
    connection: Connection,
    now: datetime,
    opportunity_id: str,
    generation: int,
    account_id: str,
    plan_digest: str,
    amount: Money,
) -> Row[Any]:
    row = Obligation(
        key=invoice_key(opportunity_id, generation),
        kind=KIND,
        opportunity_id=opportunity_id,
        generation=generation,
        account_id=account_id,
        plan_digest=plan_digest,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        state=ObligationState.OPEN,
        state_reason="",
        stripe_customer_id="",
        stripe_invoice_id="",
        stripe_invoice_url="",
        draft_discarded=False,
        claim_token="",
        claim_run_id="",
        claim_expires_at=None,
        fence=0,
        created_at=now,
        finalized_at=None,
        closed_at=None,
    )
    connection.execute(OBLIGATION.insert().values(**row.model_dump()))
    return connection.execute(select(OBLIGATION).where(OBLIGATION.c.key == row.key)).one()


def lease(connection: Connection, now: datetime, row: Row[Any], run_id: str, lease_seconds: int) -> Claim:
    token = uuid4().hex
    expires = now + timedelta(seconds=lease_seconds)
    set_values(
        connection,
        row.key,
        claim_token=token,
        claim_run_id=run_id,
        claim_expires_at=expires,
        fence=row.fence + 1,
    )
    return Claim(
        key=row.key,
        kind=row.kind,
        opportunity_id=row.opportunity_id,
        account_id=row.account_id,
        generation=row.generation,
        plan_digest=row.plan_digest,
        amount_minor=row.amount_minor,
        currency=row.currency,
        state=ObligationState(row.state),
        state_reason=row.state_reason,
        stripe_customer_id=row.stripe_customer_id,
        stripe_invoice_id=row.stripe_invoice_id,
        stripe_invoice_url=row.stripe_invoice_url,
        run_id=run_id,
        token=token,
        fence=row.fence + 1,
        lease_seconds=lease_seconds,
        expires_at=expires,
        edited=False,
        undecided=False,
        strays=(),
    )


def set_values(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(update(OBLIGATION).where(OBLIGATION.c.key == key).values(**values))


def supersede(connection: Connection, key: str) -> None:
    set_values(connection, key, state=ObligationState.SUPERSEDED, claim_token="", claim_expires_at=None)


def past_return(connection: Connection, key: str) -> bool:
    """Whether a step that may have finalized the invoice was begun and not refused."""
    query = select(OPERATION.c.key).where(
        OPERATION.c.obligation_key == key,
        OPERATION.c.point_of_no_return,
        OPERATION.c.state.in_(("intended", "succeeded")),
    )
    return connection.execute(query.limit(1)).first() is not None


def stray_drafts(connection: Connection, opportunity_id: str, current: str) -> tuple[Stray, ...]:
    """Earlier generations that may have left a draft behind, and are not reported as discarded."""
    query = (
        select(OBLIGATION.c.key, OBLIGATION.c.generation, OBLIGATION.c.stripe_invoice_id)
        .where(
            OBLIGATION.c.opportunity_id == opportunity_id,
            OBLIGATION.c.kind == KIND,
            OBLIGATION.c.state == ObligationState.SUPERSEDED,
            OBLIGATION.c.draft_discarded.is_(False),
            OBLIGATION.c.key != current,
        )
        .order_by(OBLIGATION.c.generation)
    )
    rows = list(connection.execute(query))
    if not rows:
        return ()
    unknown: dict[str, list[str]] = {row.key: [] for row in rows}
    begun = select(OPERATION.c.obligation_key, OPERATION.c.step).where(
        OPERATION.c.obligation_key.in_(unknown), OPERATION.c.state == "intended"
    )
    for obligation_key, step in connection.execute(begun.order_by(OPERATION.c.intended_at)):
        unknown[obligation_key].append(step)
    return tuple(
        Stray(row.key, row.generation, row.stripe_invoice_id, tuple(unknown[row.key]))
        for row in rows
        if row.stripe_invoice_id or unknown[row.key]
    )
