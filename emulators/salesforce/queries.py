"""Queries with their pages, record counts and limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask
from emulators.salesforce.errors import OrgError
from emulators.salesforce.ids import make_id
from emulators.salesforce.soql.execute import Found, run

DEFAULT_BATCH, SMALLEST_BATCH = 2000, 200  # records a page, as in the org
_TOOLING_OBJECTS = frozenset({"organization", "user"})


@dataclass
class Cursor:
    found: Found
    size: int
    resource: str


def query(api: Api, ask: Ask) -> Answer:
    return _query(api, ask, include_deleted=False)


def query_all(api: Api, ask: Ask) -> Answer:
    return _query(api, ask, include_deleted=True)


def _query(api: Api, ask: Ask, include_deleted: bool) -> Answer:
    text = ask.params.get("q")
    if not text:
        raise OrgError("MALFORMED_QUERY", "A query string has to be specified")
    world = api.org.world(api.access(ask))
    found = run(world, text, ask.version, include_deleted)
    cursor = Cursor(found, _batch_size(ask), ask.path[0])
    if found.total <= cursor.size or not found.rows:
        return Answer(200, _page(cursor, 0, "", ask.version))
    cursor_id = make_id("01g", api.org.store.next_number("cursor"))
    api.cursors[cursor_id] = cursor
    return Answer(200, _page(cursor, 0, cursor_id, ask.version))


def query_more(api: Api, ask: Ask) -> Answer:
    """GET /query/<cursor>-<offset>."""
    cursor_id, _, offset = ask.path[1].partition("-")
    cursor = api.cursors.get(cursor_id)
    if cursor is None or not offset.isdigit():
        raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
    return Answer(200, _page(cursor, int(offset), cursor_id, ask.version))


def _batch_size(ask: Ask) -> int:
    match = re.search(r"batchSize=(\d+)", ask.headers.get("sforce-query-options", ""))
    return min(max(int(match[1]), SMALLEST_BATCH), DEFAULT_BATCH) if match else DEFAULT_BATCH


def _page(cursor: Cursor, offset: int, cursor_id: str, version: str) -> dict[str, Any]:
    rows = cursor.found.rows[offset : offset + cursor.size]
    end = offset + len(rows)
    done = end >= len(cursor.found.rows)
    page: dict[str, Any] = {"totalSize": cursor.found.total, "done": done}
    if not done:
        page["nextRecordsUrl"] = f"/services/data/{version}/{cursor.resource}/{cursor_id}-{end}"
    page["records"] = [cursor.found.render(row) for row in rows]
    return page


def tooling_query(api: Api, ask: Ask) -> Answer:
    """The tooling resource knows a few objects of the data API here; the rest is INVALID_TYPE."""
    found = re.search(r"\bfrom\s+(\w+)", ask.params.get("q", ""), re.IGNORECASE)
    if found is None or found[1].lower() not in _TOOLING_OBJECTS:
        name = found[1] if found else ""
        raise OrgError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    plain = Ask("GET", ("query",), ask.version, ask.user_id, ask.params, None, ask.headers)
    page = query(api, plain).body
    head = {"size": len(page["records"]), "totalSize": page["totalSize"], "done": page["done"]}
    return Answer(200, head | {"queryLocator": None, "entityTypeName": found[1], "records": page["records"]})


def record_count(api: Api, ask: Ask) -> Answer:
    """GET /limits/recordCount?sObjects=Account,Contact: objects without records are not in it."""
    wanted = [name.strip() for name in ask.params.get("sObjects", "").split(",") if name.strip()]
    counted = []
    for item in api.org.schema.objects.values():
        if wanted and item.name.lower() not in {name.lower() for name in wanted}:
            continue
        count = sum(1 for row in api.org.store.rows(item.name).values() if not row.get("IsDeleted"))
        if count:
            counted.append({"count": count, "name": item.name})
    return Answer(200, {"sObjects": counted})


def limits(api: Api, ask: Ask) -> Answer:
    del ask
    used, maximum = api.service.api_usage()
    return Answer(
        200,
        {
            "DailyApiRequests": {"Max": maximum, "Remaining": max(maximum - used, 0)},
            "DailyBulkApiBatches": {"Max": 15000, "Remaining": 15000},
            "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000},
            "DataStorageMB": {"Max": 10240, "Remaining": 10000},
            "FileStorageMB": {"Max": 10240, "Remaining": 10000},
            "HourlyAsyncReportRuns": {"Max": 1200, "Remaining": 1200},
            "SingleEmail": {"Max": 5000, "Remaining": 5000},
        },
    )
