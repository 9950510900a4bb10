"""Reading a Stripe object as JSON: what is missing is None or empty, what is of another kind than it should be too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from order_to_cash.domain.sync.shapes import Body

# `isinstance` of an abstract class takes 0.3 µs, and an event asks a hundred times: what a dict is, is looked at first.
_EMPTY: Mapping[str, Any] = {}


def ref(value: Any) -> str:
    """The id of what `value` refers to, expanded or not; "" for nothing."""
    if type(value) is dict or isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Body:
    """`value` where it is a hash, else an empty one."""
    return value if type(value) is dict or isinstance(value, Mapping) else _EMPTY


def items(value: Any) -> tuple[Body, ...]:
    """The hashes of an embedded list object, or of a plain list."""
    data = value.get("data") if type(value) is dict or isinstance(value, Mapping) else value
    if not isinstance(data, list | tuple):
        return ()
    return tuple([one for one in data if type(one) is dict or isinstance(one, Mapping)])


def walk(body: Body, *path: str) -> Any:
    """What stands at `path`, None where it ends early."""
    value: Any = body
    for name in path:
        if type(value) is not dict and not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def text(value: Any) -> str:
    """`value` where it is text, else ""."""
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """`value` where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(value: Any) -> datetime | None:
    """Stripe's seconds since 1970 as a moment in UTC. Raises ValueError or OverflowError beyond the year 9999."""
    seconds = whole(value)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def day(value: Any) -> date | None:
    """The day, in UTC, of Stripe's seconds since 1970."""
    at = moment(value)
    return None if at is None else at.date()


def metadata(body: Body, *names: str) -> Iterator[str]:
    """The values of these metadata keys that are not empty."""
    given = mapping(body.get("metadata"))
    return (value for name in names if (value := text(given.get(name)).strip()))
