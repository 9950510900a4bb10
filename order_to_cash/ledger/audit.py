"""Every outside call: who, what, when, with what result; tamper-evident (see `audit_chain`).

No secret and no personal data: gateways hand over redacted bodies, and digests of the real ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, not_, or_, select, update
from ulid import ULID

from order_to_cash.domain.audit import (
    QUERIES_TOGETHER,
    READ_BY_POST,
    READS,
    TOGETHER,
    CallIntent,
    CallOutcome,
)
from order_to_cash.domain.clock import Clock
from order_to_cash.ledger import audit_chain
from order_to_cash.ledger.audit_chain import BrokenRow, Head
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.group_commit import GroupCommit
from order_to_cash.ledger.tables import AUDIT, AuditRow

BODIES_DAYS = 90
ROWS_DAYS = 365
"""The shortest times that bodies and rows are kept (requirement of the audit log)."""

_UNFINISHED: dict[str, Any] = {
    "finished_at": None,
    "status": None,
    "response_digest": "",
    "response_body": None,
    "response_body_digest": "",
    "request_id": "",
    "error": "",
    "duration_ms": 0,
    "chain_no": None,
    "row_hash": "",
}


@dataclass(frozen=True)
class _Write:
    """`intent`: a new row. Otherwise the outcome of the row `audit_id`."""

    audit_id: str
    values: dict[str, Any]
    intent: bool


class AuditLog:
    """Implements `domain.audit.AuditSink`. Every method may raise Unavailable.

    `begin` and `finish` return after their commit, and are called from many threads: those that wait share
    one transaction. They block for one fsync, so asyncio code calls them through `asyncio.to_thread`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._commits: GroupCommit[_Write] = GroupCommit(self._commit)

    def begin(self, intent: CallIntent) -> str:
        """Commit the intent of a call and return its audit id."""
        audit_id = str(ULID())
        body, body_digest = _body(intent.request)
        values = {
            "audit_id": audit_id,
            "late_outcome_of": "",
            "system": _clean(intent.system),
            "method": _clean(intent.method),
            "path": _clean(intent.path),
            "idempotency_key": _clean(intent.idempotency_key),
            "actor": _clean(intent.actor),
            "started_at": self._clock.now(),
            "request_digest": _clean(intent.request_digest),
            "request_body": body,
            "request_body_digest": body_digest,
        }
        self._commits.submit(_Write(audit_id, values | _UNFINISHED, intent=True))
        return audit_id

    def finish(self, audit_id: str, outcome: CallOutcome) -> None:
        """Commit the outcome of the call `audit_id`. A row is finished once.

        When it is finished or sealed already, the outcome becomes a row of its own that names it
        (`late_outcome_of`).
        """
        body, body_digest = _body(outcome.response)
        values = {
            "finished_at": self._clock.now(),
            "status": outcome.status,
            "response_digest": _clean(outcome.response_digest),
            "response_body": body,
            "response_body_digest": body_digest,
            "request_id": _clean(outcome.request_id),
            "error": _clean(outcome.error),
            "duration_ms": outcome.duration_ms,
        }
        self._commits.submit(_Write(audit_id, values, intent=False))

    def query(
        self,
        *,
        system: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        reference: str = "",
        writes: bool = False,
        before_seq: int | None = None,
        limit: int = 100,
    ) -> list[AuditRow]:
        """The newest rows first that began in ``since <= t < until``; those before the row `before_seq`.

        `reference` is an audit id, a request id, a run, an idempotency key or its beginning (an
        obligation's key finds all its steps), or a record id that stands in the path or, while they are
        kept, in a body. `writes`: only calls that may have changed something (`domain.audit.may_write`).
        """
        query = select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit)
        if system:
            query = query.where(AUDIT.c.system == system)
        if since is not None:
            query = query.where(AUDIT.c.started_at >= since)
        if until is not None:
            query = query.where(AUDIT.c.started_at < until)
        if reference:
            query = query.where(_mentions(reference))
        if writes:
            query = query.where(_may_write())
        if before_seq is not None:
            query = query.where(AUDIT.c.seq < before_seq)
        with self._database.read() as connection:
            return [AuditRow(**row._mapping) for row in connection.execute(query)]

    def count(self, system: str, since: datetime, until: datetime | None = None) -> int:
        """How many calls to `system` began in ``since <= t < until``, by whatever process of this ledger."""
        query = select(func.count()).where(
            AUDIT.c.system == system, AUDIT.c.late_outcome_of == "", AUDIT.c.started_at >= since
        )
        if until is not None:
            query = query.where(AUDIT.c.started_at < until)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def seal(self, *, stale: timedelta = timedelta(minutes=15)) -> Head:
        """Chain what is not chained yet; where the chain ends now. See `audit_chain.seal`."""
        return audit_chain.seal(self._database, self._clock.now(), stale)

    def verify(self, expected: Head | None = None) -> BrokenRow | None:
        """The first row that was tampered with, or None. See `audit_chain.verify`."""
        return audit_chain.verify(self._database, expected)

    def sealed(self) -> int:
        """How many rows are chained."""
        query = select(func.count()).where(AUDIT.c.chain_no.is_not(None))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def unsealed(self) -> int:
        """How many rows are not chained yet."""
        query = select(func.count()).where(AUDIT.c.chain_no.is_(None))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def prune(self, *, bodies_days: int = BODIES_DAYS, rows_days: int = ROWS_DAYS) -> int:
        """Forget bodies and rows older than that; how many rows went. The chain still verifies.

        Raises ValueError for less than 90 and 365 days.
        """
        if bodies_days < BODIES_DAYS or rows_days < ROWS_DAYS:
            raise ValueError(f"bodies are kept {BODIES_DAYS} days and rows {ROWS_DAYS} at least")
        now = self._clock.now()
        self.seal()
        return audit_chain.prune(
            self._database, now - timedelta(days=bodies_days), now - timedelta(days=rows_days)
        )

    def _commit(self, batch: Sequence[_Write]) -> None:
        with self._database.write() as connection:
            rows = [write.values for write in batch if write.intent]
            rows += self._finish(connection, [write for write in batch if not write.intent])
            if rows:
                connection.execute(AUDIT.insert(), rows)

    def _finish(self, connection: Connection, outcomes: Sequence[_Write]) -> list[dict[str, Any]]:
        """Write the outcomes; the rows to add for those that came late."""
        if not outcomes:
            return []
        query = select(AUDIT).where(AUDIT.c.audit_id.in_([write.audit_id for write in outcomes]))
        known = {
            row.audit_id: row for row in connection.execute(query.order_by(AUDIT.c.seq).with_for_update())
        }
        updates: dict[str, dict[str, Any]] = {}
        late = []
        for write in outcomes:
            row = known.get(write.audit_id)
            open_row = row is not None and row.chain_no is None and row.finished_at is None
            if open_row and write.audit_id not in updates:
                updates[write.audit_id] = {f"b_{k}": v for k, v in write.values.items()} | {
                    "b_id": write.audit_id
                }
            else:
                late.append(_late(write, row))
        if updates:
            statement = update(AUDIT).where(AUDIT.c.audit_id == bindparam("b_id"))
            names = outcomes[0].values
            connection.execute(
                statement.values({name: bindparam(f"b_{name}") for name in names}), list(updates.values())
            )
        return late


def _late(write: _Write, row: Any) -> dict[str, Any]:
    """A row of its own for an outcome whose row is finished, sealed or unknown."""
    copied = ("system", "method", "path", "idempotency_key", "actor", "request_digest")
    values = {name: getattr(row, name) if row is not None else "" for name in copied}
    own = {
        "audit_id": str(ULID()),
        "late_outcome_of": _clean(write.audit_id),
        "started_at": write.values["finished_at"],
        "request_body": None,
        "request_body_digest": "",
    }
    return _UNFINISHED | values | own | write.values


def _mentions(reference: str) -> Any:
    return or_(
        AUDIT.c.audit_id == reference,
        AUDIT.c.late_outcome_of == reference,
        AUDIT.c.request_id == reference,
        AUDIT.c.actor == reference,
        AUDIT.c.idempotency_key.startswith(reference, autoescape=True),
        AUDIT.c.path.contains(reference, autoescape=True),
        AUDIT.c.request_body.contains(reference, autoescape=True),
        AUDIT.c.response_body.contains(reference, autoescape=True),
    )


def _may_write() -> Any:
    """`domain.audit.may_write` as SQL."""
    read_by_post = or_(*(AUDIT.c.path.endswith(end, autoescape=True) for end in READ_BY_POST))
    kept = func.coalesce(AUDIT.c.request_body, "")
    queries = and_(
        AUDIT.c.path.endswith(TOGETHER, autoescape=True), kept.contains(QUERIES_TOGETHER, autoescape=True)
    )
    return and_(AUDIT.c.method.not_in(READS), not_(read_by_post), not_(queries))


def _body(content: Mapping[str, Any]) -> tuple[str | None, str]:
    """The text that is stored for a redacted body, and its digest; nothing for an empty one."""
    if not content:
        return None, ""
    text = _clean(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str))
    return text, hashlib.sha256(text.encode()).hexdigest()


def _clean(text: str) -> str:
    """Without what PostgreSQL cannot store: NUL and lone surrogates would fail everybody's batch."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
