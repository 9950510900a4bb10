"""Opening, migrating, binding; values that both databases give back alike."""

from __future__ import annotations

import sqlite3
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from order_to_cash.domain.errors import ConfigurationError, Unavailable
from order_to_cash.domain.records import Environment, StripeCustomer
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.migrate import VERSION_TABLE
from order_to_cash.ledger.tables import METADATA
from tests.ledger.support import START, MovableClock

EMULATOR = Environment.EMULATOR


def test_migrations_make_exactly_the_tables(empty_url: str, clock: MovableClock) -> None:
    with Ledger.open(empty_url, clock=clock, environment=EMULATOR) as ledger:
        assert not ledger.is_current()
        ledger.migrate()
        assert ledger.is_current()
        ledger.migrate()
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        with ledger.database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, METADATA) == []


def test_a_ledger_of_a_newer_version_is_refused(empty_url: str, clock: MovableClock) -> None:
    with Ledger.open(empty_url, clock=clock, environment=EMULATOR) as ledger:
        ledger.migrate()
        with ledger.database.write() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        with pytest.raises(ConfigurationError, match="newer version"):
            ledger.migrate()
    with pytest.raises(ConfigurationError, match="newer version"):
        Ledger.open(empty_url, clock=clock, environment=EMULATOR)


def test_a_failed_migration_leaves_nothing(
    empty_url: str, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(empty_url, clock=clock, environment=EMULATOR) as ledger:
        with monkeypatch.context() as patched:
            patched.setattr("alembic.op.create_index", lambda *args: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                ledger.migrate()
        ledger.migrate()
        assert ledger.identity() is None


def test_it_belongs_to_one_account_and_org(ledger: Ledger, url: str, clock: MovableClock) -> None:
    ledger.bind(EMULATOR, "acct_1", "")
    ledger.bind(EMULATOR, "", "00D000000000001AAA")
    ledger.bind(EMULATOR, "acct_1", "00D000000000001AAA")
    for account, org in (("acct_2", "00D000000000001AAA"), ("acct_1", "00D000000000002AAA")):
        with pytest.raises(ConfigurationError) as raised:
            ledger.bind(EMULATOR, account, org)
        assert raised.value.code == "ledger_of_another_account"
    with pytest.raises(ConfigurationError):
        ledger.bind(Environment.LIVE, "acct_1", "00D000000000001AAA")
    with pytest.raises(ConfigurationError, match="another environment"):
        Ledger.open(url, clock=clock, environment=Environment.LIVE)
    identity = ledger.identity()
    assert identity is not None
    assert (identity.environment, identity.stripe_account_id) == ("emulator", "acct_1")
    assert identity.bound_at == START


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///:memory:", "mysql://root@127.0.0.1/o2c", "ledger.db", ""]
)
def test_an_address_that_cannot_be_a_ledger(address: str, clock: MovableClock) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Ledger.open(address, clock=clock, environment=EMULATOR)
    assert raised.value.code == "ledger_url"


@pytest.mark.parametrize(
    "address", ["sqlite:////nowhere/at/all/ledger.db", "postgresql://o2c:wrong-canary@127.0.0.1:1/o2c"]
)
def test_a_database_that_does_not_answer(address: str, clock: MovableClock) -> None:
    with pytest.raises(Unavailable) as raised:
        Ledger.open(address, clock=clock, environment=EMULATOR)
    assert raised.value.code == "ledger_unavailable"
    assert "canary" not in str(raised.value)


def test_sqlite_commits_survive_power_loss(sqlite_ledger: Path, clock: MovableClock) -> None:
    with (
        Ledger.open(f"sqlite:///{sqlite_ledger}", clock=clock, environment=EMULATOR) as ledger,
        ledger.database.write() as connection,
    ):
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert settings == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 60_000,
        }
        other = sqlite3.connect(sqlite_ledger, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_datetimes_are_aware_utc_on_both(ledger: Ledger) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    at = datetime(2026, 3, 2, 15, 0, 0, 123456, tzinfo=east)
    ledger.watermarks.set("deals", at)
    mark = ledger.watermarks.get("deals")
    assert mark is not None
    assert mark.modstamp.isoformat() == "2026-03-02T09:30:00.123456+00:00"
    assert mark.modstamp.tzinfo is UTC
    with pytest.raises(Exception, match="timezone-aware"):
        ledger.watermarks.set("other", datetime(2026, 3, 2))  # noqa: DTZ001  # the naive one under test
    assert ledger.watermarks.get("other") is None


def test_an_error_shows_no_personal_data(ledger: Ledger) -> None:
    canary = "canary@person.example"
    with ledger.database.write() as connection:
        connection.execute(text("ALTER TABLE ledger_customer RENAME TO ledger_customer_away"))
    with pytest.raises(Unavailable) as raised:
        ledger.customers.upsert_many([StripeCustomer(customer_id="cus_1", email=canary, name=canary)])
    with ledger.database.write() as connection:
        connection.execute(text("ALTER TABLE ledger_customer_away RENAME TO ledger_customer"))
    assert canary not in "".join(traceback.format_exception(raised.value))
