"""One database, two dialects: connections, transactions and the few statements on which SQLite and
PostgreSQL differ.

SQLite runs in WAL mode with `synchronous=FULL`: a commit that returned survives power loss. PostgreSQL does
the same with its default `synchronous_commit=on`. Both give back the same values; nobody above this module
asks which one it is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    any_,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from order_to_cash.domain.errors import ConfigurationError, Unavailable

BUSY_TIMEOUT_SECONDS = 60
"""How long a SQLite connection waits for another process's write transaction before it gives up."""

_WRITE = "ledger_write"
_BINARY = "ledger_binary"
LARGE_RESULT: dict[str, Any] = {_BINARY: True}
"""Execution options of a SELECT of many bytes. PostgreSQL sends them as they are, not as hexadecimal text: 10 MB came
in 30 instead of 86 ms."""


class Database:
    """Connections to one ledger database. Thread-safe; every `read` and `write` block is one transaction.

    `url` is `sqlite:///path/to/file` or `postgresql://…` (psycopg 3). Raises ConfigurationError for any
    other, and for an in-memory SQLite database: a ledger outlives its process.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # hide_parameters: an SQLAlchemy error would otherwise print the customers' names and addresses.
        if self.is_sqlite:
            self.engine = create_engine(
                self.url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}
            )
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(
                self.url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": 10}
            )
            event.listen(self.engine, "before_cursor_execute", _choose_format)
        # SQLite in WAL mode gives every transaction one snapshot; PostgreSQL does at this isolation level.
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._readers: Engine = self.engine.execution_options(**snapshot)
        self._writers: Engine = self.engine.execution_options(**{_WRITE: True})
        self._turn = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that changes nothing and sees one state throughout. Raises Unavailable."""
        with _translated(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed on leaving and rolled back on an exception. Raises Unavailable.

        On SQLite it starts with BEGIN IMMEDIATE: a read that is upgraded to a write while another process
        writes fails at once with SQLITE_BUSY, whatever the busy timeout
        (sqlite.org/rescode.html#busy_snapshot). Threads of one process queue on a lock, because SQLite's
        own waiting is polling with sleeps up to 100 ms.
        """
        with _translated():
            if not self.is_sqlite:
                with self._writers.begin() as connection:
                    yield connection
                return
            with self._turn, self._writers.begin() as connection:
                yield connection

    def serialize(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time pass for `name`, until it ends. SQLite's writers queue anyway."""
        if not self.is_sqlite:
            number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    def insert_new(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        """Insert `row` unless its key is there already; whether it was inserted."""
        insert = self.insert(table)
        statement = insert.values(**row).on_conflict_do_nothing().returning(*table.primary_key.columns)
        return connection.execute(statement).first() is not None

    def upsert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str]
    ) -> None:
        """Insert or overwrite `rows` by `key`. All rows name the same columns, and no two the same key."""
        if not rows:
            return
        insert = self.insert(table)
        changed = {name: insert.excluded[name] for name in rows[0] if name not in key}
        statement = insert.on_conflict_do_update(index_elements=list(key), set_=changed)
        connection.execute(statement, [dict(row) for row in rows])

    def among(self, column: ColumnElement[Any], values: Sequence[int | str]) -> ColumnElement[bool]:
        """`column` is one of `values`, however many: one parameter, and one statement text for all lengths."""
        if self.is_sqlite:
            each = func.json_each(json.dumps(list(values))).table_valued("value")
            return column.in_(select(each.c.value))
        return column == any_(literal(list(values), postgresql.ARRAY(column.type)))

    def insert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT."""
        return (sqlite.insert if self.is_sqlite else postgresql.insert)(table)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _unusable("The ledger's address is not a database URL.") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise _unusable("The ledger cannot live in memory: it must outlive the process.")
        return parsed
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise _unusable(f"The ledger does not run on {backend}.")


def _unusable(message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        code="ledger_url",
        remedy="Use sqlite:///path/to/ledger.db or postgresql://user@host/database.",
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    # A table that is missing is an OperationalError on SQLite and a ProgrammingError on PostgreSQL.
    except (OperationalError, InterfaceError, ProgrammingError, PoolTimeout) as error:
        raise Unavailable(
            f"The ledger database did not answer ({type(error).__name__}).",
            code="ledger_unavailable",
            remedy="Check that the database of O2C_LEDGER_URL runs, is migrated and has free disk space.",
        ) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # SQLite's answer for a file that is no database
            raise
        raise ConfigurationError(
            "The file at O2C_LEDGER_URL is no ledger, or it is damaged.",
            code="ledger_unreadable",
            remedy="Name another file, or restore this one from a backup.",
        ) from error


def _prepare_sqlite(connection: Any, record: object) -> None:
    """Settings of a fresh connection. WAL is a property of the file: it is set only once."""
    del record
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _enter_wal(cursor)
    cursor.close()


def _enter_wal(cursor: sqlite3.Cursor) -> None:
    """Switch a new file to WAL. SQLite's busy timeout does not apply to that (four processes that opened one
    new file together: "database is locked" at once), so it is tried again here for as long.
    """
    pause = threading.Event()
    for _ in range(BUSY_TIMEOUT_SECONDS * 50 - 1):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            pause.wait(0.02)
    cursor.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _choose_format(_: Connection, cursor: Any, *statement: Any) -> None:
    from psycopg.pq import Format

    context = statement[2]
    if context is not None and context.execution_options.get(_BINARY):
        cursor.format = Format.BINARY
