"""Alembic's entry: migrates on the connection and in the transaction of `order_to_cash.ledger.migrate`."""

from alembic import context

from order_to_cash.ledger.migrate import VERSION_TABLE
from order_to_cash.ledger.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
