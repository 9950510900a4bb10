"""The way from Stripe to Salesforce: events that arrived, what Salesforce shows, what changed there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("finished_at IS NULL")
_WAITING = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "ledger_inbox",
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("object_type", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("thin", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("claim_token", sa.String(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("history", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_inbox"),
        sa.UniqueConstraint(
            "event_id", "account_id", "livemode", name="uq_ledger_inbox_event_id_account_id_livemode"
        ),
    )
    op.create_index("ix_ledger_inbox_created", "ledger_inbox", ["created"])
    op.create_index("ix_ledger_inbox_object_id", "ledger_inbox", ["object_id"])
    for name, columns, condition in (
        ("ix_ledger_inbox_waiting", ["lane", "due_at", "created"], _WAITING),
        ("ix_ledger_inbox_open", ["state", "partition", "due_at"], _OPEN),
    ):
        op.create_index(name, "ledger_inbox", columns, sqlite_where=condition, postgresql_where=condition)
    op.create_table(
        "ledger_inbox_body",
        sa.Column("seq", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_inbox_body"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Uncompressed, as SQLite has them: compressing bodies of 4.6 KB halved what is stored in a second.
        op.execute("ALTER TABLE ledger_inbox_body ALTER COLUMN body SET STORAGE EXTERNAL")
    op.create_table(
        "ledger_object",
        sa.Column("object_type", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("as_of", _TIME, nullable=False),
        sa.Column("fetched", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("object_type", "object_id", name="pk_ledger_object"),
    )
    op.create_table(
        "ledger_nudge",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("sobject", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "sobject", "record_id", name="pk_ledger_nudge"),
    )
    op.create_index("ix_ledger_nudge_received_at", "ledger_nudge", ["received_at"])
