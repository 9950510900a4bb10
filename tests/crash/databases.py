"""An empty, migrated ledger for every run, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.tables import METADATA

Fresh = Callable[[], str]


@contextmanager
def sqlite(home: Path, clock: Clock) -> Iterator[Fresh]:
    """Hands out the address of a ledger file that is new every time."""
    template, path = home / "template.db", home / "crash.db"
    _migrate(f"sqlite:///{template}", clock)

    def fresh() -> str:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    yield fresh


@contextmanager
def postgresql(server: str, clock: Clock) -> Iterator[Fresh]:
    """Hands out the address of a schema of our own on `server`, emptied every time and dropped at the end."""
    schema = f"o2c_crash_{uuid4().hex[:12]}"
    plain = make_url(server).set(drivername="postgresql").render_as_string(hide_password=False)
    url = make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
    address = url.render_as_string(hide_password=False)
    tables = ", ".join(f'"{schema}"."{name}"' for name in METADATA.tables)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
        try:
            _migrate(address, clock)

            def fresh() -> str:
                connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE".encode())
                return address

            yield fresh
        finally:
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


def _migrate(url: str, clock: Clock) -> None:
    with Ledger.open(url, clock=clock, environment=Environment.EMULATOR) as ledger:
        ledger.migrate()
