"""Effects that hang on no obligation, many at once: their intents in one transaction, their outcomes in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, bindparam, select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ClaimedElsewhere, O2CError
from order_to_cash.ledger.claims import held_elsewhere
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.intents import Operation, described, new_row, operation_from
from order_to_cash.ledger.tables import OPERATION

LEASE_SECONDS = 120


class Effects:
    """As `Operations.begin_standalone` and its kin, for a batch. Every method is one transaction; all may raise
    Unavailable.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def done(self, keys: Sequence[str]) -> set[str]:
        """Which of these have succeeded already."""
        if not keys:
            return set()
        query = select(OPERATION.c.key).where(
            self._database.among(OPERATION.c.key, list(keys)), OPERATION.c.state == "succeeded"
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def outcomes(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What came of those of these that have succeeded."""
        if not keys:
            return {}
        query = select(OPERATION.c.key, OPERATION.c.outcome).where(
            self._database.among(OPERATION.c.key, list(keys)), OPERATION.c.state == "succeeded"
        )
        with self._database.read() as connection:
            return {row.key: dict(row.outcome) for row in connection.execute(query)}

    def begun(self, keys: Sequence[str]) -> set[str]:
        """Which of these were begun and have not succeeded."""
        if not keys:
            return set()
        query = select(OPERATION.c.key).where(
            self._database.among(OPERATION.c.key, list(keys)), OPERATION.c.state != "succeeded"
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def begin(
        self, kind: str, intents: Mapping[str, Mapping[str, Any]], *, run_id: str
    ) -> dict[str, Operation | ClaimedElsewhere]:
        """Commit the intents (key → intent), or learn what became of earlier ones. A key that another run is working
        on comes back as ClaimedElsewhere and holds up no other. What was begun before, refused or not, comes back as
        unknown: look for what it may have made.
        """
        now = self._clock.now()
        lease = {"token": uuid4().hex, "run_id": run_id, "lease_expires_at": now + _LEASE}
        rows = [new_row(key, "", kind, dict(intent), now) | lease for key, intent in sorted(intents.items())]
        if not rows:
            return {}
        with self._database.write() as connection:
            before = self._rows(connection, list(intents))
            fresh = [row for row in rows if row["key"] not in before]
            if fresh:
                connection.execute(self._database.insert(OPERATION).on_conflict_do_nothing(), fresh)
            mine = [row.key for row in before.values() if _free(row, run_id, now)]
            self._take(connection, mine, lease, now)
            after = self._rows(connection, list(intents))
        return {
            key: self._operation(after[key], before.get(key), str(lease["token"]), now) for key in intents
        }

    def succeed(self, operations: Mapping[str, tuple[Operation, Mapping[str, Any]]]) -> None:
        """Commit the outcomes of those that are still this run's."""
        self._finish(
            [(operation, "succeeded", dict(outcome), {}) for operation, outcome in operations.values()]
        )

    def refuse(self, refusals: Sequence[tuple[Operation, O2CError]]) -> None:
        """Commit that they did not happen, and why."""
        self._finish([(operation, "refused", {}, described(error)) for operation, error in refusals])

    def restate(self, operations: Sequence[Operation], intent: Mapping[str, Any]) -> None:
        """Commit another intent for them, before it is carried out."""
        self.restate_each({one.key: (one, intent) for one in operations})

    def restate_each(self, operations: Mapping[str, tuple[Operation, Mapping[str, Any]]]) -> None:
        """As `restate`, each with an intent of its own."""
        keys = [
            {"b_key": one.key, "b_token": one.token, "b_intent": dict(intent)}
            for one, intent in operations.values()
        ]
        if keys:
            with self._database.write() as connection:
                connection.execute(_MINE.values(intent=bindparam("b_intent")), keys)

    def release(self, operations: Sequence[Operation]) -> None:
        """End the leases without an outcome, so that the next run need not wait."""
        keys = [{"b_key": operation.key, "b_token": operation.token} for operation in operations]
        if keys:
            with self._database.write() as connection:
                connection.execute(_MINE.values(lease_expires_at=None), keys)

    def _finish(self, ended: Sequence[tuple[Operation, str, dict[str, Any], dict[str, Any]]]) -> None:
        if not ended:
            return
        now = self._clock.now()
        values = [
            {
                "b_key": operation.key,
                "b_token": operation.token,
                "b_state": state,
                "b_outcome": outcome,
                "b_error": error,
                "b_now": now,
            }
            for operation, state, outcome, error in sorted(ended, key=lambda one: one[0].key)
        ]
        with self._database.write() as connection:
            connection.execute(_FINISHED, values)

    def _take(
        self, connection: Connection, keys: Sequence[str], lease: Mapping[str, Any], now: datetime
    ) -> None:
        if not keys:
            return
        held = self._database.among(OPERATION.c.key, list(keys))
        connection.execute(update(OPERATION).where(held).values(**lease))
        anew = {"state": "intended", "error": {}, "intended_at": now, "finished_at": None}
        refused = update(OPERATION).where(held, OPERATION.c.state == "refused")
        connection.execute(refused.values(attempt=OPERATION.c.attempt + 1, **anew))

    def _rows(self, connection: Connection, keys: Sequence[str]) -> dict[str, Row[Any]]:
        query = select(OPERATION).where(self._database.among(OPERATION.c.key, list(keys)))
        # In one order everywhere: two drains that lock the same rows crosswise would be a deadlock.
        return {row.key: row for row in connection.execute(query.order_by(OPERATION.c.key).with_for_update())}

    def _operation(
        self, row: Row[Any], before: Row[Any] | None, token: str, now: datetime
    ) -> Operation | ClaimedElsewhere:
        if row.state == "succeeded":
            return operation_from(row, now)
        if row.token != token:
            return held_elsewhere("operation", row.key, row.run_id, row.lease_expires_at or now, now)
        return operation_from(row, now, fresh=before is None)


_LEASE = timedelta(seconds=LEASE_SECONDS)
_MINE = update(OPERATION).where(
    OPERATION.c.key == bindparam("b_key"), OPERATION.c.token == bindparam("b_token")
)
_FINISHED = _MINE.values(
    state=bindparam("b_state"),
    outcome=bindparam("b_outcome"),
    error=bindparam("b_error"),
    finished_at=bindparam("b_now"),
    lease_expires_at=None,
)


def _free(row: Row[Any], run_id: str, now: datetime) -> bool:
    """Whether this run may take the operation up: it is not done, and nobody else works on it."""
    if row.state == "succeeded":
        return False
    until = row.lease_expires_at
    return until is None or until <= now or (bool(run_id) and row.run_id == run_id)
