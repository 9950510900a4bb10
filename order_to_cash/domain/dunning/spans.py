"""Lengths of time as people write them: `30m`, `24h`, `14d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_WRITTEN = re.compile(r"(\d{1,6})\s?([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=366)
_HOW = "write it as 30m, 24h or 14d, at most 366d"


def read_span(value: object) -> timedelta:
    """`value` as a length of time from nothing to 366 days. Raises ValueError with how to write it."""
    if isinstance(value, timedelta):
        span = value
    else:
        found = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{str(value)[:20]!r} is no length of time: {_HOW}")
        span = int(found[1]) * _UNITS[found[2]]
    if not timedelta(0) <= span <= _LONGEST or span % _UNITS["m"]:
        raise ValueError(f"{str(value)[:20]!r} cannot be used: {_HOW}")
    return span


def show_span(span: timedelta) -> str:
    """What `read_span` reads: hours up to three days, whole days above, minutes where need be."""
    if span % _UNITS["h"]:
        return f"{span // _UNITS['m']}m"
    if span % _UNITS["d"] or span <= timedelta(days=3):
        return f"{span // _UNITS['h']}h"
    return f"{span.days}d"


def span_in_words(span: timedelta) -> str:
    """For people, rounded to the minute: `2 d 3 h`, `45 min`."""
    minutes = round(abs(span).total_seconds() / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d"] * bool(days) + [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts[:2]) or "0 min"


def _serialized(span: Any) -> str:
    return show_span(span)


Span = Annotated[
    timedelta,
    BeforeValidator(read_span),
    PlainSerializer(_serialized, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}\s?[mhd]$"}),
]
