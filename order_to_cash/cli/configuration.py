"""`o2c config show`: every setting by the name of its variable, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr

from order_to_cash.cli.output import show_table
from order_to_cash.settings import Settings, show_limits, variable


def show(settings: Settings) -> None:
    show_table(("variable", "value"), list(_rows(settings)))


def _rows(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for part, named in value.model_dump().items():
                yield f"{variable(name)}__{part.upper()}", describe(named)
        else:
            yield variable(name), describe(value)


def describe(value: object) -> str:
    """A value as one line. A secret only says whether there is one."""
    if isinstance(value, SecretStr):
        return "(secret, set)" if value.get_secret_value() else "(not set)"
    if isinstance(value, Mapping):
        return show_limits(value) or "(no limit)"
    if isinstance(value, tuple) and any(isinstance(part, SecretStr) for part in value):
        return f"(secret, {len(value)} set)"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "(none)"
    return "(not set)" if value is None or value == "" else str(value)
