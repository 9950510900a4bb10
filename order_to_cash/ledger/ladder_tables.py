"""Tables of the dunning ladders: how each stands, what was done on it, who may move it, and who wants it to stop.

Ids, moments and amounts; a customer's name as the Account has it, for lists and names of runs; who placed a hold.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Index, SmallInteger, Text, UniqueConstraint, text
from sqlmodel import Field

from order_to_cash.ledger.tables import METADATA, LedgerTable, UtcDateTime

# What a query must say too, or SQLite does not use the index. Ended ladders, nearly all, are in none of them.
_OPEN = text("ended_at IS NULL")
_WAITING = text("due_at IS NOT NULL")
_UNARMED = text("due_at IS NOT NULL AND alarm_generation <> generation")
_ARMED = text("alarm_run_id <> ''")
_CONTACTS = text("contacted_at IS NOT NULL")
_LEASED = text("lease_until IS NOT NULL")


def _partial(name: str, *columns: str, only: Any) -> Index:
    return Index(name, *columns, sqlite_where=only, postgresql_where=only)


class PolicyRow(LedgerTable, table=True):
    """One version of the dunning policy, whole, for as long as a ladder may name it: for ever."""

    __tablename__ = "ledger_ladder_policy"
    version: str = Field(primary_key=True)
    name: str
    body: dict[str, Any] = Field(sa_type=JSON)
    kept_at: datetime = Field(sa_type=UtcDateTime)


class LadderRow(LedgerTable, table=True):
    """One ladder for each invoice, for ever. Fields: see `ladder_records.Ladder`.

    `claim_token`: of whoever may move it, the same as the customer's; "" when nobody does. A waking that comes
    meanwhile counts up `generation`, and whoever settles the ladder sees that it was woken.
    """

    __tablename__ = "ledger_ladder"
    __table_args__: ClassVar[Any] = (
        _partial("ix_ledger_ladder_due", "due_at", "customer_id", only=_WAITING),
        _partial("ix_ledger_ladder_unarmed", "due_at", only=_UNARMED),
        _partial("ix_ledger_ladder_open", "status", only=_OPEN),
        _partial("ix_ledger_ladder_alarm", "alarm_run_id", only=_ARMED),
    )
    invoice_id: str = Field(primary_key=True)
    customer_id: str = Field(index=True)
    collection_method: str
    policy_version: str = Field(foreign_key="ledger_ladder_policy.version")
    status: str
    opened_at: datetime = Field(sa_type=UtcDateTime)
    first_failed_at: datetime | None = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(sa_type=UtcDateTime, index=True)
    end_reason: str
    next_step: str
    due_at: datetime | None = Field(sa_type=UtcDateTime)
    generation: int
    claim_token: str
    alarm_generation: int
    alarm_run_id: str
    account_id: str = Field(index=True)
    account_name: str
    invoice_number: str
    amount_remaining_minor: int | None = Field(sa_type=BigInteger)
    currency: str
    next_payment_attempt: datetime | None = Field(sa_type=UtcDateTime)
    failures: int
    code: str
    reason: str = Field(sa_type=Text)


class LadderStepRow(LedgerTable, table=True):
    """One step of one ladder. `position` counts from 1 in the order in which they were begun."""

    __tablename__ = "ledger_ladder_step"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("invoice_id", "position"),
        _partial("ix_ledger_ladder_step_contact", "customer_id", "contacted_at", only=_CONTACTS),
    )
    invoice_id: str = Field(primary_key=True, foreign_key="ledger_ladder.invoice_id")
    key: str = Field(primary_key=True)
    position: int = Field(sa_type=SmallInteger)
    customer_id: str
    state: str
    begun_at: datetime = Field(sa_type=UtcDateTime)
    decided_at: datetime | None = Field(sa_type=UtcDateTime)
    contacted_at: datetime | None = Field(sa_type=UtcDateTime)
    run_id: str
    note: str = Field(sa_type=Text)


class LadderCustomerRow(LedgerTable, table=True):
    """Who alone may move the ladders of a customer, until when. The row stays when nobody does, with no token."""

    __tablename__ = "ledger_ladder_customer"
    __table_args__: ClassVar[Any] = (_partial("ix_ledger_ladder_customer_held", "lease_until", only=_LEASED),)
    customer_id: str = Field(primary_key=True)
    claim_token: str
    claimed_by: str
    lease_until: datetime | None = Field(sa_type=UtcDateTime)


class LadderHoldRow(LedgerTable, table=True):
    """A person's word on an invoice (in_…) or a customer (cus_…), the last one. `resumed_at`: it was taken back."""

    __tablename__ = "ledger_ladder_hold"
    subject_id: str = Field(primary_key=True)
    until: datetime | None = Field(sa_type=UtcDateTime)
    reason: str = Field(sa_type=Text)
    placed_by: str
    placed_at: datetime = Field(sa_type=UtcDateTime)
    resumed_by: str
    resumed_at: datetime | None = Field(sa_type=UtcDateTime)


POLICY = METADATA.tables["ledger_ladder_policy"]
LADDER = METADATA.tables["ledger_ladder"]
STEP = METADATA.tables["ledger_ladder_step"]
LADDER_CUSTOMER = METADATA.tables["ledger_ladder_customer"]
HOLD = METADATA.tables["ledger_ladder_hold"]
