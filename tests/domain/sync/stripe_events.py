"""Events as Stripe sends them, about objects of `stripe_objects`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from order_to_cash.domain.events import StripeEvent, decode_event
from tests.domain.sync.stripe_objects import T0, Json

_numbers: Iterator[int] = itertools.count(1)


def event(kind: str, body: Json, created: int = T0, previous: Json | None = None, **more: Any) -> StripeEvent:
    """A snapshot event. `event_id` may be given among `more`."""
    data: Json = {"object": body}
    if previous is not None:
        data["previous_attributes"] = previous
    document = {
        "id": more.pop("event_id", f"evt_{next(_numbers)}"),
        "object": "event",
        "type": kind,
        "created": created,
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "data": data,
        **more,
    }
    return decode_event(json.dumps(document).encode())


def thin(kind: str, object_type: str, object_id: str, created: str = "2026-09-21T13:33:20Z") -> StripeEvent:
    document = {
        "id": f"evt_{next(_numbers)}",
        "object": "v2.core.event",
        "type": kind,
        "created": created,
        "livemode": False,
        "related_object": {"id": object_id, "type": object_type, "url": "/v1/x"},
    }
    return decode_event(json.dumps(document).encode())


def changed(body: Json, **values: Any) -> tuple[Json, Json]:
    """The body after an update, and its `previous_attributes`."""
    return {**body, **values}, {name: body.get(name) for name in values}
