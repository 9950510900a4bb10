"""Every request a service saw, and what it did. Tests judge by this, not by the product's own records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulators.engine.wire import Call


@dataclass(frozen=True)
class Effect:
    """`action` is a past participle: created, updated, finalized, sent, paid, voided, deleted…"""

    object: str
    id: str
    action: str

    def as_json(self) -> dict[str, str]:
        return {"object": self.object, "id": self.id, "action": self.action}


@dataclass
class JournalEntry:
    """One request. `status` and `response` are None while in flight and when the connection was dropped."""

    seq: int
    at: datetime
    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    status: int | None = None
    raw_response: bytes = b""
    content_type: str = ""
    effects: list[Effect] = field(default_factory=list)
    fault: str | None = None
    replayed: bool = False
    duration_ms: float | None = None
    dropped: str | None = None  # "before" or "after" the effect
    in_flight: bool = True

    @property
    def response(self) -> Any:
        """The answer's body: parsed JSON where it is JSON, else text; None when there was none."""
        if not self.raw_response:
            return None
        if self.content_type.startswith("application/json"):
            return json.loads(self.raw_response)
        return self.raw_response.decode(errors="replace")

    def brief(self) -> dict[str, Any]:
        """What was asked, what was answered by its number, what it did."""
        return {
            "seq": self.seq,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "effects": [effect.as_json() for effect in self.effects],
            "in_flight": self.in_flight,
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body,
            "status": self.status,
            "response": self.response,
            "effects": [effect.as_json() for effect in self.effects],
            "fault": self.fault,
            "replayed": self.replayed,
            "duration_ms": self.duration_ms,
            "dropped": self.dropped,
            "in_flight": self.in_flight,
        }


MASKED_HEADERS = frozenset({"authorization", "cookie", "stripe-signature"})


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with credentials cut to their scheme and first characters."""
    return {name: f"{value[:14]}…" if name in MASKED_HEADERS else value for name, value in headers.items()}


class Journal:
    """The entries of one service, oldest first; `seq` counts from 1 and survives `clear`."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self._last_seq = 0

    def open(self, call: Call) -> JournalEntry:
        """Enter a request at its arrival."""
        self._last_seq += 1
        headers = mask_headers(call.headers)
        entry = JournalEntry(
            self._last_seq, call.at, call.method, call.path, call.query, headers, call.parsed_body
        )
        self.entries.append(entry)
        return entry

    def note(self, at: datetime, effect: Effect) -> None:
        """Enter what happened without a request, when the clock reached its time: method `CLOCK`."""
        self._last_seq += 1
        entry = JournalEntry(self._last_seq, at, "CLOCK", "", {}, {}, None, effects=[effect], in_flight=False)
        self.entries.append(entry)

    @property
    def next_seq(self) -> int:
        """The number the next request will get."""
        return self._last_seq + 1

    def select(
        self, *, since: int = 0, method: str | None = None, path: str | None = None
    ) -> list[JournalEntry]:
        """Entries with `seq` ≥ `since`, of one method, whose path matches the regular expression."""
        wanted = re.compile(path) if path else None
        return [
            entry
            for entry in self.entries
            if entry.seq >= since
            and (method is None or entry.method == method.upper())
            and (wanted is None or wanted.search(entry.path))
        ]

    def effects(self, object_type: str | None = None, action: str | None = None) -> list[Effect]:
        """Every effect in order, of one type and action if given. A replay has none."""
        every: Iterable[Effect] = (effect for entry in self.entries for effect in entry.effects)
        return [
            effect
            for effect in every
            if (object_type is None or effect.object == object_type)
            and (action is None or effect.action == action)
        ]

    def clear(self) -> None:
        self.entries.clear()
