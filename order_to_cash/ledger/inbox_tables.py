"""Tables of the way from Stripe to Salesforce: events that arrived, what Salesforce shows, what changed there.

`ledger_inbox_body` holds events as Stripe sent them, personal data included, for as long as they may be replayed.
It is a table of its own because a row is written again when it is claimed and when it is done: claiming and
finishing 2,000 events of 5 KB took 170 ms together with bodies in the row, and 50 ms without (SQLite).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, LargeBinary, Select, SmallInteger, Text, UniqueConstraint, select, text
from sqlmodel import Field

from order_to_cash.domain.events import EventState
from order_to_cash.ledger.tables import METADATA, SEQUENCE, LedgerTable, UtcDateTime

LONGEST_HISTORY = 4000
"""Characters; later turns are only counted (`attempts`, `replays`)."""

_OPEN = text("finished_at IS NULL")  # what a query must say too, or SQLite does not use the index
_WAITING = text("due_at IS NOT NULL")


class InboxRow(LedgerTable, table=True):
    """One Stripe event, once for each account and mode. The body stands in `ledger_inbox_body`.

    `due_at`: from when on a drain may take it: at once, at its retry's time, when a claim's lease ends; None when it
    is parked or finished. `finished_at`: when it was done or ignored. `partition`: what must not be written twice at
    once. `history`: a line for each turn that was not the usual way; codes and moments, no personal data.
    """

    __tablename__ = "ledger_inbox"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("event_id", "account_id", "livemode"),
        # A claim reads the front of this one; finished rows, nearly all, are not in it.
        Index(
            "ix_ledger_inbox_waiting",
            "lane",
            "due_at",
            "created",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        # Counts, and the partitions that are held.
        Index(
            "ix_ledger_inbox_open",
            "state",
            "partition",
            "due_at",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )
    seq: int = Field(primary_key=True, sa_type=SEQUENCE)
    event_id: str
    account_id: str
    livemode: bool
    type: str
    created: datetime = Field(sa_type=UtcDateTime, index=True)
    api_version: str
    object_type: str
    object_id: str = Field(index=True)
    partition: str
    thin: bool
    source: str
    received_at: datetime = Field(sa_type=UtcDateTime)
    state: str
    lane: int = Field(sa_type=SmallInteger)
    attempts: int
    due_at: datetime | None = Field(sa_type=UtcDateTime)
    claim_token: str
    claimed_by: str
    code: str
    reason: str = Field(sa_type=Text)
    remedy: str = Field(sa_type=Text)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)
    replays: int
    history: str = Field(sa_type=Text)


class InboxBody(LedgerTable, table=True):
    """What Stripe sent, byte for byte. Gone once the event is done and old (`Inbox.prune`)."""

    __tablename__ = "ledger_inbox_body"
    seq: int = Field(primary_key=True, sa_type=SEQUENCE, sa_column_kwargs={"autoincrement": False})
    body: bytes = Field(sa_type=LargeBinary)


class ObjectRow(LedgerTable, table=True):
    """The state of one Stripe object that Salesforce shows: as of when, and a digest of the rows written."""

    __tablename__ = "ledger_object"
    object_type: str = Field(primary_key=True)
    object_id: str = Field(primary_key=True)
    as_of: datetime = Field(sa_type=UtcDateTime)
    fetched: bool
    digest: str


class NudgeRow(LedgerTable, table=True):
    """A Salesforce record that is said to have changed. It is read again; nothing else was believed."""

    __tablename__ = "ledger_nudge"
    org_id: str = Field(primary_key=True)
    sobject: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    received_at: datetime = Field(sa_type=UtcDateTime, index=True)


INBOX = METADATA.tables["ledger_inbox"]
BODY = METADATA.tables["ledger_inbox_body"]
OBJECT = METADATA.tables["ledger_object"]
NUDGE = METADATA.tables["ledger_nudge"]


def held_partitions(now: datetime) -> Select[tuple[str]]:
    """Those of live claims: nobody else may take an event of them."""
    return select(INBOX.c.partition).where(
        INBOX.c.finished_at.is_(None), INBOX.c.state == EventState.CLAIMED, INBOX.c.due_at > now
    )


def history_line(at: datetime, state: EventState | str, why: str = "") -> str:
    """One turn of an event, as `history` keeps it."""
    return f"{at.isoformat(timespec='milliseconds')} {state} {why}".rstrip() + "\n"
