"""The resources below /services/data/vNN.0."""

from __future__ import annotations

from emulators.engine.wire import Answer
from emulators.salesforce import collection_rows, composite, deploy, describe, queries, records
from emulators.salesforce.api import Api, Ask, Route

_RESOURCES = ("sobjects", "query", "queryAll", "limits", "composite", "metadata", "tooling")


def resources(api: Api, ask: Ask) -> Answer:
    """GET /services/data/vNN.0/: the resources and where they are."""
    del api
    return Answer(200, {name: f"/services/data/{ask.version}/{name}" for name in _RESOURCES})


def _route(method: str, pattern: str, handler: object) -> Route:
    if not callable(handler):
        raise TypeError(f"{pattern}: not a handler")
    return Route(method, tuple(part for part in pattern.split("/") if part), handler)


ROUTES = [
    _route("GET", "", resources),
    _route("GET", "query", queries.query),
    _route("GET", "queryall", queries.query_all),
    _route("GET", "query/*", queries.query_more),
    _route("GET", "queryall/*", queries.query_more),
    _route("GET", "limits", queries.limits),
    _route("GET", "limits/recordcount", queries.record_count),
    _route("GET", "tooling/query", queries.tooling_query),
    _route("GET", "sobjects", describe.global_describe),
    _route("GET", "sobjects/*", describe.object_basic),
    _route("POST", "sobjects/*", records.create_record),
    _route("GET", "sobjects/*/describe", describe.object_describe),
    _route("GET", "sobjects/*/*", records.read_record),
    _route("PATCH", "sobjects/*/*", records.update_record),
    _route("DELETE", "sobjects/*/*", records.delete_record),
    _route("GET", "sobjects/*/*/**", records.read_by_external_id),
    _route("PATCH", "sobjects/*/*/**", records.upsert_record),
    _route("DELETE", "sobjects/*/*/**", records.delete_by_external_id),
    _route("POST", "composite", composite.composite),
    _route("POST", "composite/batch", composite.batch),
    _route("POST", "composite/sobjects", collection_rows.create_rows),
    _route("PATCH", "composite/sobjects", collection_rows.update_rows),
    _route("DELETE", "composite/sobjects", collection_rows.delete_rows),
    _route("GET", "composite/sobjects/*", collection_rows.read_rows),
    _route("POST", "composite/sobjects/*", collection_rows.read_rows),
    _route("PATCH", "composite/sobjects/*/*", collection_rows.upsert_rows),
    _route("POST", "metadata/deployrequest", deploy.post_deploy),
    _route("GET", "metadata/deployrequest/*", deploy.get_deploy),
]
