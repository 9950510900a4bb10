"""sObject Collections: up to 200 rows a call, each with its own result, in request order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask, body_list, body_object
from emulators.salesforce.describe import visible_object
from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.records import find_by, lookup_field, record_json, upsert
from emulators.salesforce.removal import delete
from emulators.salesforce.store import Row

Json = dict[str, Any]
MAX_ROWS = 200
MAX_READ_ROWS = 2000
MAX_CHUNKS = 10  # runs of rows of one object type
_ROLLED_BACK = OrgError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)
Work = Callable[[int], Json]


def _records(api: Api, ask: Ask) -> list[tuple[ObjectType, Json]]:
    """The body's records with their objects; raises for too many rows or chunks, or a row without type."""
    given = body_list(ask, "records")
    _check_size(len(given))
    typed = []
    for record in given:
        attributes = record.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not name:
            message = "Record must include an sObject type in 'attributes'"
            raise OrgError("INVALID_INPUT", message)
        item = api.org.schema.get(str(name))
        if item is None or not api.access(ask).sees_object(item):
            raise OrgError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        typed.append((item, record))
    changes = sum(1 for (one, _), (other, _) in pairwise(typed) if one is not other)
    if changes + 1 > MAX_CHUNKS:
        message = (
            "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce "
            "chunking."
        )
        raise OrgError("LIMIT_EXCEEDED", message)
    return typed


def _check_size(count: int, most: int = MAX_ROWS) -> None:
    if count > most:
        message = f"record limit reached. cannot submit more than {most} records in this call"
        raise OrgError("EXCEEDED_ID_LIMIT", message)


def _run(api: Api, count: int, all_or_none: bool, work: Work) -> list[Json]:
    """Do each row in an undoable step; with all-or-none, one failure undoes and marks them all."""
    store = api.org.store
    start = store.mark()
    results: list[Json] = []
    failed = False
    for index in range(count):
        try:
            with store.undoable():
                results.append(work(index))
        except OrgError as error:
            failed = True
            results.append({"success": False, "errors": [_row_error(error)]})
    if failed and all_or_none:
        store.undo_to(*start)
        results = [_rolled_back(result) for result in results]
    return results


def _row_error(error: OrgError) -> Json:
    if error.code == "NOT_FOUND":
        return OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").as_row_error()
    return error.as_row_error()


def _rolled_back(result: Json) -> Json:
    if not result["success"]:
        return result
    return {"success": False, "errors": [_ROLLED_BACK.as_row_error()]}


def _all_or_none(ask: Ask) -> bool:
    return body_object(ask).get("allOrNone") is True


def _done(record_id: str, **more: bool) -> Json:
    return {"id": record_id, "success": True, "errors": [], **more}


def create_rows(api: Api, ask: Ask) -> Answer:
    """POST /composite/sobjects."""
    typed = _records(api, ask)
    writer = api.writer(ask)
    values = [writer.read(item, record) for item, record in typed]

    def create(index: int) -> Json:
        if values[index].get("Id"):
            message = "cannot specify Id in an insert call"
            raise OrgError("INVALID_FIELD_FOR_INSERT_UPDATE", message, ["Id"])
        return _done(writer.create(typed[index][0], values[index]))

    return Answer(200, _run(api, len(typed), _all_or_none(ask), create))


def update_rows(api: Api, ask: Ask) -> Answer:
    """PATCH /composite/sobjects: each record carries its `id`."""
    typed = _records(api, ask)
    writer = api.writer(ask)
    values = [writer.read(item, _without_id(record)) for item, record in typed]
    ids = [_id_of(record) for _, record in typed]
    repeated = {record_id for record_id, count in Counter(ids).items() if record_id and count > 1}

    def update(index: int) -> Json:
        record_id = ids[index]
        if not record_id:
            raise OrgError("MISSING_ARGUMENT", "Id not specified in an update call", [])
        if not is_id(record_id):
            raise OrgError("MALFORMED_ID", f"malformed id {record_id}", [])
        if record_id in repeated:
            raise OrgError("DUPLICATE_VALUE", f"Duplicate id specified: {record_id}", [])
        writer.update(typed[index][0], long_id(record_id), values[index])
        return _done(long_id(record_id))

    results = _run(api, len(typed), _all_or_none(ask), update)
    for result, record_id in zip(results, ids, strict=True):
        if not result["success"] and record_id and is_id(record_id):
            result["id"] = long_id(record_id)
    return Answer(200, [_id_first(result) for result in results])


def _id_first(result: Json) -> Json:
    return {"id": result["id"], **result} if "id" in result else result


def _id_of(record: Json) -> str | None:
    return next((str(value) for key, value in record.items() if key.lower() == "id" and value), None)


def _without_id(record: Json) -> Json:
    return {key: value for key, value in record.items() if key.lower() != "id"}


def upsert_rows(api: Api, ask: Ask) -> Answer:
    """PATCH /composite/sobjects/X/ExternalIdField: the key stands in each record."""
    item = visible_object(api, ask, ask.path[2])
    field = lookup_field(api.access(ask), item, ask.path[3])
    typed = _records(api, ask)
    if any(kind is not item for kind, _ in typed):
        raise OrgError("INVALID_TYPE", f"All records must be of type {item.name}")
    writer = api.writer(ask)
    values = [writer.read(item, _without_id(record)) for _, record in typed]
    keys = [_key(field, record, row) for (_, record), row in zip(typed, values, strict=True)]
    repeated = {key for key, count in Counter(keys).items() if key and count > 1}

    def save(index: int) -> Json:
        key = keys[index]
        if key is not None and key in repeated:
            raise OrgError("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", [field.name])
        row = {name: value for name, value in values[index].items() if name != field.name}
        if key is None:
            return _upsert_without_key(field, lambda: _done(writer.create(item, row), created=True))
        record_id, is_new, matches = upsert(writer, item, field, key, row)
        if record_id is None:
            message = f"{field.name}: more than one record found for external id field: {_ids(matches)}"
            raise OrgError("DUPLICATE_EXTERNAL_ID", message, [field.name])
        return _done(record_id, created=is_new)

    return Answer(200, _run(api, len(typed), _all_or_none(ask), save))


def _upsert_without_key(field: Field, create: Callable[[], Json]) -> Json:
    """Upserting by Id without an Id creates; by any other field the key is needed."""
    if field.type == "id":
        return create()
    message = f"{field.name} not specified"
    raise OrgError("MISSING_ARGUMENT", message, [field.name])


def _key(field: Field, record: Json, row: Row) -> str | None:
    if field.type == "id":
        return _id_of(record)
    value = row.get(field.name)
    return None if value is None else str(value)


def _ids(rows: Sequence[Row]) -> str:
    return "[" + ", ".join(row["Id"] for row in rows) + "]"


def delete_rows(api: Api, ask: Ask) -> Answer:
    """DELETE /composite/sobjects?ids=a,b&allOrNone=false."""
    ids = [part.strip() for part in ask.params.get("ids", "").split(",") if part.strip()]
    _check_size(len(ids))
    writer = api.writer(ask)

    def remove(index: int) -> Json:
        record_id = ids[index]
        if not is_id(record_id):
            raise OrgError("MALFORMED_ID", f"malformed id {record_id}", [])
        item = api.org.schema.by_prefix(record_id)
        if item is None:
            raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        delete(writer, item, long_id(record_id))
        return _done(long_id(record_id))

    return Answer(200, _run(api, len(ids), ask.params.get("allOrNone") == "true", remove))


def read_rows(api: Api, ask: Ask) -> Answer:
    """GET /composite/sobjects/X?ids=…&fields=…, or POST with both in the body; null for what is not there."""
    item = visible_object(api, ask, ask.path[2])
    if ask.method == "POST":
        ids, names = body_list(ask, "ids", str), body_list(ask, "fields", str)
        _check_size(len(ids), MAX_READ_ROWS)
    else:
        ids = [part for part in ask.params.get("ids", "").split(",") if part]
        names = [part for part in ask.params.get("fields", "").split(",") if part]
        _check_size(len(ids))
    if not names:
        raise OrgError("MISSING_ARGUMENT", "The fields parameter is required")
    access = api.access(ask)
    by_id = access.field(item, "Id")
    found = [find_by(api.writer(ask), item, by_id, str(record_id)) for record_id in ids] if by_id else []
    return Answer(
        200,
        [
            record_json(access, item, api.org.shown(item, rows[0]), ask.version, names) if rows else None
            for rows in found
        ],
    )
