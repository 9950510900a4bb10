"""How far each look-out has read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import WATERMARK, Watermark


class Watermarks:
    """Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, name: str) -> Watermark | None:
        """The watermark `name`, or None when nothing was read yet."""
        with self._database.read() as connection:
            row = connection.execute(select(WATERMARK).where(WATERMARK.c.name == name)).first()
        return Watermark(**row._mapping) if row else None

    def set(self, name: str, modstamp: datetime, record_id: str = "") -> bool:
        """Move it forward. False, and unchanged, when it stands there or further: it never goes back."""
        row = Watermark(
            name=name, modstamp=modstamp, record_id=record_id, set_at=self._clock.now()
        ).model_dump()
        with self._database.write() as connection:
            if self._database.insert_new(connection, WATERMARK, row):
                return True
            mark = select(WATERMARK).where(WATERMARK.c.name == name).with_for_update()
            stands = connection.execute(mark).one()
            # Compared here, not in SQL: PostgreSQL orders text by its locale, SQLite by bytes.
            if (stands.modstamp, stands.record_id) >= (modstamp, record_id):
                return False
            connection.execute(update(WATERMARK).where(WATERMARK.c.name == name).values(**row))
            return True

    def reset(self, name: str) -> None:
        """Forget it: the next look-out reads from its beginning."""
        with self._database.write() as connection:
            connection.execute(delete(WATERMARK).where(WATERMARK.c.name == name))
