"""How long the command line takes to answer, and how large the processes are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from bench.table import Row

RUNS = 10


def help_time() -> list[Row]:
    """`o2c --help` by the installed script."""
    script = Path(sys.executable).parent / "o2c"
    times = []
    used = os.times()
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([script, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    spent = os.times()
    cpu = (spent.children_user - used.children_user + spent.children_system - used.children_system) / RUNS
    return [
        Row(
            "`o2c --help`",
            f"{median(times) * 1000:.0f} ms (worst {max(times) * 1000:.0f} ms)",
            "≤ 300 ms",
            f"wall time of {RUNS} processes, median; {cpu * 1000:.0f} ms of processor time each",
        )
    ]


def memory(idle: Mapping[str, int], after: Mapping[str, int]) -> list[Row]:
    """Largest resident sets, idle and after a batch."""
    return [
        Row(
            f"memory, {role}",
            f"{size / 2**20:.0f} MiB, after the batch {after.get(role, 0) / 2**20:.0f} MiB",
            "",
            "peak resident set (VmHWM) after the first look, and after 200 deals",
        )
        for role, size in sorted(idle.items())
    ]
