"""The clock that commands ask."""

from __future__ import annotations

import pytest

from order_to_cash.cli import wiring
from order_to_cash.domain.clock import Clock


def commands_ask(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Let every command ask `clock`.

    Where `make_clock` itself is replaced in `wiring`, a command's module that is imported meanwhile keeps the
    replacement for good: later tests of the process then ran with a clock that stood still.
    """
    monkeypatch.setattr(wiring, "clock_for", lambda environment, control_url: clock)
