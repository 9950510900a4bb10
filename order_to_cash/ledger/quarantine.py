"""Records that are not fit to be billed: why, whose they are, and whether the owner was told.

No personal data: `message` and `remedy` name fields and codes, never a field's content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import QUARANTINE, QuarantineEntry

_KEY = ("record_type", "record_id", "code")


@dataclass(frozen=True)
class Held:
    """One reason why one record is held. `digest` is over the record's content that was judged."""

    record_type: str
    record_id: str
    code: str
    field: str
    message: str
    remedy: str
    owner_id: str
    digest: str
    system_modstamp: datetime | None = None


class Quarantine:
    """One open row for each record and reason. Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, held: Held) -> bool:
        """Hold the record for this reason. True when that is news: first, changed, or back again."""
        with self._database.write() as connection:
            return bool(self._put(connection, [held]))

    def put_many(self, batch: Sequence[Held]) -> list[Held]:
        """All reasons of each record in `batch`, in one transaction; those that are news.

        A reason that one of these records was held for and that is not named any more is resolved.
        """
        with self._database.write() as connection:
            self._database.serialize(connection, "quarantine")  # batches share records in any order
            named = {(held.record_type, held.record_id, held.code) for held in batch}
            for row in self._open_rows(connection, {held.record_id for held in batch}):
                if (row.record_type, row.record_id, row.code) not in named:
                    self._update([row], connection, resolved_at=self._clock.now())
            return self._put(connection, batch)

    def resolve(self, record_id: str) -> int:
        """The record passed: close its rows; how many there were."""
        return self.resolve_many([record_id])

    def resolve_many(self, record_ids: Iterable[str]) -> int:
        """`resolve` for many in one transaction."""
        statement = (
            update(QUARANTINE)
            .where(QUARANTINE.c.record_id.in_(list(record_ids)), QUARANTINE.c.resolved_at.is_(None))
            .values(resolved_at=self._clock.now())
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount

    def is_held(self, record_id: str, digest: str) -> bool:
        """Whether the record is held with exactly this content: judging it again would say the same."""
        return self.held_among({record_id: digest}) == {record_id}

    def held_among(self, digests: Mapping[str, str]) -> set[str]:
        """Of `digests` (record id → content digest), the record ids for which `is_held`."""
        query = select(QUARANTINE.c.record_id, QUARANTINE.c.digest).where(
            QUARANTINE.c.record_id.in_(list(digests)), QUARANTINE.c.resolved_at.is_(None)
        )
        with self._database.read() as connection:
            return {
                row.record_id for row in connection.execute(query) if row.digest == digests[row.record_id]
            }

    def open(self, limit: int = 1000) -> list[QuarantineEntry]:
        """What is held now, oldest first."""
        return self._entries(QUARANTINE.c.resolved_at.is_(None), limit)

    def untold(self, limit: int = 1000) -> list[QuarantineEntry]:
        """What is held and whose owner was not told of this content yet, also after a crash; oldest first."""
        return self._entries(and_(QUARANTINE.c.resolved_at.is_(None), QUARANTINE.c.told_at.is_(None)), limit)

    def told(self, entries: Sequence[QuarantineEntry]) -> None:
        """The owners were told of these. A row whose content changed since it was read stays untold."""
        now = self._clock.now()
        with self._database.write() as connection:
            for entry in entries:
                same = and_(_is(entry), QUARANTINE.c.digest == entry.digest)
                same = and_(same, QUARANTINE.c.times_opened == entry.times_opened)
                connection.execute(update(QUARANTINE).where(same).values(told_at=now))

    def _put(self, connection: Connection, batch: Sequence[Held]) -> list[Held]:
        now = self._clock.now()
        return [held for held in batch if self._put_one(connection, held, now)]

    def _put_one(self, connection: Connection, held: Held, now: datetime) -> bool:
        opened = {"times_opened": 1, "opened_at": now, "told_at": None, "resolved_at": None}
        if self._database.insert_new(connection, QUARANTINE, vars(held) | opened):
            return True
        query = select(QUARANTINE).where(_is(held)).with_for_update()
        row = connection.execute(query).one()
        if row.resolved_at is None and row.digest == held.digest:
            return False
        changed = vars(held) | opened | {"times_opened": row.times_opened + 1}
        connection.execute(update(QUARANTINE).where(_is(held)).values(**changed))
        return True

    def _open_rows(self, connection: Connection, record_ids: set[str]) -> list[Row[Any]]:
        query = (
            select(QUARANTINE)
            .where(QUARANTINE.c.record_id.in_(record_ids), QUARANTINE.c.resolved_at.is_(None))
            .order_by(*(QUARANTINE.c[name] for name in _KEY))
            .with_for_update()
        )
        return list(connection.execute(query))

    @staticmethod
    def _update(rows: Sequence[Row[Any]], connection: Connection, **values: Any) -> None:
        connection.execute(update(QUARANTINE).where(or_(*(_is(row) for row in rows))).values(**values))

    def _entries(self, condition: Any, limit: int) -> list[QuarantineEntry]:
        query = select(QUARANTINE).where(condition).order_by(QUARANTINE.c.opened_at, QUARANTINE.c.record_id)
        with self._database.read() as connection:
            return [QuarantineEntry(**row._mapping) for row in connection.execute(query.limit(limit))]


def _is(row: Any) -> Any:
    return and_(*(QUARANTINE.c[name] == getattr(row, name) for name in _KEY))
