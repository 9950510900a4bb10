"""Signed webhook deliveries, retried by the emulator's clock."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from emulators.stripe.model import Obj

if TYPE_CHECKING:
    from emulators.stripe.service import StripeService
    from emulators.stripe.world import World

# Stripe retries for three days live and three times in a sandbox, with exponential backoff
# (docs.stripe.com/webhooks#automatic-retries); the exact steps are not published.
RETRY_SECONDS = {True: (300, 1800, 7200, 18000, 36000, 43200, 43200, 43200, 43200), False: (300, 3600, 10800)}
TIMEOUT_SECONDS = 20.0


def signature(secret: str, body: bytes, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 of `<timestamp>.<body>`."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def wanting(world: World, kind: str) -> list[Obj]:
    """The enabled endpoints that subscribe to this type of event."""
    return [
        endpoint
        for endpoint in world.all("webhook_endpoint")
        if endpoint["status"] == "enabled" and {"*", kind} & set(endpoint["enabled_events"])
    ]


def deliver(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int = 0) -> None:
    """Start one attempt in the background; needs the event loop that serves the emulator."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # the clock was moved without a server: nobody could receive
    task = loop.create_task(_attempt(service, world, endpoint, event, attempt))
    service.deliveries.add(task)
    task.add_done_callback(service.deliveries.discard)


async def _attempt(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int) -> None:
    body = json.dumps(world.render(event), indent=2, ensure_ascii=False).encode()
    status = await _post(service, endpoint, body)
    record = {"event": event["id"], "endpoint": endpoint["id"], "attempt": attempt + 1, "status": status}
    service.delivery_log.append({**record, "at": service.clock.epoch()})
    if status is not None and 200 <= status < 300:
        event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        return
    steps = RETRY_SECONDS[world.livemode]
    if attempt < len(steps):
        service.clock.after(
            steps[attempt],
            lambda: _again(service, world, endpoint, event, attempt + 1),
        )


def _again(service: StripeService, world: World, endpoint: Obj, event: Obj, attempt: int) -> None:
    alive = service.holds(world) and not endpoint.get("_deleted") and endpoint["status"] == "enabled"
    if alive:
        deliver(service, world, endpoint, event, attempt)


async def _post(service: StripeService, endpoint: Obj, body: bytes) -> int | None:
    """The receiver's status, or None when it did not answer."""
    import httpx  # only an account with endpoints needs a client

    headers: dict[str, Any] = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "stripe-signature": signature(endpoint["_secret"], body, service.clock.epoch()),
    }
    if service.webhook_client is None:
        service.webhook_client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
    try:
        response = await service.webhook_client.post(endpoint["url"], content=body, headers=headers)
    except httpx.HTTPError:
        return None
    return response.status_code
