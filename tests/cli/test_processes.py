"""Children of `o2c up`: restarted when they die, ended when their parent ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from order_to_cash.cli import guardian, lock
from order_to_cash.cli.processes import Child, Supervisor, together
from order_to_cash.domain.errors import ConfigurationError
from tests.cli.waiting import until, until_now

SLEEPER = (sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    *(sys.executable, "-S", "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)
FAMILY = f"import subprocess; subprocess.run({list(SLEEPER)!r}, start_new_session=True)"
# A parent that starts two children, one with a child in a session of its own, and holds a lock.
PARENT = f"""
import asyncio, subprocess, sys
from pathlib import Path
from order_to_cash.cli import lock
from order_to_cash.cli.processes import Child, Supervisor

async def main():
    held = lock.hold(Path("up.lock"), "it", "Stop it.")
    supervisor = Supervisor(Path("logs"), print, held)
    await supervisor.start(Child("plain", {list(SLEEPER)!r}))
    await supervisor.start(Child("family", [sys.executable, "-S", "-c", {FAMILY!r}], stage=1))
    await asyncio.sleep(0.5)
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", said.append)
    await supervisor.start(Child("sleeper", SLEEPER))
    first = supervisor.pids()["sleeper"]
    await until(lambda: "up" in supervisor.log_file("sleeper").read_text())
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids()["sleeper"] != first)
    second = supervisor.pids()["sleeper"]
    await until(lambda: len(said) == 2)
    assert said == [
        "sleeper was ended by SIGKILL; starting it again in 1 s. It said last: up "
        f"(all of it: {tmp_path / 'logs' / 'sleeper.log'})",
        "sleeper runs again",
    ]
    await supervisor.stop()
    assert not guardian.alive({first, second})


async def test_a_child_that_is_started_again_runs_again_only_once_it_is_ready(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", said.append)
    asked = []

    async def ready() -> bool:
        asked.append(supervisor.said("sleeper", "up"))
        return asked[-1]

    await supervisor.start(Child("sleeper", SLEEPER, ready=ready))
    asked.clear()
    os.kill(supervisor.pids()["sleeper"], signal.SIGKILL)
    await until(lambda: "sleeper runs again" in said)
    assert asked[-1], "what it said before it was killed does not count"
    assert supervisor.log_file("sleeper").read_text() == "up\nup\n"
    await supervisor.stop()


async def test_the_status_of_a_child_that_has_just_ended_is_left_to_asyncio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It showed on a busy machine as "Unknown child process pid" among what `o2c up` says at its end."""
    waits = asyncio.unix_events.ThreadedChildWatcher._do_waitpid  # type: ignore[attr-defined]  # not in its stub

    def waits_late(*args: object) -> None:
        threading.Event().wait(0.5)
        waits(*args)

    supervisor = Supervisor(tmp_path / "logs", print)
    await supervisor.start(Child("guarded", ("true",)))  # starts the guardian, which is waited for in time
    monkeypatch.setattr(asyncio.unix_events.ThreadedChildWatcher, "_do_waitpid", waits_late)
    await supervisor.start(Child("sleeper", SLEEPER))
    await supervisor.stop()
    assert "Unknown child process" not in caplog.text


async def test_what_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(tmp_path / "logs", print)
    await supervisor.start(Child("stubborn", STUBBORN))
    await until(lambda: "up" in supervisor.log_file("stubborn").read_text())
    pid = supervisor.pids()["stubborn"]
    await asyncio.to_thread(guardian.end, {pid}, 0.2)
    await until(lambda: not guardian.alive({pid}))
    await supervisor.stop()


async def test_a_child_that_ends_before_it_is_ready_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    supervisor = Supervisor(tmp_path / "logs", print)
    broken = Child("broken", (sys.executable, "-S", "-c", "raise SystemExit('no database')"), ready=never)
    with pytest.raises(
        ConfigurationError, match="broken ended with status 1 before it was ready: no database"
    ):
        await supervisor.start(broken)
    await supervisor.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == "started\n"
        family = guardian.descendants({parent.pid})
        assert len(family) == 4, "the guardian, two children, one grandchild"
        parent.send_signal(number)
        parent.wait(10)
        until_now(lambda: not guardian.alive(family))
    os.close(lock.hold(tmp_path / "up.lock", "it", "Stop it."))


def test_the_lock_is_held_until_the_last_child_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    held = lock.hold(path, "`o2c up`", "Stop it.")
    with pytest.raises(ConfigurationError, match=f"`o2c up` already runs here, as process {os.getpid()}"):
        lock.hold(path, "`o2c up`", "Stop it.")
    child = subprocess.Popen(SLEEPER, pass_fds=[held], stdout=subprocess.DEVNULL)
    os.close(held)
    path.write_text("999999999\n")
    with pytest.raises(ConfigurationError, match="is still ending"):
        lock.hold(path, "`o2c up`", "Stop it.")
    child.kill()
    child.wait()
    os.close(lock.hold(path, "`o2c up`", "Stop it."))


async def test_the_first_error_of_several_ways_ends_the_others_and_comes_out_as_it_is() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise ConfigurationError("No deployments.", code="deploy_failed")

    async def waits() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("waits")

    with pytest.raises(ConfigurationError, match="No deployments"):
        await together(waits(), fails())
    assert ended == ["waits"]
