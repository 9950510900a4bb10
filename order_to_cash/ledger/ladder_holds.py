"""What people said about a ladder: hold it, or go on. Used through `Ladders`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from order_to_cash.domain.dunning.facts import Hold
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_records import PlacedHold
from order_to_cash.ledger.ladder_tables import HOLD


def subject_of(invoice_id: str, customer_id: str) -> str:
    """What a hold is about. Raises ValueError unless it is one of the two."""
    if bool(invoice_id) == bool(customer_id):
        raise ValueError("a hold is of one invoice or of one customer")
    return invoice_id or customer_id


def place(database: Database, connection: Connection, placed: PlacedHold) -> None:
    """See `Ladders.hold`. What was said of the same subject before is overwritten."""
    row = {
        "subject_id": placed.subject_id,
        "until": placed.until,
        "reason": placed.reason,
        "placed_by": placed.placed_by,
        "placed_at": placed.placed_at,
        "resumed_by": "",
        "resumed_at": None,
    }
    database.upsert(connection, HOLD, [row], ["subject_id"])


def take_back(connection: Connection, subject_id: str, by: str, now: datetime) -> bool:
    """Whether there was a hold in force on that very subject."""
    ended = update(HOLD).where(HOLD.c.subject_id == subject_id, _in_force(now))
    return connection.execute(ended.values(resumed_by=by, resumed_at=now)).rowcount == 1


def in_force(
    database: Database, connection: Connection, subject_ids: Sequence[str], now: datetime
) -> dict[str, Hold]:
    """Of these invoices and customers, who is held."""
    query = select(HOLD).where(database.among(HOLD.c.subject_id, subject_ids), _in_force(now))
    return {row.subject_id: Hold(until=row.until, reason=row.reason) for row in connection.execute(query)}


def all_in_force(connection: Connection, now: datetime) -> list[PlacedHold]:
    """See `Ladders.holds`."""
    query = select(HOLD).where(_in_force(now)).order_by(HOLD.c.placed_at, HOLD.c.subject_id)
    return [
        PlacedHold(
            subject_id=row.subject_id,
            until=row.until,
            reason=row.reason,
            placed_by=row.placed_by,
            placed_at=row.placed_at,
        )
        for row in connection.execute(query)
    ]


def _in_force(now: datetime) -> ColumnElement[bool]:
    return and_(HOLD.c.resumed_at.is_(None), or_(HOLD.c.until.is_(None), HOLD.c.until > now))
