"""The ledger's tables.

They hold ids, states, amounts, digests and redacted bodies: no secret, and no personal data. Exceptions:
`ledger_customer`, the mirror of Stripe's customers with name and e-mail address, because a customer cannot be
matched by what is not known (Stripe's List filters neither by name nor by metadata, and Search lags);
`ledger_inbox_body`, Stripe's events as they came (see `inbox_tables`); and `ledger_ladder` with the customer's name
and `ledger_ladder_hold` with who placed a hold (see `ladder_tables`).

Every name begins with `ledger_`, so that the tables can share a PostgreSQL database with Prefect's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows only in an INTEGER column


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC, in and out, on both databases. A naive one raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("The ledger takes timezone-aware datetimes only.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class LedgerTable(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMES))):
    """Base of the tables. Metadata of its own: no other SQLModel gets into the migrations."""


class Identity(LedgerTable, table=True):
    """One row: to which environment, Stripe account and Salesforce org this ledger belongs."""

    __tablename__ = "ledger_identity"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    environment: str
    stripe_account_id: str
    salesforce_org_id: str
    bound_at: datetime = Field(sa_type=UtcDateTime)


class Obligation(LedgerTable, table=True):
    """One invoice owed for one deal. `key` is its idempotency key; a generation is billed at most once."""

    __tablename__ = "ledger_obligation"
    __table_args__: ClassVar[Any] = (UniqueConstraint("opportunity_id", "kind", "generation"),)
    key: str = Field(primary_key=True)
    kind: str
    opportunity_id: str
    generation: int
    account_id: str = Field(index=True)
    plan_digest: str
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str
    state: str = Field(index=True)
    state_reason: str
    stripe_customer_id: str
    stripe_invoice_id: str = Field(index=True)
    stripe_invoice_url: str
    draft_discarded: bool
    claim_token: str
    claim_run_id: str
    claim_expires_at: datetime | None = Field(sa_type=UtcDateTime)
    fence: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    finalized_at: datetime | None = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(sa_type=UtcDateTime)


class OperationRow(LedgerTable, table=True):
    """One outside effect with a meaning. `key` names it in business terms; the intent comes first."""

    __tablename__ = "ledger_operation"
    key: str = Field(primary_key=True)
    obligation_key: str | None = Field(default=None, foreign_key="ledger_obligation.key", index=True)
    step: str
    kind: str
    point_of_no_return: bool
    state: str = Field(index=True)
    attempt: int
    intent: dict[str, Any] = Field(sa_type=JSON)
    outcome: dict[str, Any] = Field(sa_type=JSON)
    error: dict[str, Any] = Field(sa_type=JSON)
    token: str
    run_id: str
    lease_expires_at: datetime | None = Field(sa_type=UtcDateTime)
    intended_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)


class LeaseRow(LedgerTable, table=True):
    """Who alone may work on the thing `key`, until when. The row stays when it is given back, with no token."""

    __tablename__ = "ledger_lease"
    key: str = Field(primary_key=True)
    token: str
    run_id: str
    expires_at: datetime | None = Field(sa_type=UtcDateTime)


class Link(LedgerTable, table=True):
    """A Stripe object and the Salesforce record that stands for it."""

    __tablename__ = "ledger_link"
    environment: str = Field(primary_key=True)
    stripe_type: str = Field(primary_key=True)
    stripe_id: str = Field(primary_key=True)
    salesforce_type: str = Field(primary_key=True)
    salesforce_id: str = Field(index=True)
    linked_at: datetime = Field(sa_type=UtcDateTime)


class QuarantineEntry(LedgerTable, table=True):
    """Why one record is held, in words without personal data. One row for each record and reason."""

    __tablename__ = "ledger_quarantine"
    record_type: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    field: str
    message: str = Field(sa_type=Text)
    remedy: str = Field(sa_type=Text)
    owner_id: str
    digest: str
    system_modstamp: datetime | None = Field(sa_type=UtcDateTime)
    times_opened: int
    opened_at: datetime = Field(sa_type=UtcDateTime)
    told_at: datetime | None = Field(sa_type=UtcDateTime)
    resolved_at: datetime | None = Field(sa_type=UtcDateTime, index=True)


class AuditRow(LedgerTable, table=True):
    """One outside call. `chain_no` and `row_hash` are empty until the row is sealed."""

    __tablename__ = "ledger_audit"
    __table_args__: ClassVar[Any] = {
        "sqlite_autoincrement": True
    }  # a deleted tail's numbers are not given again
    seq: int = Field(primary_key=True, sa_type=SEQUENCE)
    audit_id: str = Field(unique=True)
    late_outcome_of: str
    system: str
    method: str
    path: str = Field(sa_type=Text)
    idempotency_key: str = Field(index=True)
    actor: str
    started_at: datetime = Field(sa_type=UtcDateTime, index=True)
    request_digest: str
    request_body: str | None = Field(sa_type=Text)
    request_body_digest: str
    finished_at: datetime | None = Field(sa_type=UtcDateTime)
    status: int | None
    response_digest: str
    response_body: str | None = Field(sa_type=Text)
    response_body_digest: str
    request_id: str = Field(index=True)
    error: str = Field(sa_type=Text)
    duration_ms: int
    chain_no: int | None = Field(sa_type=BigInteger, unique=True)
    row_hash: str


class AuditAnchor(LedgerTable, table=True):
    """One row: where the chain of audit rows begins and ends."""

    __tablename__ = "ledger_audit_anchor"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    base_no: int = Field(sa_type=BigInteger)
    base_hash: str
    head_no: int = Field(sa_type=BigInteger)
    head_hash: str
    sealed_until: datetime | None = Field(sa_type=UtcDateTime)
    bodies_pruned_before: datetime | None = Field(sa_type=UtcDateTime)


class CustomerRow(LedgerTable, table=True):
    """The mirror of one Stripe customer: personal data (name, e-mail address), kept for matching only."""

    __tablename__ = "ledger_customer"
    customer_id: str = Field(primary_key=True)
    name: str
    name_key: str = Field(index=True)
    email: str = Field(index=True)
    domain: str = Field(index=True)
    account_id: str = Field(index=True)
    currency: str
    deleted: bool
    created: datetime | None = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime)


class Watermark(LedgerTable, table=True):
    """How far a look-out has read: everything up to `modstamp`, and at `modstamp` up to `record_id`."""

    __tablename__ = "ledger_watermark"
    name: str = Field(primary_key=True)
    modstamp: datetime = Field(sa_type=UtcDateTime)
    record_id: str
    set_at: datetime = Field(sa_type=UtcDateTime)


METADATA = LedgerTable.metadata
IDENTITY = METADATA.tables["ledger_identity"]
OBLIGATION = METADATA.tables["ledger_obligation"]
OPERATION = METADATA.tables["ledger_operation"]
LEASE = METADATA.tables["ledger_lease"]
LINK = METADATA.tables["ledger_link"]
QUARANTINE = METADATA.tables["ledger_quarantine"]
AUDIT = METADATA.tables["ledger_audit"]
ANCHOR = METADATA.tables["ledger_audit_anchor"]
CUSTOMER = METADATA.tables["ledger_customer"]
WATERMARK = METADATA.tables["ledger_watermark"]
