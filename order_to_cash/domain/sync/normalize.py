"""A Stripe object of an older API version in the shape of the version that the SDK pins (2026-10-28.endive).

What moved is put where it stands now, what is there already stays, what is missing is missing. Sources: the changelog
pages of https://docs.stripe.com/changelog (2025-03-31.basil: invoices, lines, subscription periods; 2024-09-30 and
before: taxes; 2022-11-15: `charges` of a payment intent, `refunds` of a charge).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from order_to_cash.domain.sync.bodies import items, mapping, ref, whole
from order_to_cash.domain.sync.shapes import Body

Json = dict[str, Any]

_NEEDED = {
    "invoice": (
        "status",
        "currency",
        "amount_due",
        "amount_paid",
        "amount_remaining",
        "total",
        "attempt_count",
    ),
    "subscription": ("status", "currency", "items"),
    "charge": ("status", "currency", "amount"),
    "refund": ("status", "currency", "amount"),
    "dispute": ("status", "currency", "amount"),
    "credit_note": ("status", "currency", "invoice"),
    "invoice_payment": ("status", "currency", "invoice", "payment"),
    "payment_intent": ("status",),
    "product": ("name", "active"),
    "price": ("product", "currency", "active"),
}


def normalize(body: Body) -> Json:
    """`body` in the pinned version's shape; `body` itself is not changed."""
    made = dict(body)
    step = _STEPS.get(str(made.get("object")))
    if step is not None:
        step(made)
    return made


def lacks(body: Body) -> tuple[str, ...]:
    """What a normalized body would have to say and does not: reason to read the object from Stripe.

    A failed attempt's reason stands in the payment intent, which no invoice event carries; the prices of tiers are
    carried by none either; an embedded list holds the first entries only.
    """
    kind = str(body.get("object"))
    missing = [name for name in _NEEDED.get(kind, ()) if body.get(name) is None]
    if kind == "invoice":
        missing += _missing_of_invoice(body)
    if kind == "subscription":
        missing += _missing_of_subscription(body)
    if kind == "product" and isinstance(body.get("default_price"), str):
        missing.append("default_price")  # its amount goes to the price book; products change rarely
    return tuple(missing)


def payment_unexplained(body: Body) -> bool:
    """Whether an unpaid invoice was attempted, and its body does not say what came of it."""
    if body.get("status") not in {"open", "uncollectible"} or not whole(body.get("attempt_count")):
        return False
    payments = items(body.get("payments"))
    return not any(isinstance(mapping(one.get("payment")).get("payment_intent"), Mapping) for one in payments)


def _missing_of_invoice(body: Body) -> list[str]:
    # Without `payments` nobody asked; with them, expanded or not, Stripe has said what there is.
    unexplained = payment_unexplained(body) and not items(body.get("payments"))
    lines = mapping(body.get("lines"))
    cut = body.get("status") != "draft" and bool(lines.get("has_more"))
    return ["payments"] * unexplained + ["lines"] * cut


def _missing_of_subscription(body: Body) -> list[str]:
    missing = ["items"] if mapping(body.get("items")).get("has_more") else []
    for item in items(body.get("items")):
        price = mapping(item.get("price"))
        if whole(item.get("current_period_end")) is None:
            missing.append("current_period_end")
        if price.get("billing_scheme") == "tiered" and not price.get("tiers") and not _metered(price):
            missing.append("tiers")
    return missing


def _metered(price: Body) -> bool:
    return mapping(price.get("recurring")).get("usage_type") == "metered"


def _invoice(made: Json) -> None:
    if made.get("collection_method") is None and made.get("billing"):
        made["collection_method"] = made["billing"]
    subscription = ref(made.get("subscription"))
    if not made.get("parent") and subscription:
        details = {"subscription": subscription}
        metadata = mapping(made.get("subscription_details")).get("metadata")
        made["parent"] = {
            "type": "subscription_details",
            "subscription_details": details | ({"metadata": metadata} if metadata else {}),
        }
    if made.get("payments") is None and (payment := _payment_of_invoice(made)):
        made["payments"] = {"object": "list", "data": [payment], "has_more": False}
    _taxes(made, "total_taxes", "total_tax_amounts", "tax")
    if isinstance(made.get("lines"), Mapping):
        made["lines"] = {**made["lines"], "data": [_line(line) for line in items(made["lines"])]}


def _payment_of_invoice(made: Json) -> Json:
    for kind in ("payment_intent", "charge"):
        if made.get(kind):
            return {"object": "invoice_payment", "payment": {"type": kind, kind: made[kind]}}
    return {}


def _line(line: Body) -> Json:
    made = dict(line)
    price = mapping(made.get("price")) or mapping(made.get("plan"))
    if not made.get("pricing") and price:
        made["pricing"] = {
            "type": "price_details",
            "price_details": {"price": ref(price), "product": ref(price.get("product"))},
            "unit_amount_decimal": price.get("unit_amount_decimal") or price.get("amount_decimal"),
        }
    if not made.get("parent"):
        made["parent"] = _line_parent(made)
    _taxes(made, "taxes", "tax_amounts", "")
    return made


def _line_parent(line: Json) -> Json | None:
    shared = {"proration": bool(line.get("proration")), "subscription": ref(line.get("subscription")) or None}
    if line.get("invoice_item"):
        return {
            "type": "invoice_item_details",
            "invoice_item_details": shared | {"invoice_item": line["invoice_item"]},
        }
    if line.get("subscription_item") or line.get("type") == "subscription":
        item = {"subscription_item": line.get("subscription_item")}
        return {"type": "subscription_item_details", "subscription_item_details": shared | item}
    return None


def _subscription(made: Json) -> None:
    if made.get("collection_method") is None and made.get("billing"):
        made["collection_method"] = made["billing"]
    if made.get("start_date") is None and made.get("start"):
        made["start_date"] = made["start"]
    held = made.get("items")
    given = items(held)
    if not given and made.get("plan"):  # before subscriptions had items
        given = ({"object": "subscription_item", "plan": made["plan"], "quantity": made.get("quantity")},)
    moved = {
        name: made[name]
        for name in ("current_period_start", "current_period_end")
        if made.get(name) is not None
    }
    if not given:
        return
    made["items"] = {**mapping(held), "data": [_item(item, moved) for item in given]}
    currency = mapping(made["items"]["data"][0].get("price")).get("currency")
    if made.get("currency") is None and currency:
        made["currency"] = currency


def _item(item: Body, moved: Body) -> Json:
    made = {
        **moved,
        **{name: value for name, value in item.items() if value is not None or name not in moved},
    }
    if not made.get("price") and isinstance(made.get("plan"), Mapping):
        made["price"] = price_of_plan(made["plan"])
    return made


def price_of_plan(plan: Body) -> Json:
    """A Plan, as prices were called, in the shape of a Price."""
    recurring = {
        "interval": plan.get("interval"),
        "interval_count": plan.get("interval_count") or 1,
        "usage_type": plan.get("usage_type") or "licensed",
    }
    price = {
        "id": plan.get("id"),
        "object": "price",
        "active": plan.get("active"),
        "billing_scheme": plan.get("billing_scheme") or "per_unit",
        "currency": plan.get("currency"),
        "nickname": plan.get("nickname") or plan.get("name"),
        "product": plan.get("product"),
        "recurring": recurring,
        "tiers": plan.get("tiers"),
        "tiers_mode": plan.get("tiers_mode"),
        "transform_quantity": plan.get("transform_usage"),
        "type": "recurring",
        "unit_amount": plan.get("amount"),
        "unit_amount_decimal": plan.get("amount_decimal"),
    }
    return {name: value for name, value in price.items() if value is not None}


def _payment_intent(made: Json) -> None:
    charges = items(made.get("charges"))
    if made.get("latest_charge") is None and charges:
        made["latest_charge"] = max(charges, key=lambda one: (whole(one.get("created")) or 0, ref(one)))["id"]


def _credit_note(made: Json) -> None:
    _taxes(made, "total_taxes", "tax_amounts", "")


def _taxes(made: Json, name: str, older: str, oldest: str) -> None:
    if made.get(name) is not None:
        return
    if made.get(older) is not None:
        made[name] = [{"amount": one.get("amount")} for one in items(made[older])]
    elif oldest and whole(made.get(oldest)) is not None:
        made[name] = [{"amount": made[oldest]}]


_STEPS: Mapping[str, Callable[[Json], None]] = {
    "invoice": _invoice,
    "subscription": _subscription,
    "payment_intent": _payment_intent,
    "credit_note": _credit_note,
}
