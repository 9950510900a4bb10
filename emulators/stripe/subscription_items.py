"""The items of subscriptions."""

from __future__ import annotations

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
    return api.blank(
        "subscription_item",
        subscription=subscription["id"],
        quantity=params.get("quantity", 1),
        metadata=merge_metadata({}, params.get("metadata")),
        current_period_start=api.now,
        current_period_end=period_end(anchor, recurring["interval"], recurring["interval_count"], api.now),
        _price=price["id"],
        _interval=(recurring["interval"], recurring["interval_count"]),
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


def change_items(api: Api, subscription: Obj, given: list[Params]) -> None:
    for position, each in enumerate(given):
        param = f"items[{position}]"
        if "id" not in each:
            keep_item(api, subscription, make_item(api, subscription, each, param))
            continue
        if each["id"] not in subscription["_items"]:
            api.find("subscription_item", each["id"], f"{param}[id]")
            raise StripeError("The item belongs to another subscription.", param=f"{param}[id]")
        item = api.world.tables["subscription_item"][each["id"]]
        if each.get("deleted"):
            if len(subscription["_items"]) == 1:
                raise StripeError("A subscription must have at least one active plan.", param=param)
            subscription["_items"].remove(item["id"])
            item["_deleted"] = True
            continue
        if "price" in each:
            price = price_in(
                api, each["price"], subscription["currency"], f"{param}[price]", kind="recurring"
            )
            item["_price"] = price["id"]
        item["quantity"] = each.get("quantity", item["quantity"])
        item["metadata"] = merge_metadata(item["metadata"], each.get("metadata", {}))
