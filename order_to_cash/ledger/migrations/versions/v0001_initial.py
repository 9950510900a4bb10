"""The first tables: identity, obligations, operations, links, quarantine, audit, customers, watermarks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "ledger_audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("audit_id", sa.String(), nullable=False),
        sa.Column("late_outcome_of", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("request_body", sa.Text(), nullable=True),
        sa.Column("request_body_digest", sa.String(), nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response_digest", sa.String(), nullable=False),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("response_body_digest", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("chain_no", sa.BigInteger(), nullable=True),
        sa.Column("row_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_audit"),
        sa.UniqueConstraint("audit_id", name="uq_ledger_audit_audit_id"),
        sa.UniqueConstraint("chain_no", name="uq_ledger_audit_chain_no"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ledger_audit_idempotency_key", "ledger_audit", ["idempotency_key"])
    op.create_index("ix_ledger_audit_request_id", "ledger_audit", ["request_id"])
    op.create_index("ix_ledger_audit_started_at", "ledger_audit", ["started_at"])
    op.create_table(
        "ledger_audit_anchor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("base_no", sa.BigInteger(), nullable=False),
        sa.Column("base_hash", sa.String(), nullable=False),
        sa.Column("head_no", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.String(), nullable=False),
        sa.Column("sealed_until", _TIME, nullable=True),
        sa.Column("bodies_pruned_before", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_audit_anchor"),
    )
    op.create_table(
        "ledger_customer",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created", _TIME, nullable=True),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name="pk_ledger_customer"),
    )
    op.create_index("ix_ledger_customer_account_id", "ledger_customer", ["account_id"])
    op.create_index("ix_ledger_customer_domain", "ledger_customer", ["domain"])
    op.create_index("ix_ledger_customer_email", "ledger_customer", ["email"])
    op.create_index("ix_ledger_customer_name_key", "ledger_customer", ["name_key"])
    op.create_table(
        "ledger_identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("stripe_account_id", sa.String(), nullable=False),
        sa.Column("salesforce_org_id", sa.String(), nullable=False),
        sa.Column("bound_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_identity"),
    )
    op.create_table(
        "ledger_link",
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("stripe_type", sa.String(), nullable=False),
        sa.Column("stripe_id", sa.String(), nullable=False),
        sa.Column("salesforce_type", sa.String(), nullable=False),
        sa.Column("salesforce_id", sa.String(), nullable=False),
        sa.Column("linked_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint(
            "environment", "stripe_type", "stripe_id", "salesforce_type", name="pk_ledger_link"
        ),
    )
    op.create_index("ix_ledger_link_salesforce_id", "ledger_link", ["salesforce_id"])
    op.create_table(
        "ledger_obligation",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("opportunity_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("plan_digest", sa.String(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(), nullable=False),
        sa.Column("stripe_invoice_id", sa.String(), nullable=False),
        sa.Column("stripe_invoice_url", sa.String(), nullable=False),
        sa.Column("draft_discarded", sa.Boolean(), nullable=False),
        sa.Column("claim_token", sa.String(), nullable=False),
        sa.Column("claim_run_id", sa.String(), nullable=False),
        sa.Column("claim_expires_at", _TIME, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("finalized_at", _TIME, nullable=True),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_ledger_obligation"),
        sa.UniqueConstraint(
            "opportunity_id", "kind", "generation", name="uq_ledger_obligation_opportunity_id_kind_generation"
        ),
    )
    op.create_index("ix_ledger_obligation_account_id", "ledger_obligation", ["account_id"])
    op.create_index("ix_ledger_obligation_state", "ledger_obligation", ["state"])
    op.create_index("ix_ledger_obligation_stripe_invoice_id", "ledger_obligation", ["stripe_invoice_id"])
    op.create_table(
        "ledger_quarantine",
        sa.Column("record_type", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("system_modstamp", _TIME, nullable=True),
        sa.Column("times_opened", sa.Integer(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("told_at", _TIME, nullable=True),
        sa.Column("resolved_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("record_type", "record_id", "code", name="pk_ledger_quarantine"),
    )
    op.create_index("ix_ledger_quarantine_resolved_at", "ledger_quarantine", ["resolved_at"])
    op.create_table(
        "ledger_watermark",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("modstamp", _TIME, nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_ledger_watermark"),
    )
    op.create_table(
        "ledger_operation",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("obligation_key", sa.String(), nullable=True),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("point_of_no_return", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("intent", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("lease_expires_at", _TIME, nullable=True),
        sa.Column("intended_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["obligation_key"], ["ledger_obligation.key"], name="fk_ledger_operation_obligation_key"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_ledger_operation"),
    )
    op.create_index("ix_ledger_operation_obligation_key", "ledger_operation", ["obligation_key"])
    op.create_index("ix_ledger_operation_state", "ledger_operation", ["state"])
