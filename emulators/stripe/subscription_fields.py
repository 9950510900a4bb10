"""Every field of a subscription and its items."""

from __future__ import annotations

from typing import Any

from emulators.stripe.model import Obj
from emulators.stripe.world import World

SUBSCRIPTION_FIELDS: dict[str, Any] = {
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": 0,
    "billing_cycle_anchor_config": None,
    "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
    "billing_schedules": [],
    "billing_thresholds": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "reason": None},
    "collection_method": "charge_automatically",
    "currency": "usd",
    "customer": "",
    "days_until_due": None,
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "ended_at": None,
    "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
    "latest_invoice": None,
    "metadata": {},
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pause_collection": None,
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "pending_update": None,
    "schedule": None,
    "start_date": 0,
    "status": "incomplete",
    "test_clock": None,
    "transfer_data": None,
    "trial_end": None,
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    "trial_start": None,
}
ITEM_FIELDS: dict[str, Any] = {
    "billing_thresholds": None,
    "current_period_end": 0,
    "current_period_start": 0,
    "discounts": [],
    "metadata": {},
    "quantity": 1,
    "subscription": "",
    "tax_rates": [],
}
EXPANDABLE = {
    "customer": "customer",
    "default_payment_method": "payment_method",
    "latest_invoice": "invoice",
}


def items_of(world: World, subscription: Obj) -> list[Obj]:
    found = (world.get("subscription_item", item_id) for item_id in subscription["_items"])
    return [item for item in found if item is not None]


def present(world: World, subscription: Obj, out: Obj) -> None:
    data = [world.render(item) for item in items_of(world, subscription)]
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    out["items"] = {"object": "list", "data": data, "has_more": False, "url": url}


def present_item(world: World, item: Obj, out: Obj) -> None:
    price = world.tables["price"][item["_price"]]
    out["price"] = world.render(price)
    recurring = price["recurring"]
    out["plan"] = {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": dict(price["metadata"]),
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }
