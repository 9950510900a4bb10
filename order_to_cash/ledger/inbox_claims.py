"""Claiming events and saying what became of them. Used through `Inbox`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.events import EventState, StripeEvent
from order_to_cash.ledger.engine import LARGE_RESULT, Database
from order_to_cash.ledger.inbox_suspects import suspected, suspects
from order_to_cash.ledger.inbox_tables import BODY, INBOX, LONGEST_HISTORY, held_partitions, history_line

__all__ = [
    "LONGEST_HISTORY",
    "ClaimedEvent",
    "EventOutcome",
    "EventSource",
    "EventState",
    "Lane",
    "claim",
    "finish",
    "history_line",
    "renew",
]


class EventSource(StrEnum):
    """How it came: a webhook, List Events, a scan of objects, or a person who asked for it."""

    WEBHOOK = "webhook"
    LIST = "list"
    SCAN = "scan"
    REPLAY = "replay"


class Lane(IntEnum):
    """What is claimed first. Webhooks are live; what is fetched later or replayed catches up."""

    LIVE = 0
    CATCH_UP = 1

    @classmethod
    def of(cls, source: EventSource) -> Lane:
        return cls.LIVE if source is EventSource.WEBHOOK else cls.CATCH_UP


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event that this process alone may apply until `lease_until`. `attempts` counts this one, from 1.

    `died`: whoever claimed it before let the lease run out: how far it came, nobody knows.
    """

    seq: int
    event: StripeEvent
    source: EventSource
    received_at: datetime
    attempts: int
    replays: int
    token: str
    lease_until: datetime
    died: bool = False


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What became of a claimed event; made by the functions below."""

    claimed: ClaimedEvent
    state: EventState
    code: str = ""
    reason: str = ""
    remedy: str = ""
    due_at: datetime | None = None

    @classmethod
    def done(cls, claimed: ClaimedEvent) -> EventOutcome:
        """Salesforce shows it, or something newer."""
        return cls(claimed, EventState.DONE)

    @classmethod
    def ignored(cls, claimed: ClaimedEvent) -> EventOutcome:
        """No recipe follows its type, or it is history of a customer whom Salesforce does not know."""
        return cls(claimed, EventState.IGNORED)

    @classmethod
    def retry(cls, claimed: ClaimedEvent, error: O2CError, due_at: datetime) -> EventOutcome:
        """Try it again from `due_at` on."""
        return cls(claimed, EventState.RETRY, error.code, error.message, error.remedy, due_at)

    @classmethod
    def parked(cls, claimed: ClaimedEvent, error: O2CError) -> EventOutcome:
        """Hold it until a person replays it."""
        return cls(claimed, EventState.PARKED, error.code, error.message, error.remedy)

    @classmethod
    def released(cls, claimed: ClaimedEvent) -> EventOutcome:
        """Nothing was tried, as when the process ends: anyone may take it at once; the attempt is not counted."""
        return cls(claimed, EventState.PENDING)


_OWN = ("seq", "source", "received_at", "attempts", "replays", "state")
_EVENT = tuple(field.name for field in fields(StripeEvent) if field.name != "body")
assert fields(StripeEvent)[-1].name == "body"
_COLUMNS = tuple(INBOX.c[name] for name in (*_OWN, *_EVENT))


def claim(
    database: Database,
    connection: Connection,
    owner: str,
    limit: int,
    until: tuple[datetime, datetime],
    lanes: Collection[Lane],
    more: int = 0,
) -> list[ClaimedEvent]:
    """See `Inbox.claim`. `until`: now, and the end of the lease."""
    now, lease_until = until
    rows: list[Row[Any]] = []
    for lane in sorted(lanes):
        if len(rows) < limit:
            rows += connection.execute(_due(lane, now, limit - len(rows))).all()
    if not rows:
        rows = suspects(connection, _COLUMNS, lanes, now, limit)
        if not rows:
            return []
    elif more and len(rows) == limit:
        rows += connection.execute(_beside(database, rows, lanes, now, more)).all()
    token, seqs = uuid4().hex, [row.seq for row in rows]
    taken = update(INBOX).where(database.among(INBOX.c.seq, seqs))
    connection.execute(
        taken.values(
            state=EventState.CLAIMED,
            due_at=lease_until,
            claim_token=token,
            claimed_by=owner,
            attempts=INBOX.c.attempts + 1,
        )
    )
    bodies = _bodies(database, connection, seqs)
    return [_claimed(row[: len(_COLUMNS)], bodies.get(row[0], b""), token, lease_until) for row in rows]


def _due(lane: Lane, now: datetime, limit: int) -> Any:
    return (
        select(*_COLUMNS)
        .where(
            INBOX.c.lane == lane,
            INBOX.c.due_at <= now,
            INBOX.c.partition.not_in(held_partitions(now)),
            ~suspected(),
        )
        .order_by(INBOX.c.due_at, INBOX.c.created)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _beside(
    database: Database, rows: Sequence[Row[Any]], lanes: Collection[Lane], now: datetime, limit: int
) -> Any:
    """What else is due of the partitions that were claimed: they would have to wait for this claim's end."""
    partitions = sorted({row.partition for row in rows})
    return (
        select(*_COLUMNS)
        .where(
            INBOX.c.finished_at.is_(None),
            INBOX.c.state.in_([EventState.PENDING, EventState.RETRY]),
            database.among(INBOX.c.partition, partitions),
            INBOX.c.due_at <= now,
            INBOX.c.lane.in_(sorted(lanes)),
            ~database.among(INBOX.c.seq, [row.seq for row in rows]),
        )
        .order_by(INBOX.c.due_at, INBOX.c.created)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _bodies(database: Database, connection: Connection, seqs: Sequence[int]) -> dict[int, bytes]:
    """Apart from the rows: PostgreSQL, before it knows how many there are, joins first and limits then."""
    query = select(BODY.c.seq, BODY.c.body).where(database.among(BODY.c.seq, seqs))
    found = connection.execute(query.execution_options(**LARGE_RESULT)).all()
    return {row[0]: row[1] for row in found}


def _claimed(row: Sequence[Any], body: bytes, token: str, lease_until: datetime) -> ClaimedEvent:
    # By position: 2,000 rows by name took 25 ms more.
    seq, source, received_at, attempts, replays, state, *event = row
    return ClaimedEvent(
        seq,
        StripeEvent(*(*event, body)),
        EventSource(source),
        received_at,
        attempts + 1,
        replays,
        token,
        lease_until,
        state == EventState.CLAIMED,
    )


def renew(
    database: Database,
    connection: Connection,
    claims: Sequence[ClaimedEvent],
    until: tuple[datetime, datetime],
) -> int:
    """See `Inbox.renew`. `until`: now, and the end of the lease."""
    now, lease_until = until
    held = 0
    for token, seqs in _by_token(claims).items():
        mine = database.among(INBOX.c.seq, seqs) & (INBOX.c.claim_token == token) & (INBOX.c.due_at > now)
        held += connection.execute(update(INBOX).where(mine).values(due_at=lease_until)).rowcount
    return held


def finish(
    database: Database, connection: Connection, outcomes: Sequence[EventOutcome], now: datetime
) -> int:
    """See `Inbox.finish`."""
    finished = 0
    plain: defaultdict[EventState, list[ClaimedEvent]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.state in {EventState.DONE, EventState.IGNORED}:
            plain[outcome.state].append(outcome.claimed)
    for state, claims in plain.items():
        ended = {"state": state, "due_at": None, "finished_at": now, "claim_token": ""}
        ended |= {"code": "", "reason": "", "remedy": ""}
        for token, seqs in _by_token(claims).items():
            mine = database.among(INBOX.c.seq, seqs) & (INBOX.c.claim_token == token)
            finished += connection.execute(update(INBOX).where(mine).values(**ended)).rowcount
    rest = [_turn(outcome, now) for outcome in outcomes if outcome.state not in plain]
    if rest:
        finished += connection.execute(_TURNED, sorted(rest, key=lambda turn: turn["b_seq"])).rowcount
    return finished


_TURNED = (
    update(INBOX)
    .where(INBOX.c.seq == bindparam("b_seq"), INBOX.c.claim_token == bindparam("b_token"))
    .values(
        claim_token="",
        state=bindparam("b_state"),
        code=bindparam("b_code"),
        reason=bindparam("b_reason"),
        remedy=bindparam("b_remedy"),
        due_at=bindparam("b_due_at"),
        attempts=INBOX.c.attempts - bindparam("b_uncounted"),
        history=case(
            (func.length(INBOX.c.history) < LONGEST_HISTORY, INBOX.c.history + bindparam("b_line")),
            else_=INBOX.c.history,
        ),
    )
)


def _turn(outcome: EventOutcome, now: datetime) -> dict[str, Any]:
    state = outcome.state
    if state is EventState.CLAIMED or (state is EventState.RETRY) != (outcome.due_at is not None):
        raise ValueError(f"no outcome: {state}, due {outcome.due_at}")
    released = state is EventState.PENDING
    return {
        "b_seq": outcome.claimed.seq,
        "b_token": outcome.claimed.token,
        "b_state": state,
        "b_code": outcome.code,
        "b_reason": outcome.reason,
        "b_remedy": outcome.remedy,
        "b_due_at": outcome.claimed.received_at if released else outcome.due_at,
        "b_uncounted": int(released),
        "b_line": history_line(now, state, outcome.code),
    }


def _by_token(claims: Sequence[ClaimedEvent]) -> dict[str, list[int]]:
    seqs: defaultdict[str, list[int]] = defaultdict(list)
    for claimed in claims:
        seqs[claimed.token].append(claimed.seq)
    return {token: sorted(seqs[token]) for token in sorted(seqs)}
