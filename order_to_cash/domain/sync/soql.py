"""SOQL texts over many values, each short enough to travel in an address."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote_plus

from order_to_cash.domain.queries import LONGEST_QUERY, soql_literal


def select(names: Iterable[str], sobject: str, where: str, *, end: str = "") -> str:
    """`SELECT names FROM sobject WHERE where`, and `end` after it. All are ours; values passed `soql_literal`."""
    return f"SELECT {', '.join(names)} FROM {sobject} WHERE {where}{end}"  # noqa: S608 — see above


def chunked(
    names: Iterable[str], sobject: str, field: str, values: Iterable[str], *, also: str = "", end: str = ""
) -> tuple[str, ...]:
    """`select` of the records whose `field` is among `values`, `also` a further condition. No value: no query.

    Each value stands in one of the queries, in alphabetical order.
    """
    held = tuple(names)
    further = f" AND {also}" if also else ""
    room = LONGEST_QUERY - len(quote_plus(select(held, sobject, f"{field} IN (){further}", end=end)))
    parts: list[list[str]] = []
    left = 0
    for value in sorted({value for value in values if value}):
        size = len(quote_plus(", " + soql_literal(value)))
        if not parts or size > left:
            parts.append([])
            left = room
        parts[-1].append(value)
        left -= size
    return tuple(
        select(held, sobject, f"{field} IN {soql_literal(part)}{further}", end=end) for part in parts
    )
