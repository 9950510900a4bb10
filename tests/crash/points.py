"""Points at which a run can be killed: around every outside call and every commit of the ledger.

Used in the child process only. A point has a name and not a number, because the steps of two deals come in any
order: what is done (method and address without ids, or the tables written), which time in this run, and the phase.

    Stripe POST /v1/invoices/{id}/finalize #2 · during

A call is `before` when nothing of it has left, `during` when the far side has done it and the answer is on its way,
`after` when the answer is read and not yet returned. A commit is `during` while the database writes: whether it
lasts is then open.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

CONTROL = "/_emulator/"
AUDIT_COMMIT = "commit audit"

# Of Prefect only the alarms of ladders: what it is told of runs and tasks decides nothing.
_ALARM = re.compile(r"/deployments/[0-9a-f-]{36}/create_flow_run$")
_STRIPE_ID = re.compile(r"\b[a-z]{2,5}_\w{8,}\b")
_SALESFORCE_ID = re.compile(r"\b[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?\b")
_FROM = re.compile(r"\bFROM\s+(\w+)(?:\s+(?:WHERE|ORDER|LIMIT|GROUP)|$)", re.IGNORECASE)
_WRITE = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)


class Points:
    """Writes down every point that is passed, to a file that outlives the kill, and kills at one of them."""

    def __init__(self, report: Path, kill_at: str) -> None:
        self._file = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kill_at = kill_at
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, what: str) -> str:
        """`what` with its number in this run."""
        with self._lock:
            self._seen[what] += 1
            return f"{what} #{self._seen[what]}"

    def reach(self, entered: str, phase: str) -> None:
        """Pass the point, or die there."""
        self._note(entered, phase)
        if self._is_fatal(entered, phase):
            die()

    @contextmanager
    def within(self, entered: str) -> Iterator[None]:
        """Pass the point `during`; if it is the one, die as soon as the body lets other threads run."""
        self._note(entered, "during")
        if not self._is_fatal(entered, "during"):
            yield
            return
        go = threading.Event()

        def killer() -> None:
            go.wait()
            die()

        threading.Thread(target=killer, daemon=True).start()
        go.set()
        yield
        die()

    def _note(self, entered: str, phase: str) -> None:
        os.write(self._file, f"{entered} · {phase}\n".encode())

    def _is_fatal(self, entered: str, phase: str) -> bool:
        return f"{entered} · {phase}" == self._kill_at


def die() -> None:
    """End this process at once; nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def call_name(services: Mapping[str, str], netloc: str, method: str, target: str) -> str:
    """The name of a call to one of `services` (host and port → name); empty for any other."""
    parts = urlsplit(target)
    service = services.get(netloc, "")
    if not service or parts.path.startswith(CONTROL):
        return ""
    if service == "Prefect":
        return f"{service} {method} alarm" if _ALARM.search(parts.path) else ""
    path = _SALESFORCE_ID.sub("{id}", _STRIPE_ID.sub("{id}", parts.path))
    asked = parse_qs(parts.query).get("q", [""])[0]
    objects = _FROM.findall(asked)
    return f"{service} {method} {path}{f' of {objects[-1]}' if objects else ''}"


def commit_name(statements: list[str]) -> str:
    """The name of a commit by the tables it writes; empty when it writes none.

    Which audit rows share a commit is chance: all their commits have one name.
    """
    written = [found for statement in statements if (found := _WRITE.match(statement))]
    tables = {found[2] for found in written}
    if tables == {"ledger_audit"}:
        return AUDIT_COMMIT
    verbs = {f"{found[1].split()[0].lower()} {found[2].removeprefix('ledger_')}" for found in written}
    return f"commit {' + '.join(sorted(verbs))}" if verbs else ""
