"""Opening ladders and waking them. Used through `Ladders`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, select, update

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_records import LadderStatus, NewLadder, Subject
from order_to_cash.ledger.ladder_search import subject_columns
from order_to_cash.ledger.ladder_tables import LADDER, LADDER_CUSTOMER, POLICY


def open_new(
    database: Database, connection: Connection, ladders: Sequence[NewLadder], now: datetime
) -> set[str]:
    """See `Ladders.open`."""
    _require_policies(database, connection, {one.policy_version for one in ladders})
    # In one order everywhere: two writers that share invoices would deadlock otherwise.
    rows = {one.invoice_id: _row(one, now) for one in sorted(ladders, key=lambda one: one.invoice_id)}
    customers = sorted({one.customer_id for one in ladders})
    free: dict[str, Any] = {"claim_token": "", "claimed_by": "", "lease_until": None}
    connection.execute(
        database.insert(LADDER_CUSTOMER).on_conflict_do_nothing(),
        [{"customer_id": customer_id} | free for customer_id in customers],
    )
    insert = database.insert(LADDER).on_conflict_do_nothing().returning(LADDER.c.invoice_id)
    return set(connection.scalars(insert, list(rows.values())))


def _require_policies(database: Database, connection: Connection, versions: Collection[str]) -> None:
    query = select(POLICY.c.version).where(database.among(POLICY.c.version, sorted(versions)))
    missing = set(versions) - set(connection.scalars(query))
    if missing:
        raise ConfigurationError(
            "A ladder was to begin with a dunning policy that the ledger does not keep.",
            code="policy_not_kept",
            remedy="Keep the policy in the ledger before ladders begin with it.",
            ids={"policy_version": ", ".join(sorted(missing))},
        )


def _row(one: NewLadder, now: datetime) -> dict[str, Any]:
    return {
        "invoice_id": one.invoice_id,
        "customer_id": one.customer_id,
        "collection_method": one.collection_method,
        "policy_version": one.policy_version,
        "status": LadderStatus.WAITING,
        "opened_at": now,
        "first_failed_at": one.first_failed_at,
        "ended_at": None,
        "end_reason": "",
        "next_step": "",
        "due_at": one.due_at,
        "generation": 1,
        "claim_token": "",
        "alarm_generation": 0,
        "alarm_run_id": "",
        "failures": 0,
        "code": "",
        "reason": "",
    } | subject_columns(Subject())


def wake(
    database: Database,
    connection: Connection,
    subjects: tuple[Collection[str], Collection[str]],
    at: datetime,
) -> int:
    """See `Ladders.wake`. `subjects`: ids of invoices, and of customers."""
    invoice_ids, customer_ids = (sorted(set(ids)) for ids in subjects)
    open_ones = LADDER.c.ended_at.is_(None)
    # Not one query with OR: that reads the whole table.
    of_customers = select(LADDER.c.invoice_id).where(
        database.among(LADDER.c.customer_id, customer_ids), open_ones
    )
    named = sorted({*invoice_ids, *(connection.scalars(of_customers) if customer_ids else ())})
    query = select(LADDER.c.invoice_id).where(database.among(LADDER.c.invoice_id, named), open_ones)
    ids = list(connection.scalars(query.order_by(LADDER.c.invoice_id).with_for_update()))
    sooner = case((LADDER.c.due_at < at, LADDER.c.due_at), else_=at)
    woken = update(LADDER).where(database.among(LADDER.c.invoice_id, ids))
    return connection.execute(woken.values(due_at=sooner, generation=LADDER.c.generation + 1)).rowcount
