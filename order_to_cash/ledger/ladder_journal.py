"""Writing what was done on claimed ladders: steps, how they go to sleep again, and their end. Used through `Ladders`.

Whatever is written is fenced: a ladder that somebody else has taken over comes back with the reason, and is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_claims import fenced, free
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStatus, Settled, StepOutcome
from order_to_cash.ledger.ladder_search import subject_columns
from order_to_cash.ledger.ladder_tables import LADDER, STEP


class _Journal:
    """The steps of some ladders, as they stand and as they are to be written."""

    def __init__(self, database: Database, connection: Connection, claims: Sequence[ClaimedLadder]) -> None:
        self._connection = connection
        ids = sorted({claimed.ladder.invoice_id for claimed in claims})
        query = select(STEP.c.invoice_id, STEP.c.key, STEP.c.state, STEP.c.contacted_at)
        self._states: dict[tuple[str, str], StepState] = {}
        self._length: Counter[str] = Counter()
        self._begun: dict[str, str] = {}
        for row in connection.execute(query.where(database.among(STEP.c.invoice_id, ids))):
            self._states[row.invoice_id, row.key] = StepState(row.state)
            self._length[row.invoice_id] += 1
            if row.state == StepState.BEGUN:
                self._begun[row.invoice_id] = row.key
        self._new: dict[tuple[str, str], dict[str, Any]] = {}
        self._changed: list[dict[str, Any]] = []
        self._reached: list[dict[str, Any]] = []

    def begin(self, claimed: ClaimedLadder, key: str, run_id: str, now: datetime) -> None:
        """A step that is begun already is resumed: it keeps its moment and its first run."""
        invoice_id = claimed.ladder.invoice_id
        if self._begun.get(invoice_id, key) != key:
            raise ValueError(
                f"{invoice_id}: the step {self._begun[invoice_id]} is begun and not done, before {key}"
            )
        state = self._states.get((invoice_id, key))
        if state in _DECIDED:
            raise ValueError(f"{invoice_id}: the step {key} was decided before")
        if state is None:
            self._add(claimed, key, StepState.BEGUN, now)
            self._new[invoice_id, key]["run_id"] = run_id
            self._begun[invoice_id] = key

    def finish(self, outcome: StepOutcome, now: datetime) -> None:
        """Saying the same again changes nothing. A step may be passed without having been begun."""
        invoice_id, key = outcome.claim.ladder.invoice_id, outcome.key
        state = self._states.get((invoice_id, key))
        if outcome.state is StepState.BEGUN:
            if state is not StepState.BEGUN or outcome.contacted_at is None:
                raise ValueError(f"no outcome of a step: {invoice_id}, {key}")
            reached: dict[str, Any] = {"b_contacted_at": outcome.contacted_at}
            self._reached.append({"b_invoice_id": invoice_id, "b_key": key} | reached)
            return
        if state is outcome.state:
            return
        if state in _DECIDED or self._begun.get(invoice_id, key) != key:
            raise ValueError(f"{invoice_id}: the step {key} was decided before, or another one is begun")
        if state is None and outcome.state is StepState.DONE:
            raise ValueError(f"{invoice_id}: the step {key} was never begun")
        said: dict[str, Any] = {"state": outcome.state, "decided_at": now, "note": outcome.note}
        said["contacted_at"] = outcome.contacted_at
        if state is None:
            self._add(outcome.claim, key, outcome.state, now)
            self._new[invoice_id, key] |= said
        else:
            self._begun.pop(invoice_id, None)
            self._states[invoice_id, key] = outcome.state
            keys = {"b_invoice_id": invoice_id, "b_key": key}
            self._changed.append(keys | {f"b_{name}": value for name, value in said.items()})

    def write(self) -> None:
        if self._new:
            self._connection.execute(STEP.insert(), list(self._new.values()))
        if self._changed:
            self._connection.execute(_DECIDE, self._changed)
        if self._reached:
            self._connection.execute(_REACH, self._reached)

    def _add(self, claimed: ClaimedLadder, key: str, state: StepState, now: datetime) -> None:
        invoice_id = claimed.ladder.invoice_id
        self._states[invoice_id, key] = state
        self._length[invoice_id] += 1
        self._new[invoice_id, key] = {
            "invoice_id": invoice_id,
            "key": key,
            "position": self._length[invoice_id],
            "customer_id": claimed.ladder.customer_id,
            "state": state,
            "begun_at": now,
            "decided_at": None,
            "contacted_at": None,
            "run_id": "",
            "note": "",
        }


_DECIDED = {StepState.DONE, StepState.PASSED}
_OF_STEP = update(STEP).where(
    STEP.c.invoice_id == bindparam("b_invoice_id"), STEP.c.key == bindparam("b_key")
)
# A contact that was made before the step was done keeps its moment.
_CONTACTED = func.coalesce(STEP.c.contacted_at, bindparam("b_contacted_at", type_=STEP.c.contacted_at.type))
_REACH = _OF_STEP.values(contacted_at=_CONTACTED)
_DECIDE = _OF_STEP.values(
    state=bindparam("b_state"),
    decided_at=bindparam("b_decided_at"),
    note=bindparam("b_note"),
    contacted_at=_CONTACTED,
)


def begin(
    database: Database,
    connection: Connection,
    steps: Sequence[tuple[ClaimedLadder, str]],
    run_id: str,
    now: datetime,
) -> dict[str, ClaimLost]:
    """See `Ladders.begin_steps`."""
    lost = fenced(database, connection, [claimed for claimed, _ in steps])
    mine = [(claimed, key) for claimed, key in steps if claimed.ladder.invoice_id not in lost]
    journal = _Journal(database, connection, [claimed for claimed, _ in mine])
    for claimed, key in mine:
        journal.begin(claimed, key, run_id, now)
    journal.write()
    return lost


def finish(
    database: Database, connection: Connection, outcomes: Sequence[StepOutcome], now: datetime
) -> dict[str, ClaimLost]:
    """See `Ladders.finish_steps`."""
    lost = fenced(database, connection, [outcome.claim for outcome in outcomes])
    mine = [outcome for outcome in outcomes if outcome.claim.ladder.invoice_id not in lost]
    journal = _Journal(database, connection, [outcome.claim for outcome in mine])
    for outcome in mine:
        journal.finish(outcome, now)
    journal.write()
    return lost


def settle(database: Database, connection: Connection, settled: Sequence[Settled]) -> dict[str, ClaimLost]:
    """See `Ladders.settle`."""
    if any(one.status is LadderStatus.ENDED for one in settled):
        raise ValueError("a ladder is ended by `end`, with a reason")
    lost = fenced(database, connection, [one.claim for one in settled])
    mine = {one.claim.ladder.invoice_id: one for one in settled if one.claim.ladder.invoice_id not in lost}
    query = select(
        LADDER.c.invoice_id,
        LADDER.c.generation,
        LADDER.c.due_at,
        LADDER.c.next_step,
        LADDER.c.first_failed_at,
    ).where(database.among(LADDER.c.invoice_id, sorted(mine)))
    plain, read = [], []
    for row in connection.execute(query):
        one = mine[row.invoice_id]
        values = _slept(one, row)
        if one.subject is None:
            plain.append(values)
        else:
            about = {f"b_{name}": value for name, value in subject_columns(one.subject).items()}
            read.append(values | about)
    if plain:
        connection.execute(_SLEEP, plain)
    if read:
        connection.execute(_SLEEP_READ, read)
    free(database, connection, [one.claim for one in mine.values()])
    return lost


def _slept(one: Settled, row: Any) -> dict[str, Any]:
    """Whoever woke the ladder since it was claimed wants it to be read once more: its time stays, or comes sooner."""
    woken = row.generation != one.claim.ladder.generation
    times = [at for at in (one.due_at, row.due_at if woken else None) if at is not None]
    due_at = min(times, default=None)
    moved = (due_at, one.next_step) != (row.due_at, row.next_step)
    return {
        "b_invoice_id": row.invoice_id,
        "b_status": one.status,
        "b_next_step": one.next_step,
        "b_due_at": due_at,
        "b_generation": row.generation + moved,
        "b_first_failed_at": row.first_failed_at or one.first_failed_at,
        "b_failures": one.failures,
        "b_code": one.code,
        "b_reason": one.reason,
    }


_SLEEP_COLUMNS = (
    "status",
    "next_step",
    "due_at",
    "generation",
    "first_failed_at",
    "failures",
    "code",
    "reason",
)
_SUBJECT_COLUMNS = (
    *("account_id", "account_name", "invoice_number", "amount_remaining_minor", "currency"),
    "next_payment_attempt",
)
_OF_ONE = update(LADDER).where(LADDER.c.invoice_id == bindparam("b_invoice_id"))
_SLEEP = _OF_ONE.values({name: bindparam(f"b_{name}") for name in _SLEEP_COLUMNS})
_SLEEP_READ = _OF_ONE.values({name: bindparam(f"b_{name}") for name in (*_SLEEP_COLUMNS, *_SUBJECT_COLUMNS)})


def end(
    database: Database,
    connection: Connection,
    ended: Sequence[tuple[ClaimedLadder, EndReason]],
    now: datetime,
) -> dict[str, ClaimLost]:
    """See `Ladders.end`."""
    lost = fenced(database, connection, [claimed for claimed, _ in ended])
    mine = [(claimed, reason) for claimed, reason in ended if claimed.ladder.invoice_id not in lost]
    if mine:
        connection.execute(
            _END,
            [
                {"b_invoice_id": claimed.ladder.invoice_id, "b_reason": reason, "b_now": now}
                for claimed, reason in mine
            ],
        )
    free(database, connection, [claimed for claimed, _ in mine])
    return lost


_END = _OF_ONE.values(
    status=LadderStatus.ENDED,
    ended_at=bindparam("b_now"),
    end_reason=bindparam("b_reason"),
    next_step="",
    due_at=None,
    generation=LADDER.c.generation + 1,
    failures=0,
    code="",
    reason="",
)
