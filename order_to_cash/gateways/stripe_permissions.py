"""Which rights a restricted key needs, and how to find out which it lacks without touching anything (R80)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import stripe

from order_to_cash.domain.errors import PermissionMissing, Refused


@dataclass(frozen=True)
class Right:
    """A right as the dashboard shows it. Probed by a list of one, or by changing an object that cannot be."""

    resource: str
    access: Literal["read", "write"]
    path: str

    @property
    def label(self) -> str:
        return f"{self.resource}: {self.access}"


# What the recipes call. A write is probed with an id that no object has: Stripe judges the key first
# (403) and only then looks for the object (404).
NEEDED: tuple[Right, ...] = (
    Right("customers", "read", "/v1/customers"),
    Right("customers", "write", "/v1/customers/cus_o2cprobe"),
    Right("invoices", "read", "/v1/invoices"),
    Right("invoices", "write", "/v1/invoices/in_o2cprobe"),
    Right("prices", "read", "/v1/prices"),
    Right("products", "read", "/v1/products"),
    Right("events", "read", "/v1/events"),
    Right("subscriptions", "read", "/v1/subscriptions"),
    Right("charges and refunds", "read", "/v1/charges"),
    Right("payment intents", "read", "/v1/payment_intents"),
    Right("payment methods", "read", "/v1/payment_methods"),
    Right("credit notes", "read", "/v1/credit_notes"),
    Right("disputes", "read", "/v1/disputes"),
    Right("checkout sessions", "read", "/v1/checkout/sessions"),
    Right("webhook endpoints", "read", "/v1/webhook_endpoints"),
    Right("customer portal", "write", "/v1/billing_portal/sessions"),
)

Shield = Callable[..., Awaitable[Any]]


async def missing(client: stripe.StripeClient, shield: Shield) -> list[str]:
    """Stripe's names of the rights that `client`'s key lacks, or their labels where the refusal names none."""
    lacking = []
    for right in NEEDED:
        try:
            await _probe(client, shield, right)
        except PermissionMissing as refusal:
            lacking.append(refusal.ids.get("permission") or right.label)
    return lacking


async def _probe(client: stripe.StripeClient, shield: Shield, right: Right) -> None:
    if right.access == "read":
        await shield(client.raw_request_async, "get", right.path, limit=1)
        return
    # Random, because the answer must not be that of an earlier probe.
    key = f"o2c:probe:{uuid4().hex}"
    try:
        await shield(client.raw_request_async, "post", right.path, idempotency_key=key, description="probe")
    except PermissionMissing:
        raise
    except Refused:
        return
