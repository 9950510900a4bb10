"""Reading effects by the beginning of their keys, for people who look at what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import OPERATION

_IN_WORDS = {"intended": "not known whether it was", "succeeded": "done", "refused": "refused"}


@dataclass(frozen=True, slots=True)
class Written:
    """One effect. `said`: how it stands, in words. `outcome`: ids from the far side. `error`: why it was refused."""

    key: str
    kind: str
    said: str
    at: datetime
    outcome: dict[str, Any]
    error: str = ""


def effects_under(database: Database, prefixes: Sequence[str], limit: int = 200) -> list[Written]:
    """Effects whose keys begin with one of `prefixes`, oldest first. Reads the whole table. Raises Unavailable."""
    if not prefixes:
        return []
    begins = or_(*(OPERATION.c.key.startswith(prefix, autoescape=True) for prefix in prefixes))
    query = select(OPERATION).where(begins).order_by(OPERATION.c.intended_at, OPERATION.c.key).limit(limit)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        Written(
            key=row.key,
            kind=row.kind,
            said=_IN_WORDS[row.state],
            at=row.finished_at or row.intended_at,
            outcome=row.outcome,
            error=str(row.error.get("message", "")),
        )
        for row in rows
        if row.key.startswith(tuple(prefixes))  # SQLite's LIKE takes small letters for capitals
    ]
