"""Operations that hang on no single obligation, such as the Slack message for a batch of quarantined
records.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ClaimLost, O2CError
from order_to_cash.ledger.claims import held_elsewhere
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.intents import Operation, described, new_row, operation_from, renewal
from order_to_cash.ledger.tables import OPERATION


class StandaloneOperations:
    """Intent before effect under a key of its own, with a lease of its own in place of a claim."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin_standalone(
        self, key: str, kind: str, intent: Mapping[str, Any], *, run_id: str = "", lease_seconds: int = 120
    ) -> Operation:
        """Commit the intent of the effect `key`, or learn what became of an earlier one.

        While it is in progress the operation is leased to `run_id`, so that two runs that begin at once do
        not both find nothing on the far side. The same run, unless its id is empty, gets it back at once.
        Hand the operation to `succeed_standalone` or `refuse_standalone`. Raises ClaimedElsewhere.
        """
        now = self._clock.now()
        lease = {
            "token": uuid4().hex,
            "run_id": run_id,
            "lease_expires_at": now + timedelta(seconds=lease_seconds),
        }
        with self._database.write() as connection:
            row = new_row(key, "", kind, dict(intent), now) | lease
            fresh = self._database.insert_new(connection, OPERATION, row)
            recorded = _locked(connection, key)
            if not fresh and recorded.state == "intended":
                until = recorded.lease_expires_at
                mine = bool(run_id) and recorded.run_id == run_id
                if until is not None and until > now and not mine:
                    raise held_elsewhere("operation", key, recorded.run_id, until, now)
                connection.execute(update(OPERATION).where(OPERATION.c.key == key).values(**lease))
                recorded = _locked(connection, key)
        return operation_from(recorded, now, fresh=fresh)

    def standalone(self, kind: str, since: datetime) -> list[Operation]:
        """The operations of this kind whose intent is not older than `since`, oldest first, whatever their state."""
        query = (
            select(OPERATION)
            .where(
                OPERATION.c.kind == kind,
                OPERATION.c.obligation_key.is_(None),
                OPERATION.c.intended_at >= since,
            )
            .order_by(OPERATION.c.intended_at, OPERATION.c.key)
        )
        now = self._clock.now()
        with self._database.read() as connection:
            return [operation_from(row, now) for row in connection.execute(query)]

    def succeed_standalone(self, operation: Operation, outcome: Mapping[str, Any]) -> None:
        """Commit the outcome. Raises ClaimLost when another run took the operation over."""
        self._finish_standalone(operation, state="succeeded", outcome=dict(outcome), error={})

    def refuse_standalone(self, operation: Operation, error: O2CError) -> None:
        """Commit that it did not happen, and why. Raises ClaimLost."""
        self._finish_standalone(operation, state="refused", outcome={}, error=described(error))

    def release_standalone(self, operation: Operation) -> bool:
        """End the lease without an outcome, so that the next run need not wait. False when it was not held."""
        with self._database.write() as connection:
            statement = (
                update(OPERATION)
                .where(OPERATION.c.key == operation.key, OPERATION.c.token == operation.token)
                .values(lease_expires_at=None)
            )
            return connection.execute(statement).rowcount == 1

    def renew_standalone(self, operation: Operation, *, lease_seconds: int = 120) -> Operation:
        """Try it again under a new key and lease, after a look-up found nothing or after a refusal.

        Raises ClaimLost, and ValueError when it has succeeded.
        """
        now = self._clock.now()
        lease = {"token": uuid4().hex, "lease_expires_at": now + timedelta(seconds=lease_seconds)}
        with self._database.write() as connection:
            row = self._fenced(connection, operation)
            if row.state == "succeeded":
                raise ValueError(f"{operation.key} has succeeded")
            statement = update(OPERATION).where(OPERATION.c.key == row.key)
            connection.execute(statement.values(**renewal(row, now), **lease))
            renewed = _locked(connection, row.key)
        return operation_from(renewed, now, fresh=True)

    def _finish_standalone(self, operation: Operation, **values: Any) -> None:
        with self._database.write() as connection:
            self._fenced(connection, operation)
            statement = update(OPERATION).where(OPERATION.c.key == operation.key)
            connection.execute(
                statement.values(**values, lease_expires_at=None, finished_at=self._clock.now())
            )

    def _fenced(self, connection: Connection, operation: Operation) -> Row[Any]:
        row = _locked(connection, operation.key)
        if row.token != operation.token:
            raise ClaimLost(
                "Another run took this operation over.",
                ids={"operation": operation.key, "taken_by": row.run_id},
            )
        return row


def _locked(connection: Connection, key: str) -> Row[Any]:
    return connection.execute(select(OPERATION).where(OPERATION.c.key == key).with_for_update()).one()
