"""Search: eventually consistent, with Stripe's small query language."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, clone

CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>[a-z_]+)(?:\[["'](?P<key>[^"']+)["']\])?\s*(?P<op>:|~|>=|<=|>|<)\s*"""
    r"""(?:(?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote)).)*)(?P=quote)|(?P<number>-?\d+)|(?P<null>null))\s*"""
)
Test = Callable[[Obj], bool]


class SearchIndex:
    """What search can see: each write becomes visible only after the lag that was set when it was made."""

    def __init__(self) -> None:
        self._visible: dict[tuple[str, str], Obj] = {}
        self._waiting: list[tuple[datetime, Obj]] = []

    def note(self, obj: Obj, visible_at: datetime) -> None:
        snapshot = clone(obj)
        snapshot["_deleted"] = obj.get("_deleted", False)
        self._waiting.append((visible_at, snapshot))

    def seen(self, kind: str, now: datetime) -> list[Obj]:
        """The indexed objects of one type at `now`, newest first."""
        due = [entry for entry in self._waiting if entry[0] <= now]
        self._waiting = [entry for entry in self._waiting if entry[0] > now]
        for _, obj in due:
            self._visible[obj["object"], obj["id"]] = obj
        found = [obj for (name, _), obj in self._visible.items() if name == kind and not obj["_deleted"]]
        return found[::-1]


def parse_query(query: str, fields: frozenset[str]) -> Test:
    """A test of objects; raises StripeError for what Stripe's query language does not know."""
    tests: list[Test] = []
    joiner: str | None = None
    rest = query
    while rest:
        match = CLAUSE.match(rest)
        if match is None:
            raise _bad(query)
        tests.append(_test(match, fields, query))
        rest = rest[match.end() :]
        word = re.match(r"(AND|OR)\b", rest, re.IGNORECASE)
        if word is None:
            if rest:
                raise _bad(query)
            break
        if joiner not in (None, word[1].upper()):
            raise StripeError("You cannot mix AND and OR in one query.", param="query", validation=True)
        joiner = word[1].upper()
        rest = rest[word.end() :]
        if not rest.strip():
            raise _bad(query)
    if not tests:
        raise _bad(query)
    combine = any if joiner == "OR" else all
    return lambda obj: combine(test(obj) for test in tests)


def _bad(query: str) -> StripeError:
    message = f"We were unable to parse your search query ({query}). See https://stripe.com/docs/search#query-structure"
    return StripeError(message, param="query", validation=True)


def _test(match: re.Match[str], fields: frozenset[str], query: str) -> Test:
    field, key, op = match["field"], match["key"], match["op"]
    if field not in fields or (field == "metadata") != (key is not None):
        message = f"Field `{field}` is an unsupported search field for this resource. Query: {query}"
        raise StripeError(message, param="query", validation=True)
    wanted = match["number"] if match["value"] is None else re.sub(r"\\(.)", r"\1", match["value"])
    negated = match["not"] is not None

    def holds(obj: Obj) -> bool:
        value = obj.get("metadata", {}).get(key) if key else obj.get(field)
        return _compare(value, op, wanted) is not negated

    return holds


def _compare(value: Any, op: str, wanted: str | None) -> bool:
    if wanted is None or value is None:
        return op == ":" and value is None and wanted is None
    if op == ":":
        return str(value).lower() == wanted.lower()
    if op == "~":
        return wanted.lower() in str(value).lower()
    number, bound = int(value), int(wanted)
    return {">": number > bound, ">=": number >= bound, "<": number < bound, "<=": number <= bound}[op]
