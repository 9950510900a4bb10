"""The tree of a query. `pos` is the offset of a token in the query's text, for error messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AGGREGATES = frozenset({"count", "count_distinct", "sum", "min", "max", "avg"})


@dataclass(frozen=True)
class Name:
    """A field with its parent path: `Account.Owner.Name` → ("Account", "Owner", "Name")."""

    path: tuple[str, ...]
    pos: int
    alias: str | None = None


@dataclass(frozen=True)
class Aggregate:
    """`SUM(Amount) total`; `argument` is None for `COUNT()`."""

    function: str
    argument: Name | None
    pos: int
    alias: str | None = None


@dataclass(frozen=True)
class FieldsOf:
    """`FIELDS(ALL)`, `FIELDS(STANDARD)` or `FIELDS(CUSTOM)`."""

    which: str
    pos: int


@dataclass(frozen=True)
class Constant:
    """A literal; `kind` is string, number, date, datetime, range (TODAY, LAST_N_DAYS:3), boolean or null."""

    kind: str
    value: Any
    pos: int
    count: int = 0


@dataclass(frozen=True)
class Compare:
    left: Name | Aggregate
    operator: str
    right: Constant


@dataclass(frozen=True)
class InList:
    left: Name
    negated: bool
    values: tuple[Constant, ...]


@dataclass(frozen=True)
class InQuery:
    left: Name
    negated: bool
    query: Query


@dataclass(frozen=True)
class Not:
    inner: Condition


@dataclass(frozen=True)
class Both:
    """All of (`and`) or any of (`or`) several conditions."""

    how: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition = Compare | InList | InQuery | Not | Both


@dataclass(frozen=True)
class Order:
    by: Name | Aggregate
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True)
class Query:
    """One SELECT. `text` is the whole statement that positions refer to."""

    text: str
    select: tuple[Name | Aggregate | FieldsOf | Query, ...]
    source: str
    source_pos: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Name, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = field(default=())
    limit: int | None = None
    offset: int = 0

    @property
    def aggregated(self) -> bool:
        return bool(self.group_by) or any(isinstance(item, Aggregate) for item in self.select)
