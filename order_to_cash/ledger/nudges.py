"""Salesforce records that are said to have changed. A hint: when one is lost, the next look-out finds the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select

from order_to_cash.domain.clock import Clock
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_tables import NUDGE

_KEY = ("org_id", "sobject", "record_id")


@dataclass(frozen=True, slots=True)
class Nudge:
    """One record to be read again."""

    org_id: str
    sobject: str
    record_id: str
    received_at: datetime


class Nudges:
    """Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, org_id: str, sobject: str, record_ids: Iterable[str]) -> None:
        """Remember that these records changed. Many nudges for one record are one."""
        now = self._clock.now()
        rows = [
            {"org_id": org_id, "sobject": sobject, "record_id": record_id, "received_at": now}
            for record_id in sorted(set(record_ids))
        ]
        with self._database.write() as connection:
            self._database.upsert(connection, NUDGE, rows, _KEY)

    def take(self, limit: int = 1000) -> list[Nudge]:
        """The oldest ones, which are forgotten with that. Several processes never get the same one."""
        with self._database.read() as connection:  # asked every second: an empty table costs no write
            if not connection.scalar(select(exists(select(NUDGE.c.record_id)))):
                return []
        oldest = (
            select(NUDGE)
            .order_by(NUDGE.c.received_at, *(NUDGE.c[name] for name in _KEY))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as connection:
            taken = [Nudge(**row._mapping) for row in connection.execute(oldest)]
            for nudge in taken:
                same = [NUDGE.c[name] == getattr(nudge, name) for name in _KEY]
                connection.execute(delete(NUDGE).where(*same))
        return taken
