"""A small company on emulators of its own, and a zygote whose children are killed.

The tests for PostgreSQL use the server of the ledger's tests: see tests/ledger/conftest.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import databases
from tests.crash.databases import Fresh
from tests.crash.runs import Runs, Zygote
from tests.crash.zygote import COMPANY
from tests.ledger.conftest import postgres_url
from tests.world import World, small_world

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


@pytest.fixture(scope="module")
def crash_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with small_world(tmp_path_factory.mktemp("crash")) as world:
        yield world


@pytest.fixture(scope="module")
async def crash_blocks(crash_world: World, prefect_server: None) -> str:
    """The world's blocks under a name of their own; the Prefect server's address."""
    from prefect.settings import get_current_settings

    from blocks.registry import save
    from order_to_cash.settings import load_settings

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("O2C_")]:
            patch.delenv(name)
        for name, value in crash_world.env().items():
            patch.setenv(name, value)
        patch.chdir(crash_world.home)  # settings also read .env
        await save(load_settings(), COMPANY)
    return str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def crash_runs(crash_world: World, crash_blocks: str) -> Iterator[Runs]:
    home = crash_world.home
    with Zygote(home, crash_blocks, home / "zygote.log") as zygote:
        yield Runs(crash_world, zygote)


@pytest.fixture
def fresh_ledger(backend: str, crash_world: World, tmp_path: Path) -> Iterator[Fresh]:
    """Makes an empty ledger on the test's database."""
    if backend == "sqlite":
        with databases.sqlite(tmp_path, crash_world.clock) as fresh:
            yield fresh
        return
    server = postgres_url()
    assert server, "PostgreSQL is required and does not answer"
    with databases.postgresql(server, crash_world.clock) as fresh:
        yield fresh
