"""Reading ladders with their journals and holds. Used through `Ladders`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, true

from order_to_cash.domain.dunning.facts import EndReason, Hold, LadderState, StepState
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_holds import in_force
from order_to_cash.ledger.ladder_records import (
    DueLadders,
    Ladder,
    LadderFilter,
    LadderStatus,
    LadderStep,
    Subject,
)
from order_to_cash.ledger.ladder_tables import LADDER, LADDER_CUSTOMER, STEP

OPEN_STATUSES = (LadderStatus.WAITING, LadderStatus.HELD, LadderStatus.RESTING)


def find(
    database: Database, connection: Connection, wanted: LadderFilter, now: datetime, limit: int
) -> list[Ladder]:
    """See `Ladders.find`."""
    query = select(LADDER).where(_matches(database, wanted))
    order = (LADDER.c.ended_at.desc().nulls_first(), LADDER.c.due_at.nulls_last(), LADDER.c.invoice_id)
    rows = connection.execute(query.order_by(*order).limit(limit)).all()
    return assembled(database, connection, rows, now)


def recovery(
    database: Database, connection: Connection, span: tuple[datetime, datetime], now: datetime
) -> list[Ladder]:
    """See `Ladders.recovery`."""
    since, until = span
    lived = and_(LADDER.c.opened_at < until, or_(LADDER.c.ended_at.is_(None), LADDER.c.ended_at >= since))
    rows = connection.execute(select(LADDER).where(lived).order_by(LADDER.c.opened_at, LADDER.c.invoice_id))
    return assembled(database, connection, rows.all(), now)


def counts(connection: Connection) -> dict[LadderStatus, int]:
    """See `Ladders.counts`."""
    query = select(LADDER.c.status, func.count()).where(LADDER.c.ended_at.is_(None)).group_by(LADDER.c.status)
    found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    return {status: found.get(status, 0) for status in OPEN_STATUSES}


def due(connection: Connection, before: datetime, now: datetime, *, unarmed_only: bool) -> DueLadders:
    """See `Ladders.due`."""
    count, oldest = connection.execute(
        select(func.count(), func.min(LADDER.c.due_at)).where(
            is_due(before, unarmed_only=unarmed_only), ~claimed(now)
        )
    ).one()
    return DueLadders(count=count, oldest=oldest)


def is_due(before: datetime, *, unarmed_only: bool) -> ColumnElement[bool]:
    """In the words of the partial indexes."""
    unarmed = LADDER.c.alarm_generation != LADDER.c.generation
    waiting = and_(LADDER.c.due_at.is_not(None), LADDER.c.due_at <= before)
    return and_(waiting, unarmed) if unarmed_only else waiting


def claimed(now: datetime) -> ColumnElement[bool]:
    """Somebody holds the ladder's customer."""
    held = LADDER_CUSTOMER.c.lease_until
    # "IS NOT NULL" brings SQLite to the index of those that are held, nearly none.
    holders = select(LADDER_CUSTOMER.c.customer_id).where(held.is_not(None), held > now)
    return LADDER.c.customer_id.in_(holders)


def assembled(
    database: Database, connection: Connection, rows: Sequence[Row[Any]], now: datetime
) -> list[Ladder]:
    """The ladders of these rows, in their order."""
    if not rows:
        return []
    steps = _steps(database, connection, [row.invoice_id for row in rows])
    subjects = {subject for row in rows for subject in (row.invoice_id, row.customer_id)}
    holds = in_force(database, connection, sorted(subjects), now)
    return [
        _ladder(row, steps[row.invoice_id], _longest(holds, row.invoice_id, row.customer_id)) for row in rows
    ]


def _steps(
    database: Database, connection: Connection, invoice_ids: Sequence[str]
) -> dict[str, list[LadderStep]]:
    query = select(STEP).where(database.among(STEP.c.invoice_id, invoice_ids))
    steps: defaultdict[str, list[LadderStep]] = defaultdict(list)
    for row in connection.execute(query.order_by(STEP.c.invoice_id, STEP.c.position)):
        steps[row.invoice_id].append(
            LadderStep(
                key=row.key,
                state=StepState(row.state),
                begun_at=row.begun_at,
                decided_at=row.decided_at,
                contacted_at=row.contacted_at,
                run_id=row.run_id,
                note=row.note,
            )
        )
    return steps


def _longest(holds: dict[str, Hold], *subject_ids: str) -> Hold | None:
    """Whichever lasts longest; of two without end the first."""
    found = [holds[subject] for subject in subject_ids if subject in holds]
    return max(found, key=lambda hold: hold.until.timestamp() if hold.until else math.inf, default=None)


def _ladder(row: Row[Any], steps: Iterable[LadderStep], hold: Hold | None) -> Ladder:
    journal = tuple(steps)
    state = LadderState(
        policy_version=row.policy_version,
        collection_method=CollectionMethod(row.collection_method),
        opened_at=row.opened_at,
        first_failed_at=row.first_failed_at,
        journal={step.key: step.state for step in journal},
        ended=EndReason(row.end_reason) if row.end_reason else None,
    )
    return Ladder(
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        state=state,
        status=LadderStatus(row.status),
        subject=subject_of(row),
        steps=journal,
        next_step=row.next_step,
        due_at=row.due_at,
        generation=row.generation,
        alarm_generation=row.alarm_generation,
        alarm_run_id=row.alarm_run_id,
        hold=hold,
        ended_at=row.ended_at,
        failures=row.failures,
        code=row.code,
        reason=row.reason,
    )


def subject_of(row: Row[Any]) -> Subject:
    amount = row.amount_remaining_minor
    return Subject(
        account_name=row.account_name,
        account_id=row.account_id,
        invoice_number=row.invoice_number,
        amount_remaining=None if amount is None else Money(amount, row.currency),
        next_payment_attempt=row.next_payment_attempt,
    )


def subject_columns(subject: Subject) -> dict[str, Any]:
    """A subject as the columns of its ladder."""
    amount = subject.amount_remaining
    return {
        "account_id": subject.account_id,
        "account_name": subject.account_name,
        "invoice_number": subject.invoice_number,
        "amount_remaining_minor": None if amount is None else amount.amount_minor,
        "currency": "" if amount is None else amount.currency,
        "next_payment_attempt": subject.next_payment_attempt,
    }


def _matches(database: Database, wanted: LadderFilter) -> ColumnElement[bool]:
    named = {
        LADDER.c.invoice_id: wanted.invoice_ids,
        LADDER.c.invoice_number: wanted.invoice_numbers,
        LADDER.c.customer_id: wanted.customer_ids,
        LADDER.c.account_id: wanted.account_ids,
        LADDER.c.status: wanted.statuses,
    }
    conditions = [database.among(column, values) for column, values in named.items() if values]
    if wanted.statuses and LadderStatus.ENDED not in wanted.statuses:
        conditions.append(LADDER.c.ended_at.is_(None))  # in the words of the partial index
    if wanted.due_before is not None:
        conditions.append(is_due(wanted.due_before, unarmed_only=False))
    if wanted.failing:
        conditions.append(and_(LADDER.c.ended_at.is_(None), LADDER.c.failures > 0))
    return and_(true(), *conditions)
