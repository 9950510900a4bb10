"""GROUP BY, aggregate functions and HAVING."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import NUMBER_TYPES, Field
from emulators.salesforce.soql.columns import Column
from emulators.salesforce.soql.conditions import Compiler, folder
from emulators.salesforce.soql.lexer import mistake
from emulators.salesforce.soql.tree import Aggregate, Name, Query
from emulators.salesforce.store import Row
from emulators.salesforce.values import as_json

Resolve = Callable[[Name], Column]
Group = dict[str, Any]  # {"rows": its rows, "first": one of them}


def grouped(query: Query, rows: list[Row], resolve: Resolve, now: datetime) -> list[dict[str, Any]]:
    """AggregateResult records in order; raises MALFORMED_QUERY for a field that is not grouped."""
    keys = [resolve(name) for name in query.group_by]
    for key, name in zip(keys, query.group_by, strict=True):
        if not key.field.filterable:
            message = f"field '{key.field.name}' can not be grouped in a query call"
            raise mistake(query.text, name.pos, message, "MALFORMED_QUERY")
    groups = _groups(keys, rows, always=not query.group_by)
    if query.having is not None:
        compiler = Compiler(query.text, lambda left: _column(query, left, keys, resolve), _no_semi_join, now)
        keep = compiler.compile(query.having)
        groups = [group for group in groups if keep(group)]
    for order in reversed(query.order_by):
        column = _column(query, order.by, keys, resolve)
        fold, read = folder(column.field), column.read
        empty = [group for group in groups if read(group) is None]
        full = [group for group in groups if read(group) is not None]
        full.sort(key=lambda group: fold(read(group)), reverse=order.descending)
        groups = full + empty if order.nulls_last else empty + full
    columns = _selected(query, keys, resolve)
    return [_record(columns, group) for group in groups]


def _no_semi_join(query: Query) -> list[Any]:
    raise mistake(query.text, query.source_pos, "unexpected token: 'SELECT'")


def _groups(keys: list[Column], rows: list[Row], always: bool) -> list[Group]:
    found: dict[tuple[Any, ...], Group] = {}
    if always:
        found[()] = {"rows": rows, "first": rows[0] if rows else {}}
        return list(found.values())
    for row in rows:
        key = tuple(folder(column.field)(column.read(row)) for column in keys)
        found.setdefault(key, {"rows": [], "first": row})["rows"].append(row)
    return list(found.values())


def _record(columns: list[tuple[str, Column]], group: Group) -> dict[str, Any]:
    record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    for name, column in columns:
        record[name] = as_json(column.read(group))
    return record


def _selected(query: Query, keys: list[Column], resolve: Resolve) -> list[tuple[str, Column]]:
    columns = []
    unnamed = 0
    for chosen in query.select:
        if not isinstance(chosen, Name | Aggregate):
            raise mistake(query.text, query.source_pos, "a grouped query cannot have subqueries or FIELDS()")
        column = _column(query, chosen, keys, resolve)
        name = chosen.alias
        if name is None and isinstance(chosen, Aggregate):
            name, unnamed = f"expr{unnamed}", unnamed + 1
        columns.append((name or column.field.name, column))
    return columns


def _column(query: Query, chosen: object, keys: list[Column], resolve: Resolve) -> Column:
    """A grouped field or an aggregate as a column over groups."""
    if isinstance(chosen, Aggregate):
        return _aggregate_column(query, chosen, resolve)
    if not isinstance(chosen, Name):
        raise OrgError("MALFORMED_QUERY", "unexpected expression")
    for key in keys:
        if _same_path(key, chosen):
            return Column(key.path, key.field, _of_first(key.read))
    by_alias = _aliased(query, chosen)
    if by_alias is not None:
        return _column(query, by_alias, keys, resolve)
    column = resolve(chosen)
    message = f"Field must be grouped or aggregated: {'.'.join(column.path)}"
    raise mistake(query.text, chosen.pos, message)


def _of_first(read: Callable[[Row], Any]) -> Callable[[Group], Any]:
    return lambda group: read(group["first"])


def _same_path(key: Column, chosen: Name) -> bool:
    wanted = [word.lower() for word in chosen.path]
    return wanted[-len(key.path) :] == [word.lower() for word in key.path]


def _aliased(query: Query, chosen: Name) -> Aggregate | None:
    for item in query.select:
        if (
            isinstance(item, Aggregate)
            and item.alias
            and [item.alias.lower()] == [w.lower() for w in chosen.path]
        ):
            return item
    return None


def _aggregate_column(query: Query, chosen: Aggregate, resolve: Resolve) -> Column:
    function = chosen.function
    if chosen.argument is None:
        counted = Field("count", "int", "count")
        return Column(("count",), counted, lambda group: len(group["rows"]))
    column = resolve(chosen.argument)
    if not _allowed(function, column.field):
        message = f"field {column.field.name} does not support aggregate operator {function.upper()}"
        raise mistake(query.text, chosen.pos, message)
    compute = _FUNCTIONS[function]
    counts = function in {"count", "count_distinct"}
    shown = Field(function, "int", function) if counts else column.field.changed(name=function)

    def read(group: Group) -> Any:
        values = [value for value in map(column.read, group["rows"]) if value is not None]
        return compute(values)

    return Column((function,), shown, read)


def _allowed(function: str, field: Field) -> bool:
    if function in {"sum", "avg"}:
        return field.type in NUMBER_TYPES
    if function in {"min", "max"}:
        return field.type != "boolean" and field.filterable
    return field.filterable


def _sum(values: list[Any]) -> Any:
    return sum(values, start=Decimal(0)) if values else None


def _distinct(values: list[Any]) -> int:
    return len({value.casefold() if isinstance(value, str) else value for value in values})


_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "count_distinct": _distinct,
    "sum": _sum,
    "avg": lambda values: _sum(values) / len(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
}
