"""Rows of the org with an undo log: a refused row or an all-or-none call leaves nothing behind."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from emulators.salesforce.fields import ObjectType
from emulators.salesforce.ids import make_id

Row = dict[str, Any]


class Store:
    """Rows by object name and id. Rows are replaced, never changed in place: undo keeps the old one."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {}
        self._numbers: dict[str, int] = {}
        self._undo: list[tuple[str, str, Row | None]] = []
        self.effects: list[tuple[str, str, str, tuple[str, ...]]] = []
        self._versions: dict[str, int] = {}
        # table → field → value in any case → ids
        self._indexes: dict[str, dict[str, dict[str, set[str]]]] = {}

    def new_id(self, item: ObjectType) -> str:
        return make_id(item.prefix, self.next_number(item.name + "#id"))

    def next_number(self, series: str) -> int:
        self._numbers[series] = self._numbers.get(series, 0) + 1
        return self._numbers[series]

    def rows(self, name: str) -> Mapping[str, Row]:
        return self.tables.get(name, {})

    def get(self, name: str, record_id: str) -> Row | None:
        return self.tables.get(name, {}).get(record_id)

    def version(self, name: str) -> int:
        """A number that changes whenever a table's rows do."""
        return self._versions.get(name, 0)

    def put(self, name: str, row: Row, action: str, fields: tuple[str, ...] = ()) -> None:
        """Insert or replace a row and note the effect (`created`, `updated`, `deleted`)."""
        table = self.tables.setdefault(name, {})
        record_id = row["Id"]
        before = table.get(record_id)
        self._undo.append((name, record_id, before))
        self.effects.append((name, record_id, action, fields))
        table[record_id] = row
        self._reindex(name, record_id, before, row)

    def index(self, name: str, field: str) -> None:
        """Keep an index of a field that is looked up by value (unique fields, External IDs, lookups)."""
        values = self._indexes.setdefault(name, {}).setdefault(field, {})
        values.clear()
        for record_id, row in self.rows(name).items():
            self._enter(values, row.get(field), record_id)

    def find(self, name: str, field: str, value: str) -> list[Row]:
        """Undeleted rows with that value of an indexed field, compared in any case."""
        ids = self._indexes.get(name, {}).get(field, {}).get(_key(value))
        if not ids:
            return []
        table = self.tables[name]
        found = (table[record_id] for record_id in (sorted(ids) if len(ids) > 1 else ids))
        return [row for row in found if not row.get("IsDeleted")]

    def any_of(self, name: str, field: str, values: Iterable[str]) -> list[Row]:
        """Rows, deleted ones too, with one of the values of an indexed field, in the order they were made."""
        index = self._indexes.get(name, {}).get(field, {})
        ids = {record_id for value in values for record_id in index.get(_key(value), ())}
        return [self.tables[name][record_id] for record_id in sorted(ids)]

    def forget(self, name: str, keep: set[str]) -> None:
        """Drop a table's rows but those with the ids to keep; this cannot be undone."""
        table = self.tables.get(name, {})
        for record_id in [each for each in table if each not in keep]:
            self._reindex(name, record_id, table.pop(record_id), None)

    def indexed(self, name: str, field: str) -> bool:
        return field in self._indexes.get(name, {})

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """Undo every change of the block when it raises."""
        mark, effects = len(self._undo), len(self.effects)
        try:
            yield
        except BaseException:
            self.undo_to(mark, effects)
            raise

    def mark(self) -> tuple[int, int]:
        return len(self._undo), len(self.effects)

    def undo_to(self, mark: int, effects: int) -> None:
        while len(self._undo) > mark:
            name, record_id, before = self._undo.pop()
            current = self.tables[name].get(record_id)
            if before is None:
                del self.tables[name][record_id]
            else:
                self.tables[name][record_id] = before
            self._reindex(name, record_id, current, before)
        del self.effects[effects:]

    def take_effects(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """The effects since the last call, (object, id, action, changed fields); forgets how to undo them."""
        taken, self.effects = self.effects, []
        self._undo.clear()
        return taken

    def _reindex(self, name: str, record_id: str, before: Row | None, after: Row | None) -> None:
        self._versions[name] = self._versions.get(name, 0) + 1
        for field, values in self._indexes.get(name, {}).items():
            old = before.get(field) if before else None
            new = after.get(field) if after else None
            if old == new:
                continue
            if old is not None:
                values.get(_key(old), set()).discard(record_id)
            self._enter(values, new, record_id)

    @staticmethod
    def _enter(values: dict[str, set[str]], value: object, record_id: str) -> None:
        if value is not None:
            values.setdefault(_key(value), set()).add(record_id)


def _key(value: object) -> str:
    return str(value).casefold()
