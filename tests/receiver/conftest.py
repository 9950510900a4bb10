"""A ledger of its own for each test, and a receiver in front of it. PostgreSQL as in tests/ledger/conftest.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from tests.crash import databases
from tests.ledger.conftest import postgres_url
from tests.receiver.serving import NOW, OWN_ACCOUNT, OWN_ORG, QUICK, Served, serving

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where no PostgreSQL answers and none is demanded, its tests are deselected."""
    needing = [
        item
        for item in items
        if _HERE in item.path.parents and item.get_closest_marker("postgres") is not None
    ]
    if needing and not postgres_url() and os.environ.get("O2C_REQUIRE_POSTGRES") != "1":
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite ledger that belongs to the own account and org."""
    path = tmp_path_factory.mktemp("receiver") / "template.db"
    with Ledger.open(f"sqlite:///{path}", clock=FixedClock(NOW), environment=Environment.TEST) as ledger:
        ledger.migrate()
        ledger.bind(Environment.TEST, OWN_ACCOUNT, OWN_ORG)
    return path


@pytest.fixture
def ledger(template: Path, tmp_path: Path, clock: FixedClock) -> Iterator[Ledger]:
    path = tmp_path / "ledger.db"
    shutil.copy(template, path)
    with Ledger.open(f"sqlite:///{path}", clock=clock, environment=Environment.TEST) as opened:
        yield opened


@pytest.fixture
def served(ledger: Ledger, clock: FixedClock) -> Iterator[Served]:
    """A receiver with short patience."""
    with serving(ledger, clock, limits=QUICK) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def standing(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Ledger]]:
    """One receiver for all tests of a module that store nothing."""
    path = tmp_path_factory.mktemp("standing") / "ledger.db"
    shutil.copy(template, path)
    clock = FixedClock(NOW)
    with (
        Ledger.open(f"sqlite:///{path}", clock=clock, environment=Environment.TEST) as opened,
        serving(opened, clock, limits=QUICK) as receiver,
    ):
        yield receiver, opened


@pytest.fixture
def postgresql_url(clock: FixedClock) -> Iterator[str]:
    """A migrated, empty ledger on PostgreSQL."""
    server = postgres_url()
    assert server, "PostgreSQL is required and does not answer"
    with databases.postgresql(server, clock) as fresh:
        yield fresh()
