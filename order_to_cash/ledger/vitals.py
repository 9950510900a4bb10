"""How the work does, in numbers: what waits, what is parked, what failed lately, what webhooks did not bring."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, or_, select

from order_to_cash.domain.alerts import CALL_WINDOW, ERROR_WINDOW, GAP_WINDOW, Calls, Parked, Vitals
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_claims import EventSource, EventState, Lane
from order_to_cash.ledger.inbox_search import CLOSED, history_of
from order_to_cash.ledger.inbox_tables import INBOX, InboxRow
from order_to_cash.ledger.tables import AUDIT

# What happened lately is looked for among the newest arrivals: there is no index on moments that all rows pay for.
# All of it took 24 ms beside 200,000 finished events, 60 ms when 20,000 more waited (SQLite, 2 busy cores).
NEWEST = 10_000
# Catch-up may list an event before its webhook arrives: only one older than that was missed.
_ON_ITS_WAY = timedelta(minutes=5)
_PATIENCE = timedelta(hours=1)

# 400 is a field that is hidden as well as a mistake of ours, 401 a login, 403 a right.
_REFUSED = (400, 401, 403)

_C = INBOX.c
# `finished_at` as the index of what is open says it.
_WAITING = and_(
    _C.finished_at.is_(None), _C.state.in_([EventState.PENDING, EventState.CLAIMED, EventState.RETRY])
)
_PARKED = and_(_C.finished_at.is_(None), _C.state == EventState.PARKED)
# What a scan stores are no events.
_FETCHED = _C.source == EventSource.LIST


def ledger_vitals(database: Database, now: datetime) -> Vitals:
    """What the ledger knows of the vitals, in one read transaction. Raises Unavailable."""
    with database.read() as connection:
        waiting = connection.execute(_waiting()).one()
        failed = _failed_longest(connection, [waiting.failed, waiting.reopened])
        parked = connection.execute(select(func.count()).where(_PARKED)).scalar_one()
        lately = connection.execute(_lately(now)).one()
        missed = _missed(connection, now) if lately.fetched else None
        return Vitals(
            at=now,
            waiting=waiting.events,
            oldest_waiting=_oldest(waiting.live, _first(waiting.catching_up, failed), now),
            parked=parked,
            first_parked=_first_parked(connection) if parked else None,
            oldest_failed=failed,
            tried=(lately.done or 0) + (lately.failed or 0),
            failed=lately.failed or 0,
            calls=_calls(connection, now),
            missed=missed.events if missed else 0,
            missed_since=missed.since if missed else None,
            quiet_since=_quiet_since(lately.webhook, lately.fetched),
            webhook_at=lately.webhook,
        )


def _waiting() -> Select[Any]:
    """Since when: since it arrived, or, where it was reopened and not tried yet, since it was to be taken up again.

    What was reopened and failed since is due later each time: `_failed_longest` says since when it waits.
    """
    since = case((_C.replays == 0, _C.received_at), (_C.attempts == 0, _C.due_at))
    failed = and_(_C.attempts > 0, _C.code != "")
    return select(
        func.count().label("events"),
        func.min(case((_C.lane == Lane.LIVE, since))).label("live"),
        func.min(case((_C.lane != Lane.LIVE, since))).label("catching_up"),
        func.min(case((and_(failed, _C.replays == 0), _C.seq))).label("failed"),
        func.min(case((and_(failed, _C.replays > 0), _C.seq))).label("reopened"),
    ).where(_WAITING)


def _failed_longest(connection: Connection, seqs: Sequence[int | None]) -> Parked | None:
    """Which of these has been tried in vain for longest, and why the last try failed."""
    found = connection.execute(select(INBOX).where(_C.seq.in_([seq for seq in seqs if seq is not None])))
    rows = [InboxRow(**row._mapping) for row in found]
    return min(
        (Parked(_since(row), row.code, row.reason, row.remedy) for row in rows),
        key=lambda one: one.since,
        default=None,
    )


def _since(row: InboxRow) -> datetime:
    """When it arrived, or was reopened: what stands after its last end."""
    turns = history_of(row)
    ends = [index for index, turn in enumerate(turns) if turn.state in CLOSED]
    return turns[min(ends[-1] + 1, len(turns) - 1)].at if ends else row.received_at


def _first(catching_up: datetime | None, failed: Parked | None) -> datetime | None:
    moments = (catching_up, failed.since if failed else None)
    return min((moment for moment in moments if moment), default=None)


def _oldest(live: datetime | None, catching_up: datetime | None, now: datetime) -> datetime | None:
    """What catches up, such as the first look at all objects, gives way to what is live: it may take its time."""
    late = catching_up if catching_up and now - catching_up >= _PATIENCE else None
    return min((since for since in (live, late, now) if since), default=None) if live or late else None


def _lately(now: datetime) -> Select[Any]:
    start = now - ERROR_WINDOW
    done = and_(_C.state == EventState.DONE, _C.finished_at >= start)
    # When it was parked stands in no column; most are at their first try.
    parked = and_(_C.state == EventState.PARKED, _C.received_at >= start)
    failed = case((parked, 1), (_C.state == EventState.RETRY, 1), else_=0)
    return select(
        func.sum(case((done, 1), else_=0)).label("done"),
        func.sum(failed).label("failed"),
        func.max(case((_C.source == EventSource.WEBHOOK, _C.received_at))).label("webhook"),
        func.max(case((_FETCHED, _C.created))).label("fetched"),
    ).where(_newest())


def _calls(connection: Connection, now: datetime) -> tuple[Calls, ...]:
    """Refusals of what we may do count, and what the vendor could not do; a declined card or a missing record not."""
    status = AUDIT.c.status
    unanswered = and_(status.is_(None), AUDIT.c.error != "")
    failed = or_(unanswered, status >= 500, status.in_(_REFUSED))
    lately = and_(AUDIT.c.started_at >= now - CALL_WINDOW, AUDIT.c.system.in_(("stripe", "salesforce")))
    query = select(
        AUDIT.c.system,
        func.count().label("made"),
        func.sum(case((failed, 1), else_=0)).label("failed"),
        func.max(case((failed, AUDIT.c.seq))).label("last"),
    )
    counted = connection.execute(query.where(lately).group_by(AUDIT.c.system)).all()
    seqs = [row.last for row in counted if row.last is not None]
    lasts = connection.execute(select(AUDIT.c.seq, status, AUDIT.c.error).where(AUDIT.c.seq.in_(seqs))).all()
    errors = {row.seq: f"{row.status or 'no answer'} {row.error}".strip() for row in lasts}
    return tuple(Calls(row.system, row.made, row.failed, errors.get(row.last, "")) for row in counted)


def _missed(connection: Connection, now: datetime) -> Row[Any] | None:
    """Events that a webhook should have brought. Before the first webhook ever, nothing was missed."""
    first = select(_C.received_at).where(_C.source == EventSource.WEBHOOK).order_by(_C.seq).limit(1)
    since = connection.execute(first).scalar()
    late = and_(_FETCHED, _C.received_at >= now - GAP_WINDOW, _newest())
    query = select(func.count().label("events"), func.min(_C.created).label("since")).where(late)
    if since is None:
        return None
    # Compared with the present: arithmetic with moments differs between databases.
    return connection.execute(query.where(_C.created >= since, _C.created < now - _ON_ITS_WAY)).one()


def _quiet_since(webhook: datetime | None, fetched: datetime | None) -> datetime | None:
    """When webhooks fell silent, if there were events after the last of them."""
    return webhook if webhook and fetched and fetched > webhook + _ON_ITS_WAY else None


def _first_parked(connection: Connection) -> Parked | None:
    found = connection.execute(select(INBOX).where(_PARKED).order_by(_C.seq).limit(1)).first()
    if found is None:
        return None
    row = InboxRow(**found._mapping)
    since = [turn.at for turn in history_of(row) if turn.state == EventState.PARKED]
    return Parked(since[-1] if since else row.received_at, row.code, row.reason, row.remedy)


def _newest() -> Any:
    newest = select(func.max(_C.seq)).scalar_subquery()
    return _C.seq > newest - NEWEST
