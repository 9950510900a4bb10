"""Which rows a query has to look at: those that an index names, instead of the whole table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.soql.columns import World
from emulators.salesforce.soql.tree import Both, Compare, Condition, InList, Name
from emulators.salesforce.store import Row

_TEXT = frozenset({"string", "email", "reference"})  # an index keeps them as they are written in a query


def candidates(world: World, item: ObjectType, condition: Condition | None) -> Iterable[Row]:
    """The rows that can pass WHERE: found by id, by an indexed field or by one of the parent's, else all."""
    for name, values in _confined(condition):
        found = _narrow(world, item, name.path, values)
        if found is not None:
            return found
    return world.store.rows(item.name).values()


def _confined(condition: Condition | None) -> Iterator[tuple[Name, list[str]]]:
    """Each field that the query confines at its top to certain texts, by `=` or IN."""
    parts = condition.parts if isinstance(condition, Both) and condition.how == "and" else (condition,)
    for part in parts:
        if isinstance(part, InList) and not part.negated:
            constants = part.values
        elif isinstance(part, Compare) and part.operator == "=":
            constants = (part.right,)
        else:
            continue
        if isinstance(part.left, Name) and all(constant.kind == "string" for constant in constants):
            yield part.left, [str(constant.value) for constant in constants]


def _narrow(world: World, item: ObjectType, path: tuple[str, ...], values: list[str]) -> Iterable[Row] | None:
    """None when no index helps. Rows may be among them that do not pass: the condition is asked again."""
    if len(path) == 2:
        return _by_parent(world, item, path, values)
    if len(path) != 1:
        return None
    field = item.field(path[0])
    if field is None:
        return None
    if field.type == "id":
        ids = dict.fromkeys(long_id(value) for value in values if is_id(value))
        return [row for row in (world.store.get(item.name, each) for each in ids) if row is not None]
    return _by_index(world, item, field, values)


def _by_index(world: World, item: ObjectType, field: Field, values: list[str]) -> list[Row] | None:
    if field.type not in _TEXT or not all(values) or not world.store.indexed(item.name, field.name):
        return None
    if field.type == "reference":
        values = [long_id(value) for value in values if is_id(value)]
    return world.store.any_of(item.name, field.name, values)


def _by_parent(
    world: World, item: ObjectType, path: tuple[str, ...], values: list[str]
) -> Iterable[Row] | None:
    reference = item.by_relationship(path[0])
    if reference is None or len(reference.references) != 1:
        return None
    target = world.schema.get(reference.references[0])
    if target is None or not world.store.indexed(item.name, reference.name):
        return None
    parents = _narrow(world, target, path[1:], values)
    if parents is None:
        return None
    return world.store.any_of(item.name, reference.name, [row["Id"] for row in parents])
