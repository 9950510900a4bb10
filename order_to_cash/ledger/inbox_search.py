"""Finding events and opening them again. Used through `Inbox`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, exists, func, select, update

from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_claims import LONGEST_HISTORY, EventState, Lane, history_line
from order_to_cash.ledger.inbox_tables import BODY, INBOX, InboxRow

CLOSED = (EventState.PARKED, EventState.DONE, EventState.IGNORED)
"""What can be opened again. Of the others, nothing needs to be: a drain has them or will take them."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; what is empty does not narrow. `since <= created < until`.

    `types` are Stripe's, such as ``invoice.paid``, or a group of them as Stripe writes it: ``invoice.*``.
    """

    event_ids: tuple[str, ...] = ()
    states: tuple[EventState, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    object_id: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of an event's history: `why` is a code, or how it came."""

    at: datetime
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Reopened:
    """What `Inbox.reopen` did, or would do.

    `events`: opened again, as they stood before, oldest first. `left`: how many more match. `waiting`: how many match
    and wait already or are being applied. `unknown`: asked for by id and not in the inbox. `without_body`: done so
    long ago that their body is gone.
    """

    events: tuple[InboxRow, ...]
    left: int
    waiting: int
    unknown: tuple[str, ...]
    without_body: tuple[str, ...]


def history_of(row: InboxRow) -> list[Turn]:
    """All that is known of an event's way, oldest first."""
    turns = [Turn(row.received_at, "received", row.source)]
    for line in row.history.splitlines():
        at, state, *why = line.split(" ", 2)
        turns.append(Turn(datetime.fromisoformat(at), state, "".join(why)))
    if row.finished_at is not None:
        turns.append(Turn(row.finished_at, row.state, ""))
    elif row.state == EventState.CLAIMED and row.due_at is not None:
        turns.append(Turn(row.due_at, "claimed until", row.claimed_by))
    return turns


def find(database: Database, connection: Connection, wanted: EventFilter, limit: int) -> list[InboxRow]:
    """See `Inbox.find`."""
    query = select(INBOX).where(_matches(database, wanted))
    query = query.order_by(INBOX.c.created.desc(), INBOX.c.seq.desc()).limit(limit)
    return [InboxRow(**row._mapping) for row in connection.execute(query)]


def reopen(
    database: Database,
    connection: Connection,
    wanted: EventFilter,
    cap: int,
    now: datetime,
    *,
    dry_run: bool,
) -> Reopened:
    """See `Inbox.reopen`."""
    matches = _matches(database, wanted)
    has_body = exists().where(BODY.c.seq == INBOX.c.seq)
    closed = and_(matches, INBOX.c.state.in_(CLOSED))
    query = select(INBOX).where(closed, has_body).order_by(INBOX.c.created, INBOX.c.seq).limit(cap)
    rows = connection.execute(query if dry_run else query.with_for_update()).all()
    left = max(0, _count(connection, and_(closed, has_body)) - len(rows))
    waiting = _count(connection, and_(matches, INBOX.c.state.not_in(CLOSED)))
    gone = connection.scalars(select(INBOX.c.event_id).where(closed, ~has_body).order_by(INBOX.c.seq)).all()
    if rows and not dry_run:
        connection.execute(_REOPENED, [_reopening(row, now) for row in sorted(rows, key=lambda row: row.seq)])
    return Reopened(
        events=tuple(InboxRow(**row._mapping) for row in rows),
        left=left,
        waiting=waiting,
        unknown=_unknown(database, connection, wanted.event_ids),
        without_body=tuple(gone),
    )


_REOPENED = (
    update(INBOX)
    .where(INBOX.c.seq == bindparam("b_seq"))
    .values(
        state=EventState.PENDING,
        lane=Lane.CATCH_UP,
        due_at=bindparam("b_now"),
        attempts=0,
        claim_token="",
        code="",
        reason="",
        remedy="",
        finished_at=None,
        replays=INBOX.c.replays + 1,
        history=case(
            (func.length(INBOX.c.history) < LONGEST_HISTORY, INBOX.c.history + bindparam("b_lines")),
            else_=INBOX.c.history,
        ),
    )
)


def _reopening(row: Row[Any], now: datetime) -> dict[str, Any]:
    ended = history_line(row.finished_at, row.state) if row.finished_at else ""
    return {
        "b_seq": row.seq,
        "b_now": now,
        "b_lines": ended + history_line(now, EventState.PENDING, "replay"),
    }


def _matches(database: Database, wanted: EventFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [INBOX.c.seq > 0]
    if wanted.event_ids:
        conditions.append(database.among(INBOX.c.event_id, wanted.event_ids))
    if wanted.states:
        conditions.append(INBOX.c.state.in_(wanted.states))
    if wanted.types:
        conditions.append(_of_types(wanted.types))
    if wanted.since is not None:
        conditions.append(INBOX.c.created >= wanted.since)
    if wanted.until is not None:
        conditions.append(INBOX.c.created < wanted.until)
    if wanted.object_id:
        conditions.append(INBOX.c.object_id == wanted.object_id)
    return and_(*conditions)


def _of_types(types: Sequence[str]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = INBOX.c.type.in_([name for name in types if not name.endswith("*")])
    for name in types:
        if name.endswith("*"):
            condition |= INBOX.c.type.startswith(name.removesuffix("*"), autoescape=True)
    return condition


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(INBOX).where(condition)) or 0


def _unknown(database: Database, connection: Connection, event_ids: Collection[str]) -> tuple[str, ...]:
    if not event_ids:
        return ()
    known = connection.scalars(
        select(INBOX.c.event_id).where(database.among(INBOX.c.event_id, list(event_ids)))
    )
    missing = set(event_ids) - set(known)
    return tuple(event_id for event_id in dict.fromkeys(event_ids) if event_id in missing)
