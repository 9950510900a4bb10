from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from order_to_cash.cli.app import app


@pytest.fixture(autouse=True)
def clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory and no O2C_ variable but what a test sets."""
    for name in list(os.environ):
        if name.startswith("O2C_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("O2C_SECRETS_DIR", str(tmp_path / "no-secrets"))
    monkeypatch.setenv(
        "PREFECT_API_URL", "http://127.0.0.1:1/api"
    )  # commands set it: it must not outlive a test
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def o2c() -> Callable[..., Result]:
    """Run a command in process: `o2c("config", "show").output`."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return run
