"""Records that stand in the org before a test or a demo begins."""

from __future__ import annotations

from typing import Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import ObjectType
from emulators.salesforce.ids import long_id
from emulators.salesforce.org import Org
from emulators.salesforce.schema import UNRESTRICTED
from emulators.salesforce.store import Row
from emulators.salesforce.writes import Writer

Json = dict[str, Any]
_OWN_KEYS = frozenset({"type", "ref", "raw", "id"})


def seed(org: Org, body: Json) -> Json:
    """Create (or, with `id`, change) records in order, all or none: `{"ids": […], "refs": {…}}`.

    body: `{"records": [{"type": "Account", "ref": "acme", "Name": …}, {"type": "Opportunity", "AccountId":
    "@acme", …}], "raw": false}`. In reference fields `@name` stands for an earlier `ref`, or for one of
    `@standard_pricebook`, `@integration_user`, `@admin_user`. Every field is open, whatever the integration
    user may see. `raw` (of a record or of all) skips required fields, lengths, rules and locks, and may set
    what the org derives or stamps (Amount, CreatedDate, SystemModstamp…). Raises OrgError naming the record.
    """
    refs = {
        "standard_pricebook": org.standard_pricebook_id,
        "integration_user": org.user_id,
        "admin_user": org.admin_id,
    }
    own: dict[str, str] = {}
    ids = []
    with org.store.undoable():
        for index, record in enumerate(body["records"]):
            try:
                raw = bool(record.get("raw", body.get("raw", False)))
                ids.append(_save(org, record, refs, raw))
            except OrgError as error:
                where = f"record {index} ({record.get('type')} {record.get('ref', '')}): "
                raise OrgError(error.code, where + error.message) from error
            if "ref" in record:
                refs[record["ref"]] = own[record["ref"]] = ids[-1]
    return {"ids": ids, "refs": own}


def _save(org: Org, record: Json, refs: dict[str, str], raw: bool) -> str:
    item = org.schema.get(str(record.get("type")))
    if item is None:
        raise OrgError("INVALID_TYPE", "no such object in this org; is the package deployed?")
    writer = Writer(org, UNRESTRICTED, org.admin_id, raw)
    given = {key: value for key, value in record.items() if key not in _OWN_KEYS}
    values = writer.read(item, {key: _resolve(item, key, value, refs) for key, value in given.items()})
    if "id" in record:
        writer.update(item, long_id(record["id"]), values)
        return long_id(record["id"])
    return writer.create(item, values)


def _resolve(item: ObjectType, name: str, value: Any, refs: dict[str, str]) -> Any:
    field = item.field(name)
    if field is None or not field.references or not isinstance(value, str) or not value.startswith("@"):
        return value
    if value[1:] not in refs:
        raise OrgError("INVALID_CROSS_REFERENCE_KEY", f"{name}: no record with ref {value}")
    return refs[value[1:]]


def assign(org: Org, permission_set: str, username: str | None = None) -> str:
    """Assign a permission set to a user (default: the integration user); answers the assignment's id."""
    found = _one(org, "PermissionSet", "Name", permission_set)
    user_id = org.user_id if username is None else _one(org, "User", "Username", username)["Id"]
    for row in org.store.rows("PermissionSetAssignment").values():
        same = row["PermissionSetId"] == found["Id"] and row["AssigneeId"] == user_id
        if same and not row["IsDeleted"]:
            return str(row["Id"])
    values = {"PermissionSetId": found["Id"], "AssigneeId": user_id, "IsActive": True}
    return org.insert("PermissionSetAssignment", values)


def _one(org: Org, table: str, field: str, value: str) -> Row:
    for row in org.store.rows(table).values():
        if row[field] == value and not row["IsDeleted"]:
            return row
    raise OrgError("NOT_FOUND", f"no {table} with {field} {value!r}")
