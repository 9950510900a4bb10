"""Creating, changing and deleting records by the org's rules.

Reading the JSON comes first and refuses the whole request (unknown column, wrong JSON type); saving comes
second and refuses the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulators.salesforce.derived import after_save, before_save
from emulators.salesforce.errors import OrgError, entity_is_deleted, not_found, not_writable, unknown_column
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.org import Org
from emulators.salesforce.schema import Access
from emulators.salesforce.store import Row
from emulators.salesforce.values import check_value
from emulators.salesforce.write_plan import Parent

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Writer:
    """Writes as one user. `raw` lets through what the org would derive, refuse or validate (seeding)."""

    org: Org
    access: Access
    user_id: str
    raw: bool = False

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, item: ObjectType, payload: Payload) -> Row:
        """The payload by canonical field names and types. A parent may be named by External ID:
        `{"Account": {"Number__c": "7"}}`. Raises INVALID_FIELD and JSON_PARSER_ERROR."""
        return self.org.plan(self.access, item).read(payload)

    def _with_parents(self, values: Row) -> Row:
        """The values with the ids of parents that are named by External ID. Raises INVALID_FIELD: of the row."""
        if not any(type(value) is Parent for value in values.values()):
            return values
        return {
            name: self._by_external_id(value) if type(value) is Parent else value
            for name, value in values.items()
        }

    def _by_external_id(self, parent: Parent) -> str:
        reference, given = parent.reference, parent.given
        target = self.org.schema.require(reference.references[0])
        pairs = [(key, value) for key, value in given.items() if key.lower() != "attributes"]
        field = self.access.field(target, pairs[0][0]) if len(pairs) == 1 else None
        if field is None or not (field.external_id or field.id_lookup):
            shown = ", ".join(key for key, _ in pairs)
            raise unknown_column(shown, target.name)
        found = self.org.store.find(target.name, field.name, str(pairs[0][1]))
        if len(found) != 1:
            message = (
                f"Foreign key external ID: {pairs[0][1]} not found for field {field.name} "
                f"in entity {target.name}"
            )
            raise OrgError("INVALID_FIELD", message, [])
        return str(found[0]["Id"])

    # -- saving -----------------------------------------------------------------------------------------

    def create(self, item: ObjectType, values: Row) -> str:
        """Save a new record and answer its id; raises OrgError and leaves nothing behind."""
        if not self.access.may("create", item) or not (item.createable or self.raw):
            message = f"entity type {item.name} does not support create"
            raise OrgError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, [])
        values = self._with_parents(values)
        self._check_writable(item, values, creating=True)
        row = self.org.blank(item) | values
        self._number(item, row)
        now = self.org.stamp()
        system = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        system |= {"CreatedById": self.user_id, "LastModifiedById": self.user_id}
        row |= {name: value for name, value in system.items() if name not in values}
        if self.org.plan(self.access, item).owned and row.get("OwnerId") is None:
            row["OwnerId"] = self.user_id
        return self._save(item, row, None, tuple(values), "created")

    def update(self, item: ObjectType, record_id: str, values: Row) -> None:
        """Change a record; raises NOT_FOUND, ENTITY_IS_DELETED and what saving refuses."""
        old = self.existing(item, record_id)
        if not self.access.may("edit", item) or not (item.updateable or self.raw):
            raise OrgError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", [])
        values = self._with_parents(values)
        self._check_writable(item, values, creating=False)
        row = old | values
        now = self.org.stamp()
        stamps = {"LastModifiedDate": now, "SystemModstamp": now, "LastModifiedById": self.user_id}
        row |= {name: value for name, value in stamps.items() if name not in values}
        changed = tuple(name for name in values if values[name] != old.get(name))
        self._save(item, row, old, changed, "updated")

    def existing(self, item: ObjectType, record_id: str) -> Row:
        """The live row; raises MALFORMED_ID, NOT_FOUND or ENTITY_IS_DELETED."""
        if not is_id(record_id):
            raise not_found()
        row = self.org.store.get(item.name, long_id(record_id))
        if row is None or not self.access.sees_object(item):
            raise not_found()
        if row.get("IsDeleted"):
            raise entity_is_deleted()
        return row

    def _save(
        self, item: ObjectType, row: Row, old: Row | None, changed: tuple[str, ...], action: str
    ) -> str:
        org = self.org
        with org.store.undoable():
            if not self.raw:
                org.check_row_faults(item, row)
                self._check(item, row, old, changed)
            before_save_allowed = not self.raw or old is None
            if before_save_allowed:
                self._derive(item, row, old, changed)
            if not self.raw:
                org.check_rules(item, row)
            if old is None:
                row["Id"] = org.store.new_id(item)
            org.store.put(item.name, row, action, changed)
            if not self.raw or old is None:
                after_save(org, item, row, old)
        return str(row["Id"])

    def _derive(self, item: ObjectType, row: Row, old: Row | None, changed: tuple[str, ...]) -> None:
        given = {name: row.get(name) for name in changed}
        try:
            before_save(self.org, item, row, old)
        except OrgError:
            if not self.raw:
                raise
        if self.raw:
            row |= given

    # -- checks -----------------------------------------------------------------------------------------

    def _check_writable(self, item: ObjectType, values: Row, creating: bool) -> None:
        if self.raw:
            return
        closed = self.org.plan(self.access, item).closed(values, creating)
        if closed:
            raise not_writable(closed)

    def _check(self, item: ObjectType, row: Row, old: Row | None, changed: tuple[str, ...]) -> None:
        missing = [f.name for f in self._required(item) if self._missing(f, row, old, changed)]
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise OrgError("REQUIRED_FIELD_MISSING", message, missing)
        fields = self.org.plan(self.access, item).fields
        for name in changed:
            field = fields.get(name)
            if field is not None:
                check_value(field, row.get(name))
                if field.references:
                    self._check_reference(field, row.get(name))
        self._check_currency(item, row, changed)
        self._check_unique(item, row, changed)

    def _required(self, item: ObjectType) -> tuple[Field, ...]:
        return self.org.plan(self.access, item).required

    @staticmethod
    def _missing(field: Field, row: Row, old: Row | None, changed: tuple[str, ...]) -> bool:
        if row.get(field.name) is not None:
            return False
        return field.name in changed if old is not None else not field.defaulted or field.name in changed

    def _check_reference(self, field: Field, value: Any) -> None:
        if value is None:
            return
        target = self.org.schema.by_prefix(value)
        if target is None or target.name not in field.references:
            message = f"{field.label}: id value of incorrect type: {value}"
            raise OrgError("MALFORMED_ID", message, [field.name])
        row = self.org.store.get(target.name, value)
        if row is None:
            raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if row.get("IsDeleted"):
            raise OrgError("ENTITY_IS_DELETED", "entity is deleted", [])

    def _check_currency(self, item: ObjectType, row: Row, changed: tuple[str, ...]) -> None:
        if "CurrencyIsoCode" not in changed or item.field("CurrencyIsoCode") is None:
            return
        active = {r["IsoCode"] for r in self.org.store.rows("CurrencyType").values() if r["IsActive"]}
        if row["CurrencyIsoCode"] not in active:
            raise OrgError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"Currency ISO Code: bad value for restricted picklist field: {row['CurrencyIsoCode']}",
                ["CurrencyIsoCode"],
            )

    def _check_unique(self, item: ObjectType, row: Row, changed: tuple[str, ...]) -> None:
        fields = self.org.plan(self.access, item).fields
        for name in changed:
            field, value = fields.get(name), row.get(name)
            if field is None or not field.unique or value is None:
                continue
            for other in self.org.store.find(item.name, name, str(value)):
                same = str(other[name]) == str(value) or not field.case_sensitive
                if other["Id"] != row.get("Id") and same:
                    shown = other["Id"][:15]
                    message = f"duplicate value found: {name} duplicates value on record with id: {shown}"
                    raise OrgError("DUPLICATE_VALUE", message, [])

    def _number(self, item: ObjectType, row: Row) -> None:
        """Give auto-number fields their next number: `{00000000}` or `INV-{0000}`."""
        for field in self.org.plan(self.access, item).numbered:
            if row.get(field.name) is not None or field.auto_number is None:
                continue
            head, _, rest = field.auto_number.partition("{")
            zeros, _, tail = rest.partition("}")
            number = self.org.store.next_number(f"{item.name}.{field.name}")
            row[field.name] = f"{head}{number:0{max(len(zeros), 1)}d}{tail}"
