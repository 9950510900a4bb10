"""A request as handlers see it, and their answer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from emulators.engine.journal import Effect

TEXT_TYPES = ("text/", "application/json", "application/xml", "application/x-www-form-urlencoded")


def nest(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`a[b][0][c]=1` and `a[]=1` as nested dicts and lists; a repeated plain key keeps the last value."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        steps = key.replace("]", "").split("[")
        spot = root
        for step, following in itertools.pairwise(steps):
            below = spot.setdefault(step or str(len(spot)), {})
            if not isinstance(below, dict):
                raise MixedFormError(key, following)
            spot = below
        spot[steps[-1] or str(len(spot))] = value
    lifted = _lists(root)
    return lifted if isinstance(lifted, dict) else root


class MixedFormError(ValueError):
    """One form key is used both as a value and as a container."""

    def __init__(self, key: str, step: str) -> None:
        super().__init__(f"{key}: {step!r} is nested below a plain value")
        self.key = key


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(below) for key, below in value.items()}


def parse_body(content_type: str, body: bytes) -> Any:
    """JSON, a nested form, text or a note on the size of binary content; None when there is no body."""
    if not body:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return nest(parse_qsl(body.decode(), keep_blank_values=True))
        if kind.endswith("json"):
            return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    if kind.startswith(TEXT_TYPES) or not kind:
        return body.decode(errors="replace")
    return f"<{len(body)} bytes of {kind}>"


@dataclass
class Call:
    """One request. `headers` have lower-case names; `effects` is filled by the handler."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    at: datetime
    effects: list[Effect] = field(default_factory=list)
    replayed: bool = False
    context: dict[str, Any] = field(default_factory=dict)  # a service's own notes on this call

    @cached_property
    def query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(self.query_pairs)

    @cached_property
    def form_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True)

    @cached_property
    def parsed_body(self) -> Any:
        return parse_body(self.headers.get("content-type", ""), self.body)

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body)

    def effect(self, object_type: str, object_id: str, action: str) -> None:
        """Record what this call changed: `effect("invoice", "in_1", "finalized")`."""
        self.effects.append(Effect(object_type, object_id, action))


@dataclass
class Answer:
    """A response: `body` is bytes, text, or anything JSON can say (None: no content)."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """Body bytes and content type."""
        if self.body is None:
            return b"", ""
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), "text/plain; charset=utf-8"
        return json.dumps(self.body, ensure_ascii=False).encode(), "application/json"
