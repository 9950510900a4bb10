"""Where the demo keeps its settings and its ledger, and how whoever looks without them is told so."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from order_to_cash.cli import lock

HOME = Path(".o2c") / "demo"
LOCK = HOME.with_name("demo.lock")
SETTINGS = HOME / ".env"
_WITHOUT_SETTINGS = {"demo", "version"}


def remind(command: str | None) -> None:
    """While a demo runs in this folder, tell a terminal that has no settings at all where the demo's are."""
    if command in _WITHOUT_SETTINGS or _has_settings() or not (SETTINGS.exists() and lock.is_held(LOCK)):
        return
    typer.secho(
        f"The demo that runs here has settings and a ledger of its own; this is not about it. To see it:\n"
        f"  {export()}\n",
        fg="yellow",
        err=True,
    )


def export() -> str:
    """The line that makes a terminal the demo's."""
    return f"export O2C_ENV_FILE={shlex.quote(str(SETTINGS.absolute()))}"


def left_behind() -> bool:
    """Whether a demo that has ended left its ledger, and this terminal has no settings and so looks at another."""
    return SETTINGS.exists() and not _has_settings() and not lock.is_held(LOCK)


def _has_settings() -> bool:
    return Path(".env").exists() or any(name.startswith("O2C_") for name in os.environ)
