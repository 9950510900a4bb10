"""Recipes run in process against a small company on emulators and one Prefect server a session."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.running import set_dunning
from tests.ledger.conftest import postgres_url
from tests.world import World, small_world

Policy = Callable[..., Awaitable[None]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without PostgreSQL its tests are deselected, unless O2C_REQUIRE_POSTGRES=1 asks for them."""
    here = Path(__file__).parent
    needing = [one for one in items if here in one.path.parents and one.get_closest_marker("postgres")]
    if needing and os.environ.get("O2C_REQUIRE_POSTGRES") != "1" and not postgres_url():
        config.hook.pytest_deselected(items=needing)
        items[:] = [one for one in items if one not in needing]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries as in production, without the waiting in between."""
    from prefect.tasks import Task

    import tasks
    from order_to_cash.gateways import salesforce_gateway, stripe_gateway
    from order_to_cash.gateways.retry import RetryPolicy

    for found in pkgutil.iter_modules(tasks.__path__):
        for each in vars(importlib.import_module(f"tasks.{found.name}")).values():
            if isinstance(each, Task):
                monkeypatch.setattr(each, "retry_delay_seconds", [0.02])
    quick = RetryPolicy(base_seconds=0.01)
    for gateway in (stripe_gateway, salesforce_gateway):
        monkeypatch.setattr(gateway, "RetryPolicy", lambda: quick)


@pytest.fixture
def multi_currency() -> bool:
    """Whether the org has several currencies; parametrize it for one that has not."""
    return True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multi_currency: bool) -> Iterator[World]:
    """A fresh small company; the settings of this process point at it."""
    for name in [name for name in os.environ if name.startswith("O2C_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with small_world(tmp_path, multi_currency=multi_currency) as made:
        for name, value in made.env().items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
async def books(world: World, prefect_server: None) -> World:
    """The world with its Prefect blocks saved, so that flows can be run. Ladders are off; see `set_dunning`."""
    from blocks.registry import save
    from order_to_cash.settings import load_settings

    await save(load_settings())
    await set_dunning(enabled=False)
    return world


@pytest.fixture
def policy(books: World, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """Change settings and the blocks derived from them: `await policy(max_deals_per_run=2)`."""

    async def changed(**settings: object) -> None:
        from blocks.registry import save
        from order_to_cash.settings import load_settings

        for name, value in settings.items():
            monkeypatch.setenv(f"O2C_{name.upper()}", str(value))
        await save(load_settings())

    return changed
