"""A ledger for tests that open hundreds of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import event

from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import MovableClock


def quick_ledger(template: Path, folder: str, clock: MovableClock) -> Ledger:
    """On a copy, in `folder`, of the migrated ledger `template`. Close it."""
    path = Path(folder) / "ledger.db"
    shutil.copy(template, path)
    ledger = Ledger.open(f"sqlite:///{path}", clock=clock, environment=Environment.EMULATOR)
    event.listen(ledger.database.engine, "connect", _fast)
    ledger.database.engine.dispose()
    return ledger


def _fast(connection: Any, record: object) -> None:
    """No fsync: power loss is not what is tested here, and it is two thirds of the time."""
    connection.execute("PRAGMA synchronous=OFF")
