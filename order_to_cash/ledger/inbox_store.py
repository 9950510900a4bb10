"""The hot path: what was acknowledged gets on disk. Used through `Inbox`.

The statements are spelled out because SQLAlchemy's own handling of parameters, row by row, was most of the time:
57 µs of CPU an event on SQLite and 159 µs on PostgreSQL, against 30 and 14 here (500 events at once, 5 KB each).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_claims import EventSource, EventState, Lane
from order_to_cash.ledger.inbox_tables import INBOX

_OF_EVENT = (
    *("event_id", "account_id", "livemode", "type", "created", "api_version"),
    *("object_type", "object_id", "partition", "thin"),
)
_ARRAYS = ("text", "text", "bool", "text", "timestamptz", "text", "text", "text", "text", "bool", "bytea")
_SAME_FOR_ALL = ("source", "received_at", "state", "lane", "due_at")
_EMPTY = {"attempts": 0, "claim_token": "''", "claimed_by": "''", "code": "''", "reason": "''"}
_EMPTY |= {"remedy": "''", "replays": 0, "history": "''"}
_COLUMNS = ", ".join(f'"{name}"' for name in (*_OF_EVENT, *_SAME_FOR_ALL, *_EMPTY))
_CONSTANTS = ", ".join(map(str, _EMPTY.values()))

_SQLITE = (
    f"INSERT INTO ledger_inbox ({_COLUMNS}) "  # noqa: S608  # constants of this module
    f"VALUES ({', '.join('?' * len((*_OF_EVENT, *_SAME_FOR_ALL)))}, {_CONSTANTS}) ON CONFLICT DO NOTHING"
)
_POSTGRESQL = f"""
WITH arrived AS (
    SELECT * FROM unnest({", ".join(f"%b::{kind}[]" for kind in _ARRAYS)})
        AS arrived ({", ".join(f'"{name}"' for name in (*_OF_EVENT, "body"))})
), new AS (
    INSERT INTO ledger_inbox ({_COLUMNS})
    SELECT {", ".join(f'"{name}"' for name in _OF_EVENT)}, %s, %s, %s, %s, %s, {_CONSTANTS} FROM arrived
    ON CONFLICT DO NOTHING RETURNING seq, event_id, account_id, livemode
)
INSERT INTO ledger_inbox_body (seq, body)
SELECT new.seq, arrived.body FROM new JOIN arrived USING (event_id, account_id, livemode)
"""  # noqa: S608  # constants of this module


def store(database: Database, events: Sequence[StripeEvent], source: EventSource, now: datetime) -> int:
    """See `Inbox.store`."""
    arrived = {(event.event_id, event.account_id, event.livemode): event for event in reversed(events)}
    # In one order everywhere: two PostgreSQL writers that share events would deadlock otherwise.
    unique = [arrived[key] for key in sorted(arrived)]
    same = (source.value, now, EventState.PENDING.value, Lane.of(source).value, now)
    with database.write() as connection:
        return (_into_sqlite if database.is_sqlite else _into_postgresql)(connection, unique, same)


def _into_postgresql(connection: Connection, events: Sequence[StripeEvent], same: tuple[object, ...]) -> int:
    columns = [[getattr(event, name) for event in events] for name in (*_OF_EVENT, "body")]
    return connection.exec_driver_sql(_POSTGRESQL, (*columns, *same)).rowcount


def _into_sqlite(connection: Connection, events: Sequence[StripeEvent], same: tuple[object, ...]) -> int:
    as_stored = INBOX.c.created.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    assert as_stored is not None
    constant = tuple(as_stored(value) if isinstance(value, datetime) else value for value in same)
    rows = [
        (
            *(event.event_id, event.account_id, event.livemode, event.type, as_stored(event.created)),
            *(event.api_version, event.object_type, event.object_id, event.partition, event.thin),
            *constant,
        )
        for event in events
    ]
    last = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM ledger_inbox").scalar_one()
    connection.exec_driver_sql(_SQLITE, rows)
    new = connection.exec_driver_sql(
        "SELECT event_id, account_id, livemode, seq FROM ledger_inbox WHERE seq > ?", (last,)
    ).all()
    if new:
        seqs = {(event_id, account_id, bool(livemode)): seq for event_id, account_id, livemode, seq in new}
        keyed = (
            (seqs.get((event.event_id, event.account_id, event.livemode)), event.body) for event in events
        )
        connection.exec_driver_sql(
            "INSERT INTO ledger_inbox_body (seq, body) VALUES (?, ?)", [one for one in keyed if one[0]]
        )
    return len(new)
