"""Webhook endpoints: where Stripe sends events, of which types and in which version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import stripe
from pydantic import SecretStr

from order_to_cash.gateways.stripe_calls import StripeCalls


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint at Stripe. `api_version` is empty when it follows the account's; `secret` is told once, when made."""

    endpoint_id: str
    url: str
    enabled: bool
    enabled_events: tuple[str, ...]
    api_version: str
    livemode: bool
    secret: SecretStr = field(default_factory=lambda: SecretStr(""))

    def lacks(self, types: Iterable[str]) -> list[str]:
        """Those of `types` that are not sent to it, sorted."""
        return [] if "*" in self.enabled_events else sorted(set(types) - set(self.enabled_events))


class StripeEndpoints(StripeCalls):
    """What the gateway knows of webhook endpoints."""

    @property
    def api_version(self) -> str:
        """The version that this gateway speaks, and that an endpoint of ours is to send."""
        return stripe.api_version

    async def webhook_endpoints(self) -> list[WebhookEndpoint]:
        """All of the account's, newest first."""
        return [endpoint_from(raw) async for raw in self._pages(self._v1.webhook_endpoints.list_async, {})]

    async def create_webhook_endpoint(self, url: str, types: Iterable[str]) -> WebhookEndpoint:
        """One more, in this gateway's API version; it carries the secret, which Stripe tells only now."""
        params = {"url": url, "enabled_events": sorted(types), "api_version": stripe.api_version}
        # Another key each time: one that was deleted may be made again within the day that a key lasts.
        key = f"o2c:webhook:{uuid4().hex}"
        create = self._v1.webhook_endpoints.create_async
        return endpoint_from(await self._post(create, params=params, key=key))

    async def update_webhook_endpoint(
        self, endpoint: WebhookEndpoint, types: Iterable[str]
    ) -> WebhookEndpoint:
        """Have exactly these types sent to it, and switch it on. Its API version cannot be changed."""
        params = {"enabled_events": sorted(types), "disabled": False}
        # Another key each time: the endpoint may have been changed back by hand within the day that a key lasts.
        key = f"o2c:webhook:{endpoint.endpoint_id}:{uuid4().hex}"
        update = self._v1.webhook_endpoints.update_async
        return endpoint_from(await self._post(update, endpoint.endpoint_id, params=params, key=key))


def endpoint_from(raw: Mapping[str, Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        endpoint_id=raw["id"],
        url=str(raw.get("url") or ""),
        enabled=raw.get("status") == "enabled",
        enabled_events=tuple(raw.get("enabled_events") or ()),
        api_version=str(raw.get("api_version") or ""),
        livemode=raw.get("livemode") is True,
        secret=SecretStr(str(raw.get("secret") or "")),
    )
