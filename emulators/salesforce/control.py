"""What the Salesforce emulator's control API has beyond the engine's: seeding, and what people do in the org.

Nothing here counts as API use or shows in the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulators.salesforce.administration import RowFault, ValidationRule
from emulators.salesforce.deploy import deploy
from emulators.salesforce.errors import OrgError
from emulators.salesforce.ids import long_id
from emulators.salesforce.org import Org
from emulators.salesforce.records import record_json
from emulators.salesforce.removal import bin_only, delete, merge
from emulators.salesforce.schema import UNRESTRICTED
from emulators.salesforce.seeding import assign, seed
from emulators.salesforce.shown import listed, navigation, page
from emulators.salesforce.writes import Writer

if TYPE_CHECKING:
    from emulators.salesforce.service import SalesforceService

Json = dict[str, Any]
Handler = Callable[["SalesforceService", Request], Awaitable[Any]]


def org_routes(service: SalesforceService) -> list[Route]:
    """Routes under /_emulator/; a refusal answers 400 with `{"error", "errorCode"}`."""
    table: dict[str, tuple[list[str], Handler]] = {
        "seed": (["POST"], _seed),
        "merge": (["POST"], _merge),
        "delete": (["POST"], _delete),
        "records": (["GET"], _records),
        "assign": (["POST"], _assign),
        "deploy": (["POST"], _deploy),
        "empty": (["POST"], _empty),
        "validation-rules": (["GET", "POST", "DELETE"], _rules),
        "row-faults": (["GET", "POST", "DELETE"], _row_faults),
        "sessions": (["DELETE"], _sessions),
        "page": (["GET"], _page),
        "list-view": (["GET"], _list_view),
        "navigation": (["GET"], _navigation),
    }
    return [
        Route(f"/_emulator/{name}", _guarded(service, handler), methods=methods)
        for name, (methods, handler) in table.items()
    ]


def _guarded(service: SalesforceService, handler: Handler) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def guarded(request: Request) -> JSONResponse:
        try:
            body = await handler(service, request)
        except OrgError as error:
            return JSONResponse({"error": error.message, "errorCode": error.code}, status_code=400)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)
        service.org.store.take_effects()
        return JSONResponse(body)

    return guarded


async def _seed(service: SalesforceService, request: Request) -> Json:
    """`{"records": [{"type", "ref"?, "raw"?, fields…}], "raw"?}` → `{"ids": […], "refs": {ref: id}}`."""
    return seed(service.org, await request.json())


async def _merge(service: SalesforceService, request: Request) -> Json:
    """`{"master": id, "losers": [id, …]}`, as a person merges accounts or contacts."""
    body = await request.json()
    merge(service.org, body["master"], body["losers"])
    return {"master": long_id(body["master"])}


async def _delete(service: SalesforceService, request: Request) -> Json:
    """`{"ids": […], "cascade": true}`; `false` bins only the named records and leaves pointers dangling."""
    body = await request.json()
    writer = Writer(service.org, UNRESTRICTED, service.org.admin_id, raw=True)
    for record_id in map(long_id, body["ids"]):
        item = service.org.schema.by_prefix(record_id)
        if item is None or not body.get("cascade", True):
            bin_only(service.org, record_id)
        else:
            delete(writer, item, record_id)
    return {"deleted": len(body["ids"])}


async def _records(service: SalesforceService, request: Request) -> Json:
    """`?type=Opportunity[&deleted=true]`: every record with every field, whatever a user may see."""
    item = service.org.schema.require(request.query_params["type"])
    rows = list(service.org.store.rows(item.name).values())
    if request.query_params.get("deleted") != "true":
        rows = [row for row in rows if not row["IsDeleted"]]
    rows = [service.org.shown(item, row) for row in rows]
    return {"records": [record_json(UNRESTRICTED, item, row, "v66.0") for row in rows]}


async def _assign(service: SalesforceService, request: Request) -> Json:
    """`{"permission_set": name, "username"?}`: assign a permission set (default: to the integration user)."""
    body = await request.json()
    return {"id": assign(service.org, body["permission_set"], body.get("username"))}


async def _deploy(service: SalesforceService, request: Request) -> Json:
    """The body is a metadata zip: deploys it at once."""
    outcomes = deploy(service.org, await request.body())
    failures = [asdict(outcome) for outcome in outcomes if outcome.problem]
    if failures:
        raise ValueError(f"{len(failures)} component failures, the first: {failures[0]}")
    return {"components": len(outcomes)}


async def _empty(service: SalesforceService, request: Request) -> Json:
    """Forget all records but keep the package, permission sets and their assignments."""
    del request
    service.org.empty()
    service.api.cursors.clear()
    return {"emptied": True}


async def _rules(service: SalesforceService, request: Request) -> Json:
    """POST `{"object", "when": condition that refuses, "message", "field"?}`; GET lists; DELETE clears."""
    org: Org = service.org
    if request.method == "POST":
        rule = ValidationRule(**await request.json())
        org.predicate(org.schema.require(rule.object), rule.when)
        org.rules.append(rule)
    elif request.method == "DELETE":
        org.rules.clear()
    return {"rules": [asdict(rule) for rule in org.rules]}


async def _row_faults(service: SalesforceService, request: Request) -> Json:
    """POST `{"ids"?, "object"?, "nth"? (number or list), "times"?, "code"?, "message"?}`; GET; DELETE clears.

    `ids` strikes rows with that id or with that parent: locking an account hits its opportunities."""
    org: Org = service.org
    if request.method == "POST":
        body = await request.json()
        if isinstance(body.get("nth"), int):
            body["nth"] = [body["nth"]]
        body["ids"] = [long_id(record_id) for record_id in body.get("ids", [])]
        org.row_faults.append(RowFault(**body))
    elif request.method == "DELETE":
        org.row_faults.clear()
    return {"row_faults": [asdict(fault) for fault in org.row_faults]}


async def _sessions(service: SalesforceService, request: Request) -> Json:
    """Every access token ends now."""
    del request
    ended = len(service.sessions.issued)
    service.sessions.end()
    return {"ended": ended}


def _sets(request: Request) -> list[str]:
    return [name for name in request.query_params.get("permission_sets", "").split(",") if name]


async def _page(service: SalesforceService, request: Request) -> Json:
    """`?object=Account&permission_sets=A,B[&layout=Account-Stripe Billing][&record=001…]`: what a person sees.

    Layouts of standard objects are shown as if they were assigned to the person."""
    params = request.query_params
    return page(
        service.org, _sets(request), params["object"], params.get("layout", ""), params.get("record", "")
    )


async def _list_view(service: SalesforceService, request: Request) -> Json:
    """`?object=Stripe_Invoice__c&name=Open_Past_Due&permission_sets=A`: its columns and rows."""
    return listed(service.org, _sets(request), request.query_params["object"], request.query_params["name"])


async def _navigation(service: SalesforceService, request: Request) -> Json:
    """`?permission_sets=A`: tabs and apps that they show; all layouts and list views."""
    return navigation(service.org, _sets(request))
