"""Every test of the ledger runs on SQLite and on PostgreSQL.

PostgreSQL is the server of O2C_TEST_POSTGRES_URL, or the local one where it answers. Where none does, the
PostgreSQL tests are deselected and the header says so; with O2C_REQUIRE_POSTGRES=1 they fail instead.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.tables import METADATA
from tests.ledger.support import MovableClock

_HERE = Path(__file__).parent
_LOCAL = ("postgresql://root@127.0.0.1:5432/postgres", "postgresql://postgres@127.0.0.1:5432/postgres")


@functools.cache
def postgres_url() -> str:
    """The server's address, or nothing when none answers."""
    named = os.environ.get("O2C_TEST_POSTGRES_URL", "")
    for url in (named,) if named else _LOCAL:
        try:
            psycopg.connect(_plain(url), connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        return url
    return ""


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _required() -> bool:
    return os.environ.get("O2C_REQUIRE_POSTGRES") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needing = [item for item in items if _HERE in item.path.parents and _needs_postgres(item)]
    for item in needing:
        item.add_marker(pytest.mark.postgres)
    if needing and not postgres_url() and not _required():
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"ledger: no PostgreSQL answers, {len(needing)} tests deselected")


def _needs_postgres(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    parametrized = call is not None and call.params.get("backend") == "postgresql"
    return parametrized or "postgresql" in getattr(item, "fixturenames", ())


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes empty schemas, and drops them at the end of the session."""
    server = postgres_url()
    assert server, "PostgreSQL is required and does not answer"
    made: list[str] = []

    def fresh() -> str:
        name = f"o2c_ledger_{uuid4().hex[:12]}"
        with psycopg.connect(_plain(server), autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"')
        made.append(name)
        url = make_url(server).update_query_dict({"options": f"-csearch_path={name}"})
        return url.render_as_string(hide_password=False)

    yield fresh
    with psycopg.connect(_plain(server), autocommit=True) as connection:
        for name in made:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture(scope="session")
def postgresql_ledger(postgresql: Callable[[], str]) -> str:
    """One migrated schema for the session; `url` empties it for each test."""
    url = postgresql()
    with Ledger.open(url, clock=MovableClock(), environment=Environment.EMULATOR) as ledger:
        ledger.migrate()
    return url


@pytest.fixture(scope="session")
def sqlite_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated file for the session; `url` copies it for each test."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.db"
    with Ledger.open(f"sqlite:///{path}", clock=MovableClock(), environment=Environment.EMULATOR) as ledger:
        ledger.migrate()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without any table."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    fresh: Callable[[], str] = request.getfixturevalue("postgresql")
    return fresh()


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A migrated, empty ledger."""
    if backend == "sqlite":
        path = tmp_path / "ledger.db"
        shutil.copy(request.getfixturevalue("sqlite_ledger"), path)
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("postgresql_ledger"))


@pytest.fixture
def ledger(url: str, clock: MovableClock) -> Iterator[Ledger]:
    with Ledger.open(url, clock=clock, environment=Environment.EMULATOR) as opened:
        yield opened
        if not opened.database.is_sqlite:
            tables = ", ".join(METADATA.tables)
            with opened.database.write() as connection:
                connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
