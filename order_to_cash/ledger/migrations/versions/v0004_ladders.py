"""The dunning ladders: policies, ladders, their steps, who may move them, and holds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "ledger_ladder_policy",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("kept_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_ledger_ladder_policy"),
    )
    op.create_table(
        "ledger_ladder_customer",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("claim_token", sa.String(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=False),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name="pk_ledger_ladder_customer"),
    )
    op.create_table(
        "ledger_ladder_hold",
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("until", _TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("placed_at", _TIME, nullable=False),
        sa.Column("resumed_by", sa.String(), nullable=False),
        sa.Column("resumed_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("subject_id", name="pk_ledger_ladder_hold"),
    )
    op.create_table(
        "ledger_ladder",
        sa.Column("invoice_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("collection_method", sa.String(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("first_failed_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("end_reason", sa.String(), nullable=False),
        sa.Column("next_step", sa.String(), nullable=False),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("claim_token", sa.String(), nullable=False),
        sa.Column("alarm_generation", sa.Integer(), nullable=False),
        sa.Column("alarm_run_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("account_name", sa.String(), nullable=False),
        sa.Column("invoice_number", sa.String(), nullable=False),
        sa.Column("amount_remaining_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("next_payment_attempt", _TIME, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version"], ["ledger_ladder_policy.version"], name="fk_ledger_ladder_policy_version"
        ),
        sa.PrimaryKeyConstraint("invoice_id", name="pk_ledger_ladder"),
    )
    op.create_index("ix_ledger_ladder_customer_id", "ledger_ladder", ["customer_id"])
    op.create_index("ix_ledger_ladder_account_id", "ledger_ladder", ["account_id"])
    op.create_index("ix_ledger_ladder_ended_at", "ledger_ladder", ["ended_at"])
    op.create_table(
        "ledger_ladder_step",
        sa.Column("invoice_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("contacted_at", _TIME, nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["ledger_ladder.invoice_id"], name="fk_ledger_ladder_step_invoice_id"
        ),
        sa.PrimaryKeyConstraint("invoice_id", "key", name="pk_ledger_ladder_step"),
        sa.UniqueConstraint("invoice_id", "position", name="uq_ledger_ladder_step_invoice_id_position"),
    )
    for name, table, columns, only in (
        (
            "ix_ledger_ladder_customer_held",
            "ledger_ladder_customer",
            ["lease_until"],
            "lease_until IS NOT NULL",
        ),
        ("ix_ledger_ladder_due", "ledger_ladder", ["due_at", "customer_id"], "due_at IS NOT NULL"),
        (
            "ix_ledger_ladder_unarmed",
            "ledger_ladder",
            ["due_at"],
            "due_at IS NOT NULL AND alarm_generation <> generation",
        ),
        ("ix_ledger_ladder_open", "ledger_ladder", ["status"], "ended_at IS NULL"),
        ("ix_ledger_ladder_alarm", "ledger_ladder", ["alarm_run_id"], "alarm_run_id <> ''"),
        (
            "ix_ledger_ladder_step_contact",
            "ledger_ladder_step",
            ["customer_id", "contacted_at"],
            "contacted_at IS NOT NULL",
        ),
    ):
        where = sa.text(only)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
