"""Effects on the outside, each with its intent committed before it happens.

operation = ledger.operations.begin(claim, "draft", {"lines": 3}) UNKNOWN: look in Stripe for metadata
o2c_key = claim.key. Found: `succeed` with it. Not found: repeat with the same idempotency key, or with that
of `renew_key` when `operation.key_expired` FRESH:   call Stripe with operation.idempotency_key, then
`succeed` or `refuse`

No personal data: an intent and an outcome carry ids, digests, amounts and counts only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from order_to_cash.domain.errors import ClaimLost, O2CError
from order_to_cash.domain.identity import step_key
from order_to_cash.ledger.claims import Claim, fenced, fenced_many
from order_to_cash.ledger.intents import Operation, described, new_row, operation_from, renewal
from order_to_cash.ledger.standalone import StandaloneOperations
from order_to_cash.ledger.tables import OBLIGATION, OPERATION

_RECORDED_IDS = {"customer_id": "stripe_customer_id", "invoice_id": "stripe_invoice_id"}


class Operations(StandaloneOperations):
    """Steps towards an obligation. Every method is one transaction; all may raise Unavailable.

    The methods for one claim raise ClaimLost when another run took over. Those for many never hold the
    others up: they hand the ClaimLost back in its place.
    """

    def begin(
        self, claim: Claim, step: str, intent: Mapping[str, Any], *, point_of_no_return: bool = False
    ) -> Operation:
        """Commit the intent of `step`, or learn what became of an earlier one. The lease starts anew.

        `point_of_no_return` marks the step that may finalize the invoice: while it is begun and not
        refused, no change of the plan starts another generation.
        """
        [result] = self.begin_many(step, [(claim, intent)], point_of_no_return=point_of_no_return)
        if isinstance(result, ClaimLost):
            raise result
        return result

    def succeed(self, claim: Claim, step: str, outcome: Mapping[str, Any]) -> None:
        """Commit the outcome. `customer_id` and `invoice_id` in it become the obligation's as well."""
        for error in self.succeed_many(step, [(claim, outcome)]):
            raise error

    def refuse(self, claim: Claim, step: str, error: O2CError) -> None:
        """Commit that `step` did not happen, and why."""
        for lost_claim in self.refuse_many(step, [(claim, error)]):
            raise lost_claim

    def renew_key(self, claim: Claim, step: str) -> Operation:
        """Try `step` again under a new key (``:r2``, ``:r3`` …), as a fresh intent of now.

        After a look-up found nothing and the old key is too old to be trusted, or after a refusal (Stripe
        replays the refusal under the same key), or when what was done has been undone, such as a deleted
        draft. Raises ValueError when the step was never begun, or succeeded past the point of no return.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            fenced(connection, claim)
            row = _begun(connection, [step_key(claim.key, step)])[step_key(claim.key, step)]
            if row.point_of_no_return and row.state == "succeeded":
                raise ValueError(f"{step} succeeded and cannot be taken back")
            update_row = update(OPERATION).where(OPERATION.c.key == row.key)
            connection.execute(update_row.values(**renewal(row, now)))
            _extend(connection, [claim], now)
            renewed = connection.execute(select(OPERATION).where(OPERATION.c.key == row.key)).one()
        return operation_from(renewed, now, fresh=True)

    def begin_many(
        self,
        step: str,
        items: Sequence[tuple[Claim, Mapping[str, Any]]],
        *,
        point_of_no_return: bool = False,
    ) -> list[Operation | ClaimLost]:
        """`begin` for a batch in one transaction; the results in the order of `items`."""
        now = self._clock.now()
        keys = {claim.key: step_key(claim.key, step) for claim, _ in items}
        with self._database.write() as connection:
            missing = fenced_many(connection, [claim for claim, _ in items])
            wanted = [key for obligation, key in keys.items() if obligation not in missing]
            known = _rows(connection, wanted)
            fresh = [
                new_row(keys[claim.key], step, "step", dict(intent), now)
                | {
                    "obligation_key": claim.key,
                    "point_of_no_return": point_of_no_return,
                    "run_id": claim.run_id,
                }
                for claim, intent in items
                if claim.key not in missing and keys[claim.key] not in known
            ]
            if fresh:
                connection.execute(OPERATION.insert(), fresh)
            rows = _rows(connection, wanted)
            _extend(connection, [claim for claim, _ in items if claim.key not in missing], now)
        new = {row["key"] for row in fresh}
        return [
            missing[claim.key]
            if claim.key in missing
            else operation_from(rows[keys[claim.key]], now, fresh=keys[claim.key] in new)
            for claim, _ in items
        ]

    def succeed_many(self, step: str, items: Sequence[tuple[Claim, Mapping[str, Any]]]) -> list[ClaimLost]:
        """`succeed` for a batch in one transaction; the claims that were lost, whose outcome is not recorded.

        Raises ValueError, and records nothing, for a step that was never begun.
        """
        finished = {
            claim.key: {"b_state": "succeeded", "b_outcome": dict(outcome), "b_error": {}}
            for claim, outcome in items
        }
        with self._database.write() as connection:
            missing = self._finish(connection, step, [claim for claim, _ in items], finished)
            for name, column in _RECORDED_IDS.items():
                recorded = [
                    {"b_key": claim.key, "b_value": str(outcome[name])}
                    for claim, outcome in items
                    if claim.key not in missing and outcome.get(name)
                ]
                if recorded:
                    statement = update(OBLIGATION).where(OBLIGATION.c.key == bindparam("b_key"))
                    connection.execute(statement.values({column: bindparam("b_value")}), recorded)
        return list(missing.values())

    def refuse_many(self, step: str, items: Sequence[tuple[Claim, O2CError]]) -> list[ClaimLost]:
        """`refuse` for a batch in one transaction; the claims that were lost, whose outcome is not recorded.

        Raises ValueError, and records nothing, for a step that was never begun or has succeeded.
        """
        finished = {
            claim.key: {"b_state": "refused", "b_outcome": {}, "b_error": described(error)}
            for claim, error in items
        }
        with self._database.write() as connection:
            return list(self._finish(connection, step, [claim for claim, _ in items], finished).values())

    def of(self, obligation_key: str) -> list[Operation]:
        """The operations towards one obligation, oldest first."""
        query = (
            select(OPERATION)
            .where(OPERATION.c.obligation_key == obligation_key)
            .order_by(OPERATION.c.intended_at, OPERATION.c.key)
        )
        now = self._clock.now()
        with self._database.read() as connection:
            return [operation_from(row, now) for row in connection.execute(query)]

    def _finish(
        self,
        connection: Connection,
        step: str,
        claims: Sequence[Claim],
        finished: Mapping[str, dict[str, Any]],
    ) -> dict[str, ClaimLost]:
        missing = fenced_many(connection, claims)
        keys = {key: step_key(key, step) for key in finished if key not in missing}
        rows = _begun(connection, list(keys.values()))
        for obligation, key in keys.items():
            if rows[key].state == "succeeded" and finished[obligation]["b_state"] == "refused":
                raise ValueError(f"{step} has succeeded and cannot be refused afterwards")
        if keys:
            statement = (
                update(OPERATION)
                .where(OPERATION.c.key == bindparam("b_key"))
                .values(
                    state=bindparam("b_state"),
                    outcome=bindparam("b_outcome"),
                    error=bindparam("b_error"),
                    finished_at=bindparam("b_now"),
                )
            )
            now = self._clock.now()
            connection.execute(
                statement,
                [finished[obligation] | {"b_key": key, "b_now": now} for obligation, key in keys.items()],
            )
        return missing


def _rows(connection: Connection, keys: Sequence[str]) -> dict[str, Row[Any]]:
    query = select(OPERATION).where(OPERATION.c.key.in_(keys))
    return {row.key: row for row in connection.execute(query)}


def _begun(connection: Connection, keys: Sequence[str]) -> dict[str, Row[Any]]:
    rows = _rows(connection, keys)
    if absent := set(keys) - set(rows):
        raise ValueError(f"never begun: {', '.join(sorted(absent))}")
    return rows


def _extend(connection: Connection, claims: Sequence[Claim], now: datetime) -> None:
    """Start the leases anew: from here on, the claim outlasts one outside call with its retries."""
    if claims:
        seconds = max(claim.lease_seconds for claim in claims)
        statement = update(OBLIGATION).where(OBLIGATION.c.key.in_([claim.key for claim in claims]))
        connection.execute(statement.values(claim_expires_at=now + timedelta(seconds=seconds)))
