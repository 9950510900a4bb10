from __future__ import annotations

import sys
from pathlib import Path

from order_to_cash.cli.logs import KEPT, begin_anew
from order_to_cash.cli.processes import Child, Supervisor
from tests.cli.waiting import until


def test_the_newest_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "drain.log"
    begin_anew(log)
    for start in range(KEPT + 3):
        log.write_text(f"start {start}")
        begin_anew(log)
    assert not log.exists()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        f"drain.log.{number}": f"start {KEPT + 3 - number}" for number in range(1, KEPT + 1)
    }


async def one_start(tmp_path: Path, says: str) -> None:
    supervisor = Supervisor(tmp_path, print)
    program = f"import time; print({says!r}, flush=True); time.sleep(600)"
    await supervisor.start(Child("child", (sys.executable, "-S", "-c", program)))
    await until(lambda: supervisor.log_file("child").read_text() != "")
    await supervisor.stop()


async def test_each_start_begins_new_logs(tmp_path: Path) -> None:
    await one_start(tmp_path, "first")
    await one_start(tmp_path, "second")
    assert (tmp_path / "child.log").read_text() == "second\n"
    assert (tmp_path / "child.log.1").read_text() == "first\n"
