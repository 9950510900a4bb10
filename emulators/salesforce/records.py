"""Single records: create, read, update, delete, upsert by External ID."""

from __future__ import annotations

from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask, body_object
from emulators.salesforce.describe import visible_object
from emulators.salesforce.errors import OrgError, not_found, unknown_column
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.removal import delete
from emulators.salesforce.schema import Access
from emulators.salesforce.soql.execute import attributes
from emulators.salesforce.store import Row
from emulators.salesforce.values import address, as_json
from emulators.salesforce.writes import Writer

Json = dict[str, Any]


def record_json(
    access: Access, item: ObjectType, row: Row, version: str, names: list[str] | None = None
) -> Json:
    """A record with the named fields, or all that the user sees; raises INVALID_FIELD."""
    shown: Json = {"attributes": attributes(item, row["Id"], version)}
    fields: list[Field] = []
    for name in names or []:
        field = access.field(item, name)
        if field is None:
            raise unknown_column(name, item.name)
        fields.append(field)
    if names is None:
        fields = [field for field in item.fields.values() if access.sees(item, field)]
    for field in fields:
        if field.compound_of is not None:
            shown[field.name] = address(row, field.compound_of)
        else:
            shown[field.name] = as_json(row.get(field.name))
    return shown


def wanted_fields(ask: Ask) -> list[str] | None:
    if "fields" not in ask.params:
        return None
    return [name.strip() for name in ask.params["fields"].split(",") if name.strip()]


def created(record_id: str, **more: bool) -> Json:
    return {"id": record_id, "success": True, "errors": [], **more}


def create_record(api: Api, ask: Ask) -> Answer:
    item = visible_object(api, ask, ask.path[1])
    writer = api.writer(ask)
    values = writer.read(item, body_object(ask))
    if "Id" in values:
        raise OrgError("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ["Id"])
    return Answer(201, created(writer.create(item, values)))


def read_record(api: Api, ask: Ask) -> Answer:
    item = visible_object(api, ask, ask.path[1])
    row = api.writer(ask).existing(item, ask.path[2])
    return Answer(
        200, record_json(api.access(ask), item, api.org.shown(item, row), ask.version, wanted_fields(ask))
    )


def update_record(api: Api, ask: Ask) -> Answer:
    item = visible_object(api, ask, ask.path[1])
    writer = api.writer(ask)
    values = writer.read(item, body_object(ask))
    if "Id" in values:
        message = "The Id field should not be specified in the sobject data."
        raise OrgError("INVALID_FIELD", message, ["Id"])
    writer.existing(item, ask.path[2])
    writer.update(item, long_id(ask.path[2]), values)
    return Answer(204)


def delete_record(api: Api, ask: Ask) -> Answer:
    item = visible_object(api, ask, ask.path[1])
    writer = api.writer(ask)
    writer.existing(item, ask.path[2])
    delete(writer, item, long_id(ask.path[2]))
    return Answer(204)


# -- by External ID -------------------------------------------------------------------------------------


def lookup_field(access: Access, item: ObjectType, name: str) -> Field:
    """The External ID (or idLookup) field of a path; NOT_FOUND as the org words it."""
    field = access.field(item, name)
    if field is None or not (field.external_id or field.id_lookup):
        raise not_found(f"Provided external ID field does not exist or is not accessible: {name}")
    return field


def find_by(writer: Writer, item: ObjectType, field: Field, value: str) -> list[Row]:
    """Live records with that External ID value (several when the field is not unique)."""
    if field.type == "id":
        row = writer.org.store.get(item.name, long_id(value)) if is_id(value) else None
        return [row] if row and not row.get("IsDeleted") else []
    found = writer.org.store.find(item.name, field.name, value)
    return [row for row in found if not field.case_sensitive or str(row[field.name]) == value]


def upsert(
    writer: Writer, item: ObjectType, field: Field, value: str, values: Row
) -> tuple[str | None, bool, list[Row]]:
    """Create or update by an External ID value: (id, created, matches); no id when several records match."""
    matches = find_by(writer, item, field, value)
    if len(matches) > 1:
        return None, False, matches
    if matches:
        writer.update(item, matches[0]["Id"], values)
        return str(matches[0]["Id"]), False, matches
    if field.type == "id":
        raise not_found("Provided external ID field does not exist or is not accessible: Id")
    key = writer.read(item, {field.name: value})
    return writer.create(item, values | key), True, []


def upsert_record(api: Api, ask: Ask) -> Answer:
    """PATCH /sobjects/X/Field/value: 201 created, 200 updated (204 before v46), 300 several matches."""
    item = visible_object(api, ask, ask.path[1])
    access, writer = api.access(ask), api.writer(ask)
    field = lookup_field(access, item, ask.path[2])
    values = writer.read(item, body_object(ask))
    for name in ("Id", field.name):
        if name in values:
            message = f"The {name} field should not be specified in the sobject data."
            raise OrgError("INVALID_FIELD", message, [name])
    value = "/".join(ask.path[3:])
    if ask.params.get("updateOnly") == "true" and not find_by(writer, item, field, value):
        raise not_found()
    record_id, is_new, matches = upsert(writer, item, field, value, values)
    if record_id is None:
        return Answer(300, _choices(item, matches, ask.version))
    if is_new:
        return Answer(201, created(record_id, created=True))
    if float(ask.version.lstrip("v")) < 46:
        return Answer(204)
    return Answer(200, created(record_id, created=False))


def read_by_external_id(api: Api, ask: Ask) -> Answer:
    item, matches = _named(api, ask)
    if len(matches) > 1:
        return Answer(300, _choices(item, matches, ask.version))
    row = api.org.shown(item, matches[0])
    return Answer(200, record_json(api.access(ask), item, row, ask.version, wanted_fields(ask)))


def delete_by_external_id(api: Api, ask: Ask) -> Answer:
    item, matches = _named(api, ask)
    if len(matches) > 1:
        return Answer(300, _choices(item, matches, ask.version))
    delete(api.writer(ask), item, matches[0]["Id"])
    return Answer(204)


def _named(api: Api, ask: Ask) -> tuple[ObjectType, list[Row]]:
    """The object and the records that /sobjects/X/Field/value names; raises NOT_FOUND for none."""
    item = visible_object(api, ask, ask.path[1])
    field = lookup_field(api.access(ask), item, ask.path[2])
    matches = find_by(api.writer(ask), item, field, "/".join(ask.path[3:]))
    if not matches:
        raise not_found()
    return item, matches


def _choices(item: ObjectType, matches: list[Row], version: str) -> list[str]:
    return [f"/services/data/{version}/sobjects/{item.name}/{row['Id']}" for row in matches]
