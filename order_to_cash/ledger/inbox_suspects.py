"""Events whose drain died, again and again: one of them may be what kills it.

From their third try on, events whose lease ran out are handed out apart, a few at a time over all drains, when nothing
else waits: a hundred, then ten, then one. So the innocent ones get done, and the one that kills every process that
touches it is parked after six deaths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_tables import INBOX, LONGEST_HISTORY, held_partitions, history_line

APART_FROM = 3  # tries
PARKED_AFTER = 6  # deaths
# Deaths → how many are tried together. A drain that is killed thrice for reasons of its own leaves a whole claim, up to
# 6,000 events; one at a time they took as many batches, and a day's calls.
_TOGETHER = {4: 10, 5: 1}
_MOST_TOGETHER = 100
DRAIN_DIED = "drain_died"
_REASON = "The process that applied this event died each time."
_REMEDY = "See the drain's log and the kernel's (memory). Report it; replay the event with the next version."


def suspected() -> ColumnElement[bool]:
    """Claimed for the third time at least, by somebody who lets it lie or still has it."""
    return and_(
        INBOX.c.finished_at.is_(None), INBOX.c.state == EventState.CLAIMED, INBOX.c.attempts >= APART_FROM
    )


def suspects(
    connection: Connection, columns: Collection[Any], lanes: Collection[int], now: datetime, limit: int
) -> list[Row[Any]]:
    """At most `limit` whose turn it is; none when there are none, or some are being tried.

    Parks what died too often.
    """
    tried = select(INBOX.c.seq).where(suspected(), INBOX.c.attempts > APART_FROM, INBOX.c.due_at > now)
    if connection.execute(tried.limit(1)).first() is not None:
        return []
    query = (
        select(*columns, INBOX.c.attempts.label("tries"), INBOX.c.history)
        .where(
            suspected(),
            INBOX.c.due_at <= now,
            INBOX.c.lane.in_(sorted(lanes)),
            INBOX.c.partition.not_in(held_partitions(now)),
        )
        .order_by(INBOX.c.attempts, INBOX.c.due_at, INBOX.c.created)
        .limit(_MOST_TOGETHER)
        .with_for_update(skip_locked=True)
    )
    while rows := connection.execute(query).all():
        if group := _group(connection, rows, now, limit):
            return group
    return []


def _group(connection: Connection, rows: Sequence[Row[Any]], now: datetime, most: int) -> list[Row[Any]]:
    """The first of them, as many as may be tried together."""
    group: list[Row[Any]] = []
    for row in rows:
        deaths = _deaths(row)
        if deaths >= PARKED_AFTER and len(row.history) < LONGEST_HISTORY:
            _park(connection, row, now)
            continue
        most = min(most, _together(deaths))
        if len(group) >= most:
            break
        group.append(row)
    return group


def _deaths(row: Row[Any]) -> int:
    """A history of the greatest length is no longer written on: it does not say how often it failed in good order."""
    deaths: int = row.tries - row.history.count(f" {EventState.RETRY} ")
    return deaths


def _together(deaths: int) -> int:
    return _MOST_TOGETHER if deaths < min(_TOGETHER) else _TOGETHER.get(deaths, 1)


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
