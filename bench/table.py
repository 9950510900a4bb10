"""The figures as a table: what, how much, what was aimed at, how it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Row:
    """One figure. `goal` is empty where none is set."""

    figure: str
    value: str
    goal: str
    how: str


def machine() -> str:
    """When and on what: the date, the cores, the load of the last minute."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{now} · {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}{load}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table, padded so that it reads well in a terminal too."""
    table = [("figure", "measured", "goal", "how"), *((r.figure, r.value, r.goal, r.how) for r in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(3)]
    lines = [_line(cells, widths) for cells in table]
    lines.insert(1, _line(["-" * width for width in (*widths, 3)], widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    return f"| {' | '.join([*padded, cells[-1]])} |"
