"""Events whose drain died, again and again: one of them may be what kills it.

From their third try on, events whose lease ran out are handed out alone, one at a time over all drains, when nothing
else waits. So the innocent
ones get done, and the one that kills every process that touches it is parked after six deaths.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_tables import INBOX, LONGEST_HISTORY, held_partitions, history_line

ALONE_FROM = 3  # tries
PARKED_AFTER = 6  # deaths
DRAIN_DIED = "drain_died"
_REASON = "The process that applied this event died each time."
_REMEDY = "See the drain's log and the kernel's (memory). Report it; replay the event with the next version."


def suspected() -> ColumnElement[bool]:
    """Claimed for the third time at least, by somebody who lets it lie or still has it."""
    return and_(
        INBOX.c.finished_at.is_(None), INBOX.c.state == EventState.CLAIMED, INBOX.c.attempts >= ALONE_FROM
    )


def alone(
    connection: Connection, columns: Collection[Any], lanes: Collection[int], now: datetime
) -> Row[Any] | None:
    """The suspect whose turn it is; None when there is none, or one is being tried. Parks what died too often.

    A history of the greatest length is no longer written on: it does not say how often the event failed in good order.
    """
    tried = select(INBOX.c.seq).where(suspected(), INBOX.c.attempts > ALONE_FROM, INBOX.c.due_at > now)
    if connection.execute(tried.limit(1)).first() is not None:
        return None
    query = (
        select(*columns, INBOX.c.attempts.label("tries"), INBOX.c.history)
        .where(
            suspected(),
            INBOX.c.due_at <= now,
            INBOX.c.lane.in_(sorted(lanes)),
            INBOX.c.partition.not_in(held_partitions(now)),
        )
        .order_by(INBOX.c.attempts, INBOX.c.due_at, INBOX.c.created)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (row := connection.execute(query).first()) is not None:
        deaths = row.tries - row.history.count(f" {EventState.RETRY} ")
        if deaths < PARKED_AFTER or len(row.history) >= LONGEST_HISTORY:
            return row
        _park(connection, row, now)
    return None


def _park(connection: Connection, row: Row[Any], now: datetime) -> None:
    connection.execute(
        update(INBOX)
        .where(INBOX.c.seq == row.seq)
        .values(
            state=EventState.PARKED,
            due_at=None,
            claim_token="",
            code=DRAIN_DIED,
            reason=_REASON,
            remedy=_REMEDY,
            history=row.history + history_line(now, EventState.PARKED, DRAIN_DIED),
        )
    )
