"""Queries against the org's rows: filter, order, cut, and say each row as the REST API does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.soql.columns import (
    Column,
    World,
    no_child,
    no_column,
    resolve,
    source_object,
    target_row,
)
from emulators.salesforce.soql.conditions import Compiler, folder
from emulators.salesforce.soql.grouping import grouped
from emulators.salesforce.soql.lexer import mistake
from emulators.salesforce.soql.narrowing import candidates
from emulators.salesforce.soql.parser import parse
from emulators.salesforce.soql.tree import Aggregate, FieldsOf, Name, Order, Query
from emulators.salesforce.store import Row
from emulators.salesforce.values import as_json

MAX_OFFSET = 2000
Json = dict[str, Any]
Render = Callable[[Row], Json]


@dataclass(frozen=True)
class Found:
    """A query's result: its size, and its records on demand, so that a page costs only its own rows."""

    total: int
    rows: Sequence[Any]
    render: Callable[[Any], Json]
    source: str


def run(world: World, text: str, version: str, include_deleted: bool = False) -> Found:
    """Answer a statement; raises MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE and their kin."""
    query = parse(text)
    item = source_object(world, query)
    if query.offset > MAX_OFFSET:
        raise OrgError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
    rows = matching(world, query, item, candidates(world, item, query.where), include_deleted)
    if query.aggregated:
        return _aggregate(world, query, item, rows)
    rows = _cut(query, _ordered(world, query, item, rows))
    return Found(len(rows), rows, renderer(world, query, item, version), item.name)


def matching(
    world: World, query: Query, item: ObjectType, rows: Iterable[Row], include_deleted: bool = False
) -> list[Row]:
    """Rows that pass WHERE, deleted ones only for queryAll."""

    def column(left: object) -> Column:
        if not isinstance(left, Name):
            raise mistake(query.text, getattr(left, "pos", 0), "aggregate functions are not allowed in WHERE")
        return resolve(world, query, item, left)

    live = [row for row in rows if include_deleted or not row.get("IsDeleted")]
    if query.where is None:
        return live
    compiler = Compiler(query.text, column, lambda inner: _values(world, inner), world.now)
    keep = compiler.compile(query.where)
    return [row for row in live if keep(row)]


def _values(world: World, query: Query) -> list[Any]:
    """The one column that a semi-join's subquery selects."""
    if len(query.select) != 1 or not isinstance(query.select[0], Name):
        raise mistake(query.text, query.source_pos, "The inner select must select exactly one field")
    item = source_object(world, query)
    column = resolve(world, query, item, query.select[0])
    return [column.read(row) for row in matching(world, query, item, candidates(world, item, query.where))]


def _ordered(world: World, query: Query, item: ObjectType, rows: list[Row]) -> list[Row]:
    for order in reversed(query.order_by):
        if isinstance(order.by, Aggregate):
            raise mistake(query.text, order.by.pos, "aggregates need GROUP BY to be ordered by")
        column = resolve(world, query, item, order.by)
        if not column.field.filterable:
            message = f"field '{column.field.name}' can not be sorted in a query call"
            raise mistake(query.text, order.by.pos, message, "INVALID_FIELD")
        rows = sort_rows(rows, column.read, folder(column.field), order)
    return rows


def sort_rows(
    rows: list[Any], read: Callable[[Any], Any], fold: Callable[[Any], Any], order: Order
) -> list[Any]:
    """A stable sort with the nulls where SOQL puts them: first unless NULLS LAST."""
    empty = [row for row in rows if read(row) is None]
    full = [row for row in rows if read(row) is not None]
    full.sort(key=lambda row: fold(read(row)), reverse=order.descending)
    return full + empty if order.nulls_last else empty + full


def _cut(query: Query, rows: list[Any]) -> list[Any]:
    end = None if query.limit is None else query.offset + query.limit
    return rows[query.offset : end]


def _aggregate(world: World, query: Query, item: ObjectType, rows: list[Row]) -> Found:
    counting = query.select[0]
    if len(query.select) == 1 and isinstance(counting, Aggregate) and _counts_rows(counting):
        if query.group_by:
            raise mistake(query.text, counting.pos, "Grouped queries cannot use COUNT() without a field")
        total = len(_cut(query, rows))
        return Found(total, [], lambda row: row, item.name)
    records = grouped(query, rows, lambda name: resolve(world, query, item, name), world.now)
    records = _cut(query, records)
    return Found(len(records), records, lambda record: record, "AggregateResult")


def _counts_rows(item: Aggregate) -> bool:
    return item.function == "count" and item.argument is None


# -- saying records -------------------------------------------------------------------------------------


def attributes(item: ObjectType, record_id: str, version: str) -> Json:
    return {"type": item.name, "url": f"/services/data/{version}/sobjects/{item.name}/{record_id}"}


def renderer(world: World, query: Query, item: ObjectType, version: str) -> Render:
    """A function from a row to its JSON, keys in the order of the SELECT, parents nested."""
    writers: list[Callable[[Row, Json], None]] = []
    seen: set[str] = set()
    for chosen in _expanded(world, query, item):
        if isinstance(chosen, Query):
            writers.append(_child_writer(world, chosen, item, version))
            continue
        if chosen.alias is not None:
            raise mistake(query.text, chosen.pos, "only aggregate expressions use field aliasing")
        column = resolve(world, query, item, chosen)
        key = ".".join(column.path).lower()
        if key in seen:
            raise mistake(query.text, chosen.pos, f"duplicate field selected: {'.'.join(column.path)}")
        seen.add(key)
        writers.append(_field_writer(world, column, version))

    def render(row: Row) -> Json:
        record: Json = {"attributes": attributes(item, row["Id"], version)}
        for write in writers:
            write(row, record)
        return record

    return render


def _expanded(world: World, query: Query, item: ObjectType) -> list[Name | Query]:
    names: list[Name | Query] = []
    for chosen in query.select:
        if isinstance(chosen, FieldsOf):
            names += [Name((field.name,), chosen.pos) for field in _fields_of(world, query, item, chosen)]
        elif isinstance(chosen, Aggregate):
            raise mistake(query.text, chosen.pos, f"unexpected token: '{chosen.function}'")
        else:
            names.append(chosen)
    return names


def _fields_of(world: World, query: Query, item: ObjectType, chosen: FieldsOf) -> list[Field]:
    if chosen.which not in {"all", "standard", "custom"}:
        raise mistake(query.text, chosen.pos, f"Unknown FIELDS group: {chosen.which}")
    if chosen.which != "standard" and (query.limit is None or query.limit > 200):
        message = "The SOQL FIELDS function must have a LIMIT of at most 200"
        raise mistake(query.text, chosen.pos, message)
    visible = [field for field in item.fields.values() if world.access.sees(item, field)]
    return [f for f in visible if chosen.which == "all" or f.custom is (chosen.which == "custom")]


def _field_writer(world: World, column: Column, version: str) -> Callable[[Row, Json], None]:
    read, name = column.read, column.path[-1]
    if not column.steps:

        def write(row: Row, record: Json) -> None:
            record[name] = as_json(read(row))

        return write

    def write_parent(row: Row, record: Json) -> None:
        current, holder = row, record
        for step in column.steps:
            found = target_row(world, current.get(step.field.name))
            if found is None:
                holder[step.relationship] = None
                return
            target, parent = found
            nested = holder.get(step.relationship)
            if nested is None:
                nested = holder[step.relationship] = {"attributes": attributes(target, parent["Id"], version)}
            current, holder = parent, nested
        holder[name] = as_json(read(row))

    return write_parent


def _child_writer(
    world: World, query: Query, parent: ObjectType, version: str
) -> Callable[[Row, Json], None]:
    found = world.schema.child_relationship(parent, query.source)
    if found is None or not world.access.sees_object(found[0]) or not world.access.sees(*found):
        raise no_child(query.text, query.source_pos, query.source)
    child, reference = found
    if query.aggregated or any(isinstance(chosen, Query) for chosen in query.select):
        raise no_column(query.text, query.source_pos, query.source, child.name)
    render = renderer(world, query, child, version)
    rows = matching(world, query, child, world.store.rows(child.name).values())
    by_parent: dict[str, list[Row]] = {}
    for row in _ordered(world, query, child, rows):
        by_parent.setdefault(row.get(reference.name) or "", []).append(row)
    relationship = reference.child_relationship or query.source

    def write(row: Row, record: Json) -> None:
        children = _cut(query, by_parent.get(row["Id"], []))
        rendered = [render(each) for each in children]
        answer = {"totalSize": len(rendered), "done": True, "records": rendered}
        record[relationship] = answer if rendered else None

    return write
