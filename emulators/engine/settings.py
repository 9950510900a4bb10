"""What can be set on a running service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


class SettingError(ValueError):
    """An unknown setting or a value of the wrong type."""


@dataclass
class Settings:
    """Subclass it with more fields. `None` means: off.

    latency_seconds: how long each answer takes; half before the effect, half after it.
    rate_limit_per_second: requests a second before 429.
    """

    latency_seconds: float = 0.0
    rate_limit_per_second: float | None = None

    def patch(self, changes: Mapping[str, Any]) -> None:
        """Set the named fields; nothing is set when one is wrong. Raises SettingError."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise SettingError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
            _check_type(name, known[name], value)
        for name, value in changes.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def restore(self) -> None:
        """Back to the defaults."""
        fresh = type(self)()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


def _check_type(name: str, old: object, new: object) -> None:
    if old is None or new is None:
        return
    same = isinstance(new, bool) is isinstance(old, bool)
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if not same or not (numbers or isinstance(new, type(old))):
        raise SettingError(f"{name} is a {type(old).__name__}, not {new!r}")
