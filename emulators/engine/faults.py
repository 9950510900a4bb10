"""Faults that tests put in the way of requests."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from emulators.engine.wire import Call


class FaultError(ValueError):
    """The description of a fault is not one: unknown key, wrong type or bad regular expression."""


@dataclass
class Fault:
    """One fault. It *matches* by method, path and body; of the matching requests it *strikes* the `nth`.

    method, path, body: what must match (path and body are regular expressions, searched).
    nth: 1-based number of the matching request to strike, a list of them, or None for every one.
    times: strikes at most so often. delay_seconds: waits (before the effect, or after it with after_effect).
    status, response, headers: answers this (without effect, unless after_effect).
    drop: closes the connection `before` or `after` the effect, without an answer.
    code: a vendor error by name (`lock_timeout`, `UNABLE_TO_LOCK_ROW`); the service gives it its shape.
    """

    method: str | None = None
    path: str | None = None
    body: str | None = None
    nth: int | list[int] | None = None
    times: int | None = None
    status: int | None = None
    response: Any = None
    headers: dict[str, str] | None = None
    delay_seconds: float | None = None
    drop: Literal["before", "after"] | None = None
    code: str | None = None
    after_effect: bool = False
    id: str = ""
    matched: int = 0
    struck: int = 0
    _path: re.Pattern[str] | None = field(default=None, init=False, repr=False)
    _body: re.Pattern[str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.drop not in (None, "before", "after"):
            raise FaultError(f"drop is 'before' or 'after', not {self.drop!r}")
        if isinstance(self.nth, int):
            self.nth = [self.nth]
        try:
            self._path = re.compile(self.path) if self.path else None
            self._body = re.compile(self.body) if self.body else None
        except re.error as error:
            raise FaultError(f"not a regular expression: {error}") from error

    @property
    def answers(self) -> bool:
        """Whether it puts its own answer in place of the service's."""
        return self.status is not None or self.code is not None

    def strikes(self, call: Call) -> bool:
        """Count a matching call and say whether this is one to strike."""
        if self.method is not None and call.method != self.method.upper():
            return False
        if self._path is not None and not self._path.search(call.path):
            return False
        if self._body is not None and not self._body.search(call.body.decode(errors="replace")):
            return False
        self.matched += 1
        if isinstance(self.nth, list) and self.matched not in self.nth:
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


OWN_FIELDS = frozenset({"id", "matched", "struck", "_path", "_body"})
GIVEN_FIELDS = frozenset(Fault.__dataclass_fields__) - OWN_FIELDS


class Faults:
    """The faults of one service, tried in the order they were added; the first that strikes wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, **description: Any) -> Fault:
        """Add one: `faults.add(method="POST", path="/finalize$", nth=1, drop="after")`. Raises FaultError."""
        unknown = description.keys() - GIVEN_FIELDS
        if unknown:
            raise FaultError(
                f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(GIVEN_FIELDS))}"
            )
        fault = Fault(**description)
        fault.id = f"fault_{next(self._ids)}"
        self._faults.append(fault)
        return fault

    def load(self, description: Mapping[str, Any]) -> Fault:
        """`add`, from JSON."""
        return self.add(**{str(name): value for name, value in description.items()})

    def strike(self, call: Call) -> Fault | None:
        for fault in self._faults:
            if fault.strikes(call):
                return fault
        return None

    def clear(self) -> None:
        self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)
