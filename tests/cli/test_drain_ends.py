"""SIGTERM ends the drain in good order, whatever handler Prefect has put in its place."""

from __future__ import annotations

import subprocess
import sys

# As Prefect's capture_sigterm does while a flow runs.
_AS_WITH_A_FLOW = """
import asyncio, os, signal
from order_to_cash.cli import drain

def raising(number, frame):
    raise KeyboardInterrupt

async def main():
    stop = drain._stopped_by_signals()
    signal.signal(signal.SIGTERM, raising)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 10)

asyncio.run(main())
print("in good order")
"""


def test_sigterm_while_a_flow_runs_only_asks_to_stop() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _AS_WITH_A_FLOW], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "in good order\n"), ended.stderr
