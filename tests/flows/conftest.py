"""Recipes run in process against a small company on emulators and one Prefect server a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, small_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fresh small company; the settings of this process point at it."""
    for name in [name for name in os.environ if name.startswith("O2C_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with small_world(tmp_path) as made:
        for name, value in made.env().items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
async def books(world: World, prefect_server: None) -> World:
    """The world with its Prefect blocks saved, so that flows can be run."""
    from blocks.registry import save
    from order_to_cash.settings import load_settings

    await save(load_settings())
    return world
