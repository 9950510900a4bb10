"""Tests of commands move the clock in one way only: another one outlived its test, and broke later ones."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_no_test_replaces_make_clock() -> None:
    replaced = re.compile(r"""setattr\([^)]*make_clock""")
    guilty = [path.name for path in TESTS.rglob("*.py") if replaced.search(path.read_text(encoding="utf-8"))]
    assert guilty == [], "use tests.cli.command_clock.commands_ask"
