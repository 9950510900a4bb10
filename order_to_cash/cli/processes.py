"""Long-lived children of `o2c up` and `o2c demo`: started in order, watched, restarted, ended with their parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from order_to_cash.cli import guardian, logs
from order_to_cash.domain.errors import ConfigurationError

LONGEST_RESTART_DELAY_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 60.0

Say = Callable[[str], None]
Probe = Callable[[], Awaitable[bool]]


@dataclass
class Child:
    """One process to keep alive. `ready` answers whether it serves; None means as soon as it runs.

    Children of a higher `stage` need those of the lower ones: they are ended first.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Probe | None = None
    ready_seconds: float = 60.0
    stage: int = 0


class Supervisor:
    """Keeps children running. Output of each goes to `<log_directory>/<name>.log`.

    `lock` is an open file, kept open until the last child has ended, also when this process is killed.
    """

    def __init__(self, log_directory: Path, say: Say, lock: int | None = None) -> None:
        self._log_directory = log_directory
        self._say = say
        self._lock = lock
        self._stopping = asyncio.Event()
        self._guardian: asyncio.subprocess.Process | None = None
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._logs_before: dict[str, int] = {}
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self, child: Child) -> None:
        """Start `child`, wait until it is ready, and watch it from then on.

        Raises ConfigurationError when it ends before it is ready or is not ready in time.
        """
        logs.begin_anew(self.log_file(child.name))
        process = await self._spawn(child)
        await self._wait_until_ready(child, process)
        self._watchers.append(asyncio.create_task(self._watch(child, process)))

    async def stop(self) -> None:
        """End all children, the last stage first; what does not end in time is killed."""
        self._stopping.set()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            await self._guardian.wait()
        for process in self._running.values():
            await killed(process)
        self._running.clear()

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def log_file(self, name: str) -> Path:
        return self._log_directory / f"{name}.log"

    def said(self, name: str, text: str) -> bool:
        """Whether the child has written `text` since it was last started."""
        with self.log_file(name).open("rb") as log:
            log.seek(self._logs_before[name])
            return text.encode() in log.read()

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        if self._guardian is None:
            self._guardian = await self._start_guardian()
        self._log_directory.mkdir(parents=True, exist_ok=True)
        with self.log_file(child.name).open("ab") as log:
            self._logs_before[child.name] = log.tell()
            # A session of its own: Ctrl-C in the terminal reaches only us, and the children end in order.
            process = await asyncio.create_subprocess_exec(
                *child.argv,
                env={**os.environ, **child.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[child.name] = process
        self._tell_guardian(f"+{process.pid} {child.stage}")
        return process

    async def _start_guardian(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(guardian.__file__)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if self._lock is None else (self._lock,),
        )

    def _tell_guardian(self, line: str) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.write(f"{line}\n".encode())

    async def _wait_until_ready(self, child: Child, process: asyncio.subprocess.Process) -> None:
        if child.ready is None:
            return
        deadline = asyncio.get_running_loop().time() + child.ready_seconds
        # One that answers for an ended child is another process at its address.
        while process.returncode is not None or not await child.ready():
            if process.returncode is not None:
                raise ConfigurationError(
                    f"{child.name} {_ended(process.returncode)} before it was ready: {self._last_words(child.name)}",
                    code="process_ended",
                    remedy=f"Read {self.log_file(child.name)}.",
                )
            if asyncio.get_running_loop().time() > deadline:
                raise ConfigurationError(
                    f"{child.name} was not ready within {child.ready_seconds:.0f} s.",
                    code="process_not_ready",
                    remedy=f"Read {self.log_file(child.name)}.",
                )
            await asyncio.sleep(0.2)

    async def _watch(self, child: Child, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        delay_seconds = 1.0
        while not self._stopping.is_set():
            started = loop.time()
            status = await process.wait()
            self._tell_guardian(f"-{process.pid}")
            if loop.time() - started > HEALTHY_AFTER_SECONDS:
                delay_seconds = 1.0
            self._say(
                f"{child.name} {_ended(status)}; starting it again in {delay_seconds:.0f} s. "
                f"It said last: {self._last_words(child.name)} (all of it: {self.log_file(child.name)})"
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_seconds)
                return
            delay_seconds = min(delay_seconds * 2, LONGEST_RESTART_DELAY_SECONDS)
            process = await self._spawn(child)
            again = asyncio.create_task(self._tell_when_ready(child, process))
            self._watchers.append(again)
            again.add_done_callback(self._watchers.remove)

    async def _tell_when_ready(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """After a restart. One that ends before that is told of by its watcher, one that hangs here."""
        try:
            await self._wait_until_ready(child, process)
        except ConfigurationError as error:
            if process.returncode is None:
                self._say(f"{error.message} {error.remedy}")
        else:
            self._say(f"{child.name} runs again")

    def _last_words(self, name: str) -> str:
        """The last line of the child's log, at most 200 characters of it."""
        with self.log_file(name).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 4000))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "nothing")


async def killed(process: asyncio.subprocess.Process) -> None:
    """End `process` where it still runs, and wait until it has."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            # `process.kill` asks waitpid(2) first and so takes the status of one that has just ended from asyncio,
            # which then logs "Unknown child process pid" (Python 3.11, subprocess.Popen.send_signal).
            os.kill(process.pid, signal.SIGKILL)
    await process.wait()


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"


async def together(*ways: Coroutine[Any, Any, None]) -> None:
    """Run them at once. The first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(way)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def free_port() -> int:
    """A port on the loopback address that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> Probe:
    """A probe that is true once GET `url` answers 200."""

    async def probe() -> bool:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False

    return probe


def o2c_argv(*words: str) -> list[str]:
    """The command line that runs `o2c` with this interpreter."""
    return [sys.executable, "-m", "order_to_cash.cli", *words]
