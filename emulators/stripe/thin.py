"""Thin events and where they go: Stripe's /v2/core events and event destinations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Operation, Params, Resource
from emulators.stripe.params import Spec, choice, hash_of, list_of, metadata, required, text
from emulators.stripe.world import token

if TYPE_CHECKING:
    from emulators.stripe.api import Api

EVENT, DESTINATION = "v2.core.event", "v2.core.event_destination"
EVENTS_PATH, DESTINATIONS_PATH = "v2/core/events", "v2/core/event_destinations"
KEPT_SECONDS = 30 * 86400  # docs.stripe.com/api/v2/core/events/retrieve


def thin_event(api: Api, snapshot: Obj) -> Obj:
    """The thin twin of a snapshot event, stored."""
    about = snapshot["data"]["object"]
    path = api.world.resources[about["object"]].path
    request = snapshot["request"] or {}
    event: Obj = {
        "id": f"evt_{'' if api.world.livemode else 'test_'}{token(40)}",
        "object": EVENT,
        "changes": None,
        "context": None,
        "created": iso(snapshot["created"]),
        "livemode": api.world.livemode,
        "reason": {"type": "request", "request": request} if request.get("id") else None,
        "related_object": {"id": about["id"], "type": about["object"], "url": f"/v1/{path}/{about['id']}"},
        "snapshot_event": snapshot["id"] if api.settings.thin_snapshots else None,
        "type": f"v1.{snapshot['type']}",
        "_created": snapshot["created"],
    }
    return api.world.add(event)


def notification(event: Obj) -> Obj:
    """What is delivered of a thin event: what the event says, but for its snapshot and its changes."""
    hidden = ("changes", "snapshot_event")
    return {name: value for name, value in event.items() if name[0] != "_" and name not in hidden}


def iso(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def retrieve_event(api: Api, ids: list[str], params: Params) -> Obj:
    del params
    event = api.find(EVENT, ids[0])
    if event["_created"] < api.now - KEPT_SECONDS:
        raise StripeError("The event is too old to be retrieved.", code="resource_missing", status=404)
    return event


def make_destination(api: Api, params: Params) -> Obj:
    if params["event_payload"] != "thin":
        message = "This emulator sends snapshots to webhook endpoints: create one of those."
        raise StripeError(message, param="event_payload", validation=True)
    include = params.pop("include", [])
    secret = "whsec_" + token(32)
    destination: Obj = {
        "id": f"ed_{'' if api.world.livemode else 'test_'}{token(40)}",
        "object": DESTINATION,
        "amazon_eventbridge": None,
        "azure_event_grid": None,
        "created": iso(api.now),
        "description": "",
        "events_from": ["@self"],
        "livemode": api.world.livemode,
        "metadata": {},
        "snapshot_api_version": None,
        "status": "enabled",
        "status_details": None,
        "updated": iso(api.now),
        **params,
        "_secret": secret,
    }
    if "webhook_endpoint.signing_secret" in include:
        destination["_reveal"] = {
            "webhook_endpoint": {**params["webhook_endpoint"], "signing_secret": secret}
        }
    destination["webhook_endpoint"] = {"signing_secret": None, **params["webhook_endpoint"]}
    return api.store(destination)


def switch(status: str, action: str) -> Operation:
    def run(api: Api, ids: list[str], params: Params) -> Obj:
        del params
        return api.change(api.find_alive(DESTINATION, ids[0]), None, f"{action}d", status=status)

    path = f"{DESTINATIONS_PATH}/{{id}}/{action}"
    return Operation("POST", path, run, {}, "webhook_write", f"v2.core.event_destination_{action}")


CREATE: dict[str, Spec] = {
    "description": text(),
    "enabled_events": required(list_of(text())),
    "event_payload": required(choice("snapshot", "thin")),
    "include": list_of(choice("webhook_endpoint.signing_secret", "webhook_endpoint.url")),
    "metadata": metadata(),
    "name": required(text()),
    "type": required(choice("webhook_endpoint")),
    "webhook_endpoint": required(hash_of(url=required(text()))),
}
THIN_EVENT = Resource(
    name=EVENT,
    path=EVENTS_PATH,
    prefix="evt_",
    fields={},
    operations=(
        Operation("GET", f"{EVENTS_PATH}/{{id}}", retrieve_event, {}, "event_read", "v2.core.event_retrieve"),
    ),
)
EVENT_DESTINATION = Resource(
    name=DESTINATION,
    path=DESTINATIONS_PATH,
    prefix="ed_",
    noun="event destination",
    fields={},
    operations=(
        Operation(
            "POST",
            DESTINATIONS_PATH,
            lambda api, _ids, params: make_destination(api, params),
            CREATE,
            "webhook_write",
            "v2.core.event_destination_create",
        ),
        switch("disabled", "disable"),
        switch("enabled", "enable"),
        Operation(
            "GET",
            f"{DESTINATIONS_PATH}/{{id}}",
            lambda api, ids, _params: api.find(DESTINATION, ids[0]),
            {},
            "webhook_read",
            "v2.core.event_destination_retrieve",
        ),
    ),
)
