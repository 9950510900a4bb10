from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_to_cash.settings import load_settings
from tests.live.place import REAL, Place, missing, place_of, variables_of_tests
from tests.world import small_world


def pytest_sessionstart() -> None:
    """`make test-live` without credentials ends before the first test."""
    if os.environ.get(REAL) and (reason := missing()):
        raise pytest.UsageError(reason)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The emulators; with `make test-live` the sandboxes that the environment or `.env` names."""
    if os.environ.get(REAL):
        if reason := missing():
            pytest.fail(reason, pytrace=False)
        for name, value in variables_of_tests(tmp_path).items():
            monkeypatch.setenv(name, value)
        with place_of(load_settings(), None) as real:
            yield real
        return
    for name in [name for name in os.environ if name.startswith("O2C_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("O2C_ENV_FILE", os.devnull)
    with small_world(tmp_path, multi_currency=False) as world:
        for name, value in {**world.env(), **variables_of_tests(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        with place_of(load_settings(), world.seeder) as emulated:
            yield emulated
