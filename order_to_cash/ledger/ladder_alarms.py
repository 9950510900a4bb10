"""Which Prefect runs wake which ladders. The ledger is the truth and the run an alarm clock. Used through `Ladders`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_records import Alarm, LadderStatus
from order_to_cash.ledger.ladder_search import claimed, subject_of
from order_to_cash.ledger.ladder_tables import LADDER

_CURRENT = and_(LADDER.c.alarm_generation == LADDER.c.generation, LADDER.c.due_at.is_not(None))


def wanted(connection: Connection, after: datetime, now: datetime, limit: int) -> list[Alarm]:
    """See `Ladders.alarms_wanted`."""
    query = select(LADDER).where(
        LADDER.c.due_at.is_not(None),
        LADDER.c.due_at > after,
        LADDER.c.alarm_generation != LADDER.c.generation,
        # A look at what is held, rests or failed needs no process of its own.
        LADDER.c.status == LadderStatus.WAITING,
        LADDER.c.failures == 0,
        ~claimed(now),
    )
    return [_alarm(row) for row in connection.execute(query.order_by(LADDER.c.due_at).limit(limit))]


def set_runs(database: Database, connection: Connection, alarms: Sequence[tuple[str, int, str]]) -> set[str]:
    """See `Ladders.alarms_set`."""
    ids = sorted({invoice_id for invoice_id, _, _ in alarms})
    query = select(LADDER.c.invoice_id, LADDER.c.generation).where(
        database.among(LADDER.c.invoice_id, ids), LADDER.c.due_at.is_not(None)
    )
    rows = connection.execute(query.order_by(LADDER.c.invoice_id).with_for_update())
    generations: dict[str, int] = {row[0]: row[1] for row in rows}
    current = [one for one in alarms if generations.get(one[0]) == one[1]]
    if current:
        names = ("b_invoice_id", "b_generation", "b_run_id")
        connection.execute(_ARM, [dict(zip(names, one, strict=True)) for one in current])
    return {run_id for _, _, run_id in alarms} - {run_id for _, _, run_id in current}


_ARM = (
    update(LADDER)
    .where(LADDER.c.invoice_id == bindparam("b_invoice_id"))
    .values(alarm_generation=bindparam("b_generation"), alarm_run_id=bindparam("b_run_id"))
)


def current(database: Database, connection: Connection, run_ids: Sequence[str]) -> dict[str, str]:
    """See `Ladders.alarmed`."""
    query = select(LADDER.c.alarm_run_id, LADDER.c.invoice_id).where(
        LADDER.c.alarm_run_id != "", database.among(LADDER.c.alarm_run_id, run_ids), _CURRENT
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def all_current(connection: Connection, due_before: datetime | None) -> dict[str, str]:
    """See `Ladders.alarms_current`."""
    query = select(LADDER.c.alarm_run_id, LADDER.c.invoice_id).where(LADDER.c.alarm_run_id != "", _CURRENT)
    if due_before is not None:
        query = query.where(LADDER.c.due_at <= due_before)
    return {row[0]: row[1] for row in connection.execute(query)}


def stale(connection: Connection, limit: int) -> dict[str, str]:
    """See `Ladders.alarms_stale`."""
    idle = or_(LADDER.c.due_at.is_(None), LADDER.c.alarm_generation != LADDER.c.generation)
    query = select(LADDER.c.alarm_run_id, LADDER.c.invoice_id).where(LADDER.c.alarm_run_id != "", idle)
    return {row[0]: row[1] for row in connection.execute(query.order_by(LADDER.c.alarm_run_id).limit(limit))}


def forget(database: Database, connection: Connection, run_ids: Sequence[str]) -> int:
    """See `Ladders.alarms_gone`."""
    named = (LADDER.c.alarm_run_id != "", database.among(LADDER.c.alarm_run_id, run_ids))
    query = select(LADDER.c.invoice_id).where(*named).order_by(LADDER.c.invoice_id).with_for_update()
    ids = list(connection.scalars(query))
    gone = update(LADDER).where(database.among(LADDER.c.invoice_id, ids), *named)
    return connection.execute(gone.values(alarm_run_id="", alarm_generation=0)).rowcount


def _alarm(row: Row[tuple[object, ...]]) -> Alarm:
    return Alarm(
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        generation=row.generation,
        due_at=row.due_at,
        next_step=row.next_step,
        subject=subject_of(row),
        stale_run_id=row.alarm_run_id,
    )
