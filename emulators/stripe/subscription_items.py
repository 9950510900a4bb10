"""The items of subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.lines import price_in
from emulators.stripe.model import Obj, Params
from emulators.stripe.params import (
    Spec,
    currency,
    hash_of,
    integer,
    metadata,
    required,
    text,
)
from emulators.stripe.periods import period_end
from emulators.stripe.prices import AMOUNTS, INTERVAL, TAX_BEHAVIOR, make_price
from emulators.stripe.subscription_fields import items_of

PRICE_DATA = hash_of(
    **AMOUNTS,
    currency=required(currency()),
    product=required(text()),
    recurring=required(hash_of(interval=required(INTERVAL), interval_count=integer(1))),
    tax_behavior=TAX_BEHAVIOR,
)
NEW_ITEM: dict[str, Spec] = {
    "metadata": metadata(),
    "price": text(),
    "price_data": PRICE_DATA,
    "quantity": integer(0),
}


def currency_of(api: Api, item: Params, customer: Obj) -> str:
    if "price_data" in item:
        return str(item["price_data"]["currency"])
    if "price" not in item:
        raise missing_parameter("items[0][price]")
    price = api.find("price", item["price"], "items[0][price]")
    wanted = customer["currency"]
    return str(wanted if wanted in price["_currency_options"] else price["currency"])


def make_item(api: Api, subscription: Obj, params: Params, param: str) -> Obj:
    code = subscription["currency"]
    if ("price" in params) == ("price_data" in params):
        raise missing_parameter(f"{param}[price]")
    if "price_data" in params:
        api.find("product", params["price_data"]["product"], f"{param}[price_data][product]")
        price = make_price(api, {**params["price_data"], "active": False})
        if price["currency"] != code:
            message = f"Price currency {price['currency']} differs from the subscription's, {code}."
            raise StripeError(message, param=f"{param}[price_data][currency]")
    else:
        price = price_in(api, params["price"], code, f"{param}[price]", kind="recurring")
    recurring = price["recurring"]
    anchor = subscription["billing_cycle_anchor"]
    interval, count = recurring["interval"], recurring["interval_count"]
    trial_end = subscription["trial_end"] if subscription["status"] == "trialing" else None
    return api.blank(
        "subscription_item",
        subscription=subscription["id"],
        quantity=params.get("quantity", 1),
        metadata=merge_metadata({}, params.get("metadata")),
        current_period_start=api.now,
        current_period_end=trial_end or period_end(anchor, interval, count, api.now),
        _price=price["id"],
        _interval=(interval, count),
    )


def check_intervals(items: list[Obj]) -> None:
    if len({item["_interval"] for item in items}) > 1:
        message = "This emulator bills subscriptions whose items share one interval only."
        raise StripeError(message, param="items", validation=True)
    if len({item["_price"] for item in items}) != len(items):
        message = "Cannot add multiple subscription items with the same price."
        raise StripeError(message, param="items")


def keep_item(api: Api, subscription: Obj, item: Obj) -> None:
    api.world.add(item)
    subscription["_items"].append(item["id"])


@dataclass(frozen=True)
class Change:
    """What an update does to one item: what it was and what it will be (None: not there)."""

    item: Obj
    before: Obj | None
    after: Obj | None


def plan_changes(api: Api, subscription: Obj, given: list[Params]) -> list[Change]:
    """The changes that an update's `items` ask for, checked and not made; raises StripeError."""
    current = {item["id"]: item for item in items_of(api.world, subscription)}
    changes = [
        _plan(api, subscription, current, each, f"items[{position}]") for position, each in enumerate(given)
    ]
    touched = {change.item["id"] for change in changes}
    kept = [item for item_id, item in current.items() if item_id not in touched]
    result = [*kept, *(change.after for change in changes if change.after is not None)]
    if not result:
        raise StripeError("A subscription must have at least one active plan.", param="items")
    check_intervals(result)
    return changes


def _plan(api: Api, subscription: Obj, current: dict[str, Obj], given: Params, param: str) -> Change:
    if "id" not in given:
        item = make_item(api, subscription, given, param)
        first = next(iter(current.values()))
        item.update({name: first[name] for name in ("current_period_start", "current_period_end")})
        return Change(item, None, item)
    if given["id"] not in current:
        api.find("subscription_item", given["id"], f"{param}[id]")
        raise StripeError("The item belongs to another subscription.", param=f"{param}[id]")
    item = current[given["id"]]
    if given.get("deleted"):
        return Change(item, dict(item), None)
    after = dict(item)
    if "price" in given:
        price = price_in(api, given["price"], subscription["currency"], f"{param}[price]", kind="recurring")
        after["_price"] = price["id"]
        after["_interval"] = (price["recurring"]["interval"], price["recurring"]["interval_count"])
        if after["_interval"] != item["_interval"]:
            message = "This emulator keeps a subscription's interval: cancel it and create another."
            raise StripeError(message, param=f"{param}[price]", validation=True)
    after["quantity"] = given.get("quantity", item["quantity"])
    after["metadata"] = merge_metadata(item["metadata"], given.get("metadata", {}))
    return Change(item, dict(item), after)


def make_changes(api: Api, subscription: Obj, changes: list[Change]) -> None:
    """Make planned changes."""
    for change in changes:
        if change.before is None:
            keep_item(api, subscription, change.item)
        elif change.after is None:
            subscription["_items"].remove(change.item["id"])
            change.item["_deleted"] = True
        else:
            change.item.update(change.after)
