"""Field paths of a query, resolved against what the user may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.formulas import computed
from emulators.salesforce.schema import Access, Schema
from emulators.salesforce.soql.lexer import locate, mistake
from emulators.salesforce.soql.tree import Name, Query
from emulators.salesforce.store import Row, Store
from emulators.salesforce.values import Value, address

MAX_STEPS = 5  # parent relationships in one path, as in the org
_ADVICE = "Please reference your WSDL or the describe call for the appropriate names."
# What a reference to several object types offers of its target, whatever that is.
_ANY_TARGET = {"id": "Id", "name": "Name", "type": "Type"}


@dataclass(frozen=True)
class World:
    """What a query runs against: the org, one user's access, and the moment."""

    schema: Schema
    store: Store
    access: Access
    now: datetime


@dataclass(frozen=True)
class Column:
    """A resolved path: its canonical spelling, the field at its end, and how to read it from a row."""

    path: tuple[str, ...]
    field: Field
    read: Callable[[Row], Value]
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Step:
    """One parent relationship: its name, the reference field and the target (None: several types)."""

    relationship: str
    field: Field
    target: ObjectType | None


def source_object(world: World, query: Query) -> ObjectType:
    """The object of FROM, or INVALID_TYPE with the org's wording."""
    found = world.schema.get(query.source)
    if found is None or not world.access.sees_object(found):
        message = (
            f"sObject type '{query.source}' is not supported. If you are attempting to use a custom object, "
            f"be sure to append the '__c' after the entity name. {_ADVICE}"
        )
        raise mistake(query.text, query.source_pos, message, "INVALID_TYPE")
    return found


def no_column(text: str, pos: int, name: str, entity: str) -> OrgError:
    message = (
        f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure "
        f"to append the '__c' after the custom field name. {_ADVICE}"
    )
    return mistake(text, pos, message, "INVALID_FIELD")


def resolve(world: World, query: Query, item: ObjectType, name: Name) -> Column:
    """A path such as `Account.Owner.Name` from `item`; raises INVALID_FIELD with the org's wording."""
    path = list(name.path)
    own = {(query.alias or "").lower(), item.name.lower()}
    if len(path) > 1 and path[0].lower() in own and item.by_relationship(path[0]) is None:
        path = path[1:]
    if len(path) > MAX_STEPS + 1:
        message = "SOQL relationships can be nested no more than 5 levels deep"
        raise mistake(query.text, name.pos, message)
    steps: list[Step] = []
    current = item
    for position, word in enumerate(path[:-1]):
        step = _step(world, query, current, word, name.pos)
        steps.append(step)
        if step.target is None:
            if position != len(path) - 2:
                raise _no_relationship(query.text, name.pos, path[position + 1])
            return _any_target(world, query, steps, path[-1], name.pos)
        current = step.target
    field = world.access.field(current, path[-1])
    if field is None:
        raise no_column(query.text, name.pos, path[-1], current.name)
    canonical = (*(step.relationship for step in steps), field.name)
    return Column(canonical, field, _reader(world, tuple(steps), field), tuple(steps))


def _step(world: World, query: Query, item: ObjectType, word: str, pos: int) -> Step:
    field = item.by_relationship(word)
    if field is None or not world.access.sees(item, field):
        raise _no_relationship(query.text, pos, word)
    if len(field.references) > 1:
        return Step(field.relationship or word, field, None)
    target = world.schema.get(field.references[0])
    if target is None or not world.access.sees_object(target):
        raise _no_relationship(query.text, pos, word)
    return Step(field.relationship or word, field, target)


def _no_relationship(text: str, pos: int, word: str) -> OrgError:
    message = (
        f"Didn't understand relationship '{word}' in field path. If you are attempting to use a custom "
        f"relationship, be sure to append the '__r' after the custom relationship name. {_ADVICE}"
    )
    return mistake(text, pos, message, "INVALID_FIELD")


def no_child(text: str, pos: int, word: str) -> OrgError:
    message = (
        f"Didn't understand relationship '{word}' in FROM part of query call. If you are attempting to use a "
        f"custom relationship, be sure to append the '__r' after the custom relationship name. {_ADVICE}"
    )
    return OrgError("INVALID_TYPE", locate(text, pos) + message)


def _any_target(world: World, query: Query, steps: list[Step], word: str, pos: int) -> Column:
    name = _ANY_TARGET.get(word.lower())
    if name is None:
        raise no_column(query.text, pos, word, "Name")
    field = Field(name, "string", name)
    walk = _walker(world.store, tuple(steps[:-1]))
    last = steps[-1]

    def read(row: Row) -> Value:
        parent = walk(row)
        found = target_row(world, parent.get(last.field.name)) if parent else None
        if found is None:
            return None
        target, record = found
        named = target.name_field
        return {"Id": record["Id"], "Type": target.name, "Name": record.get(named.name) if named else None}[
            name
        ]

    canonical = (*(step.relationship for step in steps), name)
    return Column(canonical, field, read, tuple(steps))


def target_row(world: World, record_id: str | None) -> tuple[ObjectType, Row] | None:
    """The object and row behind an id, found by its key prefix."""
    target = world.schema.by_prefix(record_id) if record_id else None
    row = world.store.get(target.name, record_id) if target and record_id else None
    return (target, row) if target and row else None


def _walker(store: Store, steps: tuple[Step, ...]) -> Callable[[Row], Row | None]:
    hops = [(step.field.name, step.target.name) for step in steps if step.target is not None]

    def walk(row: Row) -> Row | None:
        current: Row | None = row
        for reference, table in hops:
            record_id = current.get(reference) if current else None
            current = store.get(table, record_id) if record_id else None
        return current

    return walk


def _reader(world: World, steps: tuple[Step, ...], field: Field) -> Callable[[Row], Value]:
    of_row = _own_reader(world, field)
    if not steps:
        return of_row
    walk = _walker(world.store, steps)

    def read(row: Row) -> Value:
        current = walk(row)
        return None if current is None else of_row(current)

    return read


def _own_reader(world: World, field: Field) -> Callable[[Row], Value]:
    """Reads the field from a row of its own object."""
    name, prefix = field.name, field.compound_of
    if field.formula is not None:
        today = world.now.date()
        return lambda row: computed(field, row, today)
    if prefix is not None:
        return lambda row: address(row, prefix)
    return lambda row: row.get(name)
