"""What one user may write on one object, worked out once instead of for every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.salesforce.errors import unknown_column
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.schema import Access
from emulators.salesforce.values import Reader, reader


@dataclass(frozen=True)
class Parent:
    """A lookup by External ID, such as `{"Invoice__r": {"Stripe_Invoice_Id__c": "in_1"}}`: found when saved."""

    reference: Field
    given: Mapping[str, Any]


class WritePlan:
    """Payload names, readers and closed fields of one object for one user."""

    def __init__(self, access: Access, item: ObjectType) -> None:
        self.access = access
        self.item = item
        self._readers: dict[str, tuple[str, Reader]] = {}
        self._open: dict[bool, frozenset[str]] = {}  # creating → fields that may be written
        self.fields = {field.name: field for field in item.fields.values()}
        self.required = tuple(
            field
            for field in item.fields.values()
            if not field.nillable and (field.createable or field.updateable)
        )
        self.numbered = tuple(field for field in item.fields.values() if field.auto_number is not None)
        self.owned = item.field("OwnerId") is not None

    def read(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The payload by canonical names and types; raises INVALID_FIELD and JSON_PARSER_ERROR."""
        values: dict[str, Any] = {}
        readers = self._readers
        for name, given in payload.items():
            known = readers.get(name)
            if known is None:
                if name.lower() == "attributes":
                    continue
                known = self._reader(name, given)
            field, read = known
            values[field] = None if given is None or given == "" else read(given)
        return values

    def _reader(self, name: str, given: object) -> tuple[str, Reader]:
        field = self.access.field(self.item, name)
        if field is not None:
            found = self._readers[name] = (field.name, reader(field))
            return found
        parent = self.item.by_relationship(name)
        if parent is None or not isinstance(given, Mapping) or not self.access.sees(self.item, parent):
            raise unknown_column(name, self.item.name)
        return parent.name, lambda value: Parent(parent, value)

    def closed(self, names: Iterable[str], creating: bool) -> list[str]:
        """Those of the fields that the user may not write."""
        allowed = self._open.get(creating)
        if allowed is None:
            allowed = self._open[creating] = frozenset(
                field.name
                for field in self.fields.values()
                if (field.createable if creating else field.updateable)
                and self.access.edits(self.item, field)
            )
        return [name for name in names if name not in allowed]
