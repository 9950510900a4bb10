"""Events: one for each change of state, with a snapshot of the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulators.stripe.deliveries import THIN, send_out, wanting
from emulators.stripe.model import Obj
from emulators.stripe.thin import thin_event

if TYPE_CHECKING:
    from emulators.stripe.api import Api

API_VERSION = "2026-10-28.endive"


def emit(api: Api, kind: str, obj: Obj, previous: Obj | None = None) -> None:
    """Record an event and start its deliveries. `previous`: the changed fields as they were (`*.updated`)."""
    world, call = api.world, api.call
    data: Obj = {"object": world.render(obj)}
    if previous is not None:
        data["previous_attributes"] = {name: value for name, value in previous.items() if name[0] != "_"}
    endpoints = wanting(world, kind)
    event = api.blank(
        "event",
        type=kind,
        api_version=API_VERSION,
        data=data,
        pending_webhooks=len(endpoints),
        request={
            "id": call.context.get("request_id") if call else None,
            "idempotency_key": call.headers.get("idempotency-key") if call else None,
        },
    )
    world.add(event)
    for endpoint in endpoints:
        send_out(api.service, world, endpoint, event)
    destinations = wanting(world, f"v1.{kind}", THIN)
    if destinations:
        thin = thin_event(api, event)
        for destination in destinations:
            send_out(api.service, world, destination, thin)
