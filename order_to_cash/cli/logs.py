"""The log files of long-lived children: each start begins a new one, and the ones before are kept for a while."""

from __future__ import annotations

from pathlib import Path

KEPT = 5


def begin_anew(log: Path) -> None:
    """Put what an earlier start wrote aside as `NAME.log.1`, what was `.1` as `.2` and so on; `.5` is forgotten."""
    if not log.exists():
        return
    for number in range(KEPT - 1, 0, -1):
        earlier = _aside(log, number)
        if earlier.exists():
            earlier.replace(_aside(log, number + 1))
    log.replace(_aside(log, 1))


def _aside(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
