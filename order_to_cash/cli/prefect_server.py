"""Prefect's own server, with Python's garbage collected beside its event loop: `python -m …prefect_server --port 4200`.

On SQLite the server of Prefect 3.8.8 otherwise stands still for its busy timeout, 60 s, every now and then: one of its
connections waits for the write lock, whose holder waits for the event loop, and the loop's thread, collecting garbage,
frees a cursor of the connection that waits. SQLite makes it wait for that connection. Seen in 6 of 20 runs of the demo
on a busy machine; the one that waited then fails with "database is locked".
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from itertools import count

# Young garbage often, old garbage seldom: walking all of it takes a quarter of a second, and the interpreter's lock.
PAUSE_SECONDS = 0.5
OLDER_EVERY, ALL_EVERY = 10, 240


def collect_beside(pause_seconds: float = PAUSE_SECONDS) -> None:
    """From now on a thread of its own collects what the interpreter would collect in any thread, for ever."""
    gc.disable()
    threading.Thread(target=_collect, args=(pause_seconds,), name="garbage", daemon=True).start()


def _collect(pause_seconds: float) -> None:
    for turn in count(1):
        time.sleep(pause_seconds)
        gc.collect(2 if turn % ALL_EVERY == 0 else 1 if turn % OLDER_EVERY == 0 else 0)


def main() -> None:
    """Run `prefect server start` in this process, with the arguments given."""
    collect_beside()
    from prefect.cli import app

    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
