"""Ends the children of `o2c up` and `o2c demo` once their parent has ended, however it ended.

A script of its own with the standard library only: it must outlive a parent that is killed. It reads lines from
its standard input: `+PID STAGE` for a child that was started in a session of its own, `-PID` for one that is gone.
The end of the input, which a killed parent causes as well, is the order to end what is left: the highest stage
first, SIGTERM and then, for what does not end in time, SIGKILL, grandchildren included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

STOP_SECONDS = 10.0


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    stages: dict[int, int] = {}
    for line in sys.stdin:
        pid, _, stage = line[1:].partition(" ")
        if line.startswith("+"):
            stages[int(pid)] = int(stage)
        else:
            stages.pop(int(pid), None)
    for stage in sorted(set(stages.values()), reverse=True):
        end({pid for pid, of in stages.items() if of == stage})


def end(pids: set[int], seconds: float = STOP_SECONDS) -> None:
    """Ask `pids` to end, wait, and kill what of them and their descendants is still there."""
    family = pids | descendants(pids)
    for pid in pids:
        _send(pid, signal.SIGTERM)
    until, tick = time.monotonic() + seconds, threading.Event()
    while alive(pids) and time.monotonic() < until:
        tick.wait(0.05)
    for pid in alive(family | descendants(pids)):
        _send(pid, signal.SIGKILL)


def alive(pids: Iterable[int]) -> set[int]:
    """Which of them run; what ended and was not waited for yet does not."""
    running = _processes()
    return {pid for pid in pids if pid in running}


def descendants(pids: set[int]) -> set[int]:
    """Children, grandchildren and so on: Prefect's worker starts each run in a session of its own."""
    parents = _processes()
    found: set[int] = set()
    news = set(pids)
    while news:
        news = {pid for pid, parent in parents.items() if parent in news} - found
        found |= news
    return found


def _processes() -> dict[int, int]:
    """Every process that runs, with its parent."""
    if Path("/proc/self/stat").exists():
        rows = [_stat(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    else:
        shown = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,stat=,ppid="], capture_output=True, text=True, check=True
        )
        rows = [line.split() for line in shown.stdout.splitlines()]
    return {int(row[0]): int(row[2]) for row in rows if len(row) > 2 and not row[1].startswith("Z")}


def _stat(entry: Path) -> list[str]:
    """Process id, state and parent (proc(5)): the name before them may itself hold spaces and brackets."""
    try:
        text = (entry / "stat").read_text(errors="replace")
    except OSError:
        return []
    return [entry.name, *text.rpartition(")")[2].split()[:2]]


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return


if __name__ == "__main__":
    main()
