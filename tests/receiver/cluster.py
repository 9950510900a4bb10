"""A PostgreSQL server of our own, which may be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from order_to_cash.cli.processes import free_port
from tests.receiver.serving import eventually

_START_SECONDS = 60.0


def can_have_one() -> bool:
    """Whether its programs are here; as root it runs as the user `postgres`, for it refuses to run as root."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        return False
    return os.geteuid() != 0 or _user() is not None


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


class Cluster:
    """Runs from `__enter__` on, durably as PostgreSQL does by default: `fsync` and `synchronous_commit` are on."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        self._folder = Path(tempfile.mkdtemp(prefix="o2c-cluster-"))
        if (user := _user()) is not None:
            shutil.chown(self._folder, user)
        self._data = self._folder / "data"
        command = ["initdb", "--username=postgres", "--auth=trust", "--no-sync", "--pgdata", str(self._data)]
        subprocess.run(command, check=True, user=_user(), cwd=self._folder, stdout=subprocess.DEVNULL)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Returns when it takes connections, which is after it has recovered."""
        eventually(self._started, _START_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the server; its own children notice and end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _started(self) -> bool:
        # After a kill it refuses to start until the old server's children have let go of their shared memory.
        if self._process is None or self._process.poll() is not None:
            with (self._folder / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    ["postgres", "-D", str(self._data), "-p", str(self._port), "-k", str(self._folder)],
                    user=_user(),
                    cwd=self._folder,
                    stdout=log,
                    stderr=log,
                )
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
