"""One `o2c up` in a folder at a time: two drains on one ledger do no harm, but nobody means to start them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from order_to_cash.domain.errors import ConfigurationError


def hold(path: Path, what: str, remedy: str) -> int:
    """Lock the file and write this process's id into it. Returns the open file: closing it lets go.

    The lock belongs to the open file and so also to a child that inherits it. Raises ConfigurationError
    while another process has it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(file, 32).decode(errors="replace").strip()
        os.close(file)
        raise ConfigurationError(_refusal(what, holder), code="already_running", remedy=remedy) from None
    os.ftruncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return file


def is_held(path: Path) -> bool:
    """Whether the process that locked the file still runs. Nothing is locked for the question."""
    try:
        holder = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return False
    return holder.isdecimal() and _runs(int(holder))


def _refusal(what: str, holder: str) -> str:
    if holder.isdecimal() and _runs(int(holder)):
        return f"{what} already runs here, as process {holder}."
    return f"{what} was killed here a moment ago, and what it started is still ending."


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
