"""A terminal without the demo's settings is told of them, and any other terminal is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from order_to_cash.cli import lock
from order_to_cash.cli.demo_place import LOCK, SETTINGS

Command = Callable[..., Result]
RUNS = "The demo that runs here has settings and a ledger of its own"
NEW = "Nothing here yet: the ledger in "


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, clean_place: Path) -> None:
    """Not even the folder of secrets: a second terminal as it is opened."""
    monkeypatch.delenv("O2C_SECRETS_DIR")


@pytest.fixture
def ended() -> None:
    """A demo ran here once."""
    SETTINGS.parent.mkdir(parents=True)
    SETTINGS.write_text("O2C_ENVIRONMENT='emulator'\n", encoding="utf-8")


@pytest.fixture
def running(ended: None) -> Iterator[None]:
    held = lock.hold(LOCK, "`o2c demo`", "Stop it.")
    yield
    os.close(held)


def export(place: Path) -> str:
    return f"export O2C_ENV_FILE={place / SETTINGS}"


@pytest.mark.usefixtures("running")
def test_while_the_demo_runs_every_command_tells_where_its_settings_are(
    o2c: Command, clean_place: Path
) -> None:
    done = o2c("held", "list")
    assert done.stdout == "Nothing is held.\n"
    assert RUNS in done.stderr
    assert NEW in done.stderr
    assert done.stderr.count(export(clean_place)) == 1
    assert RUNS not in o2c("version").stderr


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("how", ["variable", "file"])
def test_a_terminal_with_settings_is_told_nothing(
    o2c: Command, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("O2C_ENV_FILE", str(SETTINGS.absolute()))
    else:
        Path(".env").write_text("O2C_ENVIRONMENT=emulator\n", encoding="utf-8")
    done = o2c("held", "list")
    assert RUNS not in done.stderr
    assert "export" not in done.stderr


@pytest.mark.usefixtures("ended")
def test_the_ledger_of_a_demo_that_has_ended_is_named_where_ours_is_new(
    o2c: Command, clean_place: Path
) -> None:
    done = o2c("audit", "list")
    assert RUNS not in done.stderr
    assert f"{NEW}{clean_place / '.o2c'} was never used." in done.stderr
    assert f"The demo's is another one: {export(clean_place)}" in done.stderr


def test_without_a_demo_a_new_ledger_is_called_new(o2c: Command) -> None:
    done = o2c("audit", "verify")
    assert done.exit_code == 0
    assert NEW in done.stderr
    assert "The demo" not in done.stderr
