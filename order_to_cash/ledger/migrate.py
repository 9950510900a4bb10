"""Bringing a ledger's tables up to this version, and noticing that they belong to a newer one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.ledger.engine import Database

VERSION_TABLE = "ledger_version"
_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Apply the missing migrations in one transaction. Safe when several processes start at once.

    Raises ConfigurationError for a ledger of a newer version, Unavailable when the database does not
    answer.
    """
    from alembic import command
    from alembic.config import Config

    with database.write() as connection:
        database.serialize(connection, "ledger-migrations")
        refuse_newer(connection)
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_version(database: Database) -> None:
    """Raises ConfigurationError for a ledger that a newer version of the product has migrated."""
    with database.read() as connection:
        refuse_newer(connection)


def refuse_newer(connection: Connection) -> None:
    """Raises ConfigurationError when the ledger's revision is none of ours."""
    found = revision(connection)
    if found and found not in known_revisions():
        raise ConfigurationError(
            f"The ledger was migrated by a newer version of o2c (revision {found}).",
            code="ledger_newer",
            remedy="Run that version or a later one.",
        )


def revision(connection: Connection) -> str:
    """The revision of the tables; empty before `migrate` ever ran."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))) or ""


def known_revisions() -> set[str]:
    """The revisions this version carries; a file is named ``v<revision>_<what>.py``."""
    return {path.stem.removeprefix("v").partition("_")[0] for path in _MIGRATIONS.glob("versions/v*.py")}


def has_tables(database: Database) -> bool:
    """Whether `migrate` ever ran on this database. Raises Unavailable."""
    with database.read() as connection:
        return bool(revision(connection))
