"""Signed webhook deliveries, retried by the emulator's clock."""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import random
from typing import TYPE_CHECKING, Any

import orjson

from emulators.stripe.model import Obj
from emulators.stripe.old_shapes import in_version
from emulators.stripe.thin import notification

if TYPE_CHECKING:
    from emulators.stripe.service import StripeService
    from emulators.stripe.world import World

# Stripe retries for three days live and three times in a sandbox, with exponential backoff
# (docs.stripe.com/webhooks#automatic-retries); the exact steps are not published.
RETRY_SECONDS = {True: (300, 1800, 7200, 18000, 36000, 43200, 43200, 43200, 43200), False: (300, 3600, 10800)}
THIN = "v2.core.event_destination"


def signature(secret: str, body: bytes, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 of `<timestamp>.<body>`."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def wanting(world: World, kind: str, endpoint_type: str = "webhook_endpoint") -> list[Obj]:
    """The enabled endpoints (or event destinations) that subscribe to this type of event."""
    return [
        endpoint
        for endpoint in world.all(endpoint_type)
        if endpoint["status"] == "enabled" and {"*", kind} & set(endpoint["enabled_events"])
    ]


def send_out(service: StripeService, world: World, endpoint: Obj, event: Obj) -> None:
    """The first delivery of a new event, as the settings have it: lost, held back, doubled or plain."""
    if any(fnmatch.fnmatchcase(event["type"], pattern) for pattern in service.settings.lose_deliveries):
        _log(service, endpoint, event, 0, None, lost=True)
    elif service.settings.hold_deliveries:
        service.held.append((world, endpoint, event))
    else:
        for _ in range(1 + service.settings.duplicate_deliveries):
            deliver(service, world, endpoint, event)


def release(service: StripeService, order: str, seed: int) -> int:
    """Deliver what is held back, in its order, `reversed` or `shuffled`; how many that are."""
    held, service.held = service.held, []
    if order == "reversed":
        held.reverse()
    elif order == "shuffled":
        random.Random(seed).shuffle(held)
    for world, endpoint, event in held:
        if service.holds(world):
            deliver(service, world, endpoint, event)
    return len(held)


def deliver(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int = 0) -> None:
    """Start one attempt in the background; needs the event loop that serves the emulator."""

    async def job() -> None:
        await _attempt(service, world, endpoint, event, attempt)

    service.couriers.take(job)


async def _attempt(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int) -> None:
    if endpoint["status"] != "enabled" or endpoint.get("_deleted"):
        return
    status = await _post(service, endpoint, _body(world, endpoint, event))
    _log(service, endpoint, event, attempt, status)
    if status is not None and 200 <= status < 300:
        endpoint["_failures"] = 0
        if "pending_webhooks" in event:
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        return
    endpoint["_failures"] = endpoint.get("_failures", 0) + 1
    limit = service.settings.disable_endpoint_after
    if limit is not None and endpoint["_failures"] >= limit:
        endpoint["status"] = "disabled"
        return
    steps = RETRY_SECONDS[world.livemode]
    if attempt < len(steps):
        service.clock.after(
            steps[attempt],
            lambda: _again(service, world, endpoint, event, attempt + 1),
        )


def _body(world: World, endpoint: Obj, event: Obj) -> bytes:
    if endpoint["object"] == THIN:
        return orjson.dumps(notification(event))
    # json's own indenting takes a millisecond an event.
    return orjson.dumps(in_version(world, endpoint["api_version"], event), option=orjson.OPT_INDENT_2)


def _log(
    service: StripeService, endpoint: Obj, event: Obj, attempt: int, status: int | None, **more: Any
) -> None:
    record = {"event": event["id"], "endpoint": endpoint["id"], "attempt": attempt + 1, "status": status}
    service.delivery_log.append({**record, **more, "at": service.clock.epoch()})


def _again(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int) -> None:
    if service.holds(world):
        deliver(service, world, endpoint, event, attempt)


async def _post(service: StripeService, endpoint: Obj, body: bytes) -> int | None:
    """The receiver's status, or None when it did not answer."""
    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "stripe-signature": signature(endpoint["_secret"], body, service.clock.epoch()),
    }
    url = endpoint["webhook_endpoint"]["url"] if endpoint["object"] == THIN else endpoint["url"]
    return await service.couriers.post(url, headers, body, service.settings.webhook_timeout_seconds)
