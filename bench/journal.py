"""What an emulator saw, read over its control API: the figures are counted there, not in our own records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

_LOOK = "SELECT Id, SystemModstamp"


@dataclass(frozen=True)
class Seen:
    """One request. `ended` is when its answer was complete."""

    seq: int
    at: datetime
    ended: datetime
    method: str
    path: str
    query: dict[str, Any]
    status: int | None
    effects: tuple[tuple[str, str, str], ...]  # object, id, action
    response: Any

    @property
    def is_look(self) -> bool:
        return str(self.query.get("q", "")).startswith(_LOOK)


class Journal:
    """Of one emulator."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/_emulator", timeout=60, trust_env=False)

    def next(self) -> int:
        """The number of the next request."""
        # From the far future on there is nothing: only the number comes back.
        number: int = self._client.get("/journal", params={"since": 1 << 60}).json()["next"]
        return number

    def since(self, seq: int) -> list[Seen]:
        """All finished requests from number `seq` on."""
        entries = self._client.get("/journal", params={"since": seq}).json()["entries"]
        return [_seen(entry) for entry in entries if not entry["in_flight"] and entry["method"] != "CLOCK"]

    def looks(self, seq: int) -> list[Seen]:
        """The drain's looks for won deals among them."""
        return [entry for entry in self.since(seq) if entry.is_look]

    def wait_for_updates(self, seq: int, ids: Sequence[str], patience_seconds: float) -> list[Seen]:
        """All requests from `seq` on, once every record of `ids` was updated. Raises TimeoutError."""
        deadline = time.monotonic() + patience_seconds
        left, at, found = set(ids), seq, list[Seen]()
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} of {len(ids)} deals were not written back")
            time.sleep(0.1)
            new = self.since(at)
            found += new
            at = max((entry.seq + 1 for entry in new), default=at)
            left -= {effect[1] for entry in new for effect in entry.effects}
        return found


def first_update(entries: Sequence[Seen], record_id: str) -> Seen:
    """The request that first changed the record. Raises StopIteration."""
    return next(entry for entry in entries if any(effect[1] == record_id for effect in entry.effects))


def _seen(entry: dict[str, Any]) -> Seen:
    at = datetime.fromisoformat(entry["at"])
    return Seen(
        seq=entry["seq"],
        at=at,
        ended=at + timedelta(milliseconds=entry["duration_ms"] or 0),
        method=entry["method"],
        path=entry["path"],
        query=entry["query"],
        status=entry["status"],
        effects=tuple((one["object"], one["id"], one["action"]) for one in entry["effects"]),
        response=entry["response"],
    )
