"""Prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.errors import StripeError, missing_parameter, only_one_of
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    boolean,
    choice,
    created_range,
    currency,
    decimal,
    hash_of,
    integer,
    list_of,
    mapping_of,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.world import World

TAX_BEHAVIOR = choice("exclusive", "inclusive", "unspecified")
INTERVAL = choice("day", "month", "week", "year")
AMOUNTS: dict[str, Spec] = {"unit_amount": integer(0, 99_999_999), "unit_amount_decimal": decimal(minimum=0)}
RECURRING = hash_of(
    interval=required(INTERVAL),
    interval_count=integer(1),
    trial_period_days=integer(0),
    usage_type=choice("licensed", "metered"),
)
CURRENCY_OPTIONS = mapping_of(hash_of(**AMOUNTS, tax_behavior=TAX_BEHAVIOR))
PRICE_UPDATE: dict[str, Spec] = {
    "active": boolean(),
    "currency_options": unsettable(CURRENCY_OPTIONS),
    "lookup_key": text(200),
    "metadata": metadata(),
    "nickname": unsettable(text()),
    "tax_behavior": TAX_BEHAVIOR,
    "transfer_lookup_key": boolean(),
}
PRICE_CREATE: dict[str, Spec] = {
    **PRICE_UPDATE,
    **AMOUNTS,
    "billing_scheme": choice("per_unit"),
    "currency": required(currency()),
    "currency_options": CURRENCY_OPTIONS,
    "product": text(),
    "product_data": hash_of(
        active=boolean(),
        id=text(),
        metadata=metadata(),
        name=required(text()),
        statement_descriptor=text(22),
        tax_code=text(),
        unit_label=text(12),
    ),
    "recurring": RECURRING,
}


def decimal_text(number: Decimal) -> str:
    """A plain decimal string without trailing zeros, as `unit_amount_decimal` is emitted."""
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def unit_amounts(params: Params, prefix: str = "") -> dict[str, Any]:
    """`unit_amount` and `unit_amount_decimal` from whichever was given; StripeError for both or none."""
    whole, exact = params.get("unit_amount"), params.get("unit_amount_decimal")
    if (whole is None) == (exact is None):
        if whole is None:
            raise missing_parameter(f"{prefix}[unit_amount]" if prefix else "unit_amount")
        raise only_one_of(["unit_amount", "unit_amount_decimal"], prefix or "unit_amount")
    value: Decimal = Decimal(str(whole)) if exact is None else exact
    in_units = value == value.to_integral_value()
    return {
        "unit_amount": int(value) if in_units else None,
        "unit_amount_decimal": decimal_text(value),
    }


def make_price(api: Api, params: Params) -> Obj:
    product_data = params.pop("product_data", None)
    if (product_data is None) == ("product" not in params):
        if product_data is None:
            raise missing_parameter("product")
        raise only_one_of(["product", "product_data"], "product")
    options = params.pop("currency_options", None) or {}
    for code, option in options.items():
        option.update(unit_amounts(option, f"currency_options[{code}]"))
    values = {**params, **unit_amounts(params)}
    if product_data is None:
        api.find("product", params["product"], "product")
    _lookup_key_holder(api, values)
    if product_data is not None:
        from emulators.stripe.products import make_product  # products make prices too

        values["product"] = make_product(api, product_data)["id"]
    _take_lookup_key(api, values)
    price = api.blank("price")
    price.update(merged(price, values))
    recurring = params.get("recurring")
    if recurring is not None:
        blank = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
        price.update(type="recurring", recurring={**blank, **recurring})
    price["_currency_options"] = options
    return api.store(price, "price.created")


def _lookup_key_holder(api: Api, values: Params, own_id: str | None = None) -> Obj | None:
    """Another price with that lookup key; raises StripeError unless it is to be transferred."""
    key = values.get("lookup_key")
    if key is None:
        return None
    for other in api.world.all("price"):
        if other["lookup_key"] == key and other["id"] != own_id:
            if not values.get("transfer_lookup_key"):
                message = f"A price (`{other['id']}`) already uses that lookup key."
                raise StripeError(message, param="lookup_key")
            return other
    return None


def _take_lookup_key(api: Api, values: Params, own_id: str | None = None) -> None:
    holder = _lookup_key_holder(api, values, own_id)
    values.pop("transfer_lookup_key", None)
    if holder is not None:
        api.change(holder, "price.updated", "updated", lookup_key=None)


def change_price(api: Api, price: Obj, params: Params) -> Obj:
    options = params.pop("currency_options", None) or {}
    for code, option in options.items():
        option.update(unit_amounts(option, f"currency_options[{code}]"))
    _take_lookup_key(api, params, price["id"])
    values = merged(price, params)
    values["_currency_options"] = {**price["_currency_options"], **options}
    return api.change(price, "price.updated", "updated", **values)


def currency_options(world: World, price: Obj) -> Obj:
    """Every currency of the price, its own included, as it shows when expanded."""
    del world
    own = {name: price[name] for name in ("unit_amount", "unit_amount_decimal", "tax_behavior")}
    blank = {"custom_unit_amount": None, "tax_behavior": "unspecified"}
    every = {price["currency"]: own, **price["_currency_options"]}
    return {code: {**blank, **option} for code, option in every.items()}


def _recurring_like(price: Obj, wanted: Any) -> bool:
    return price["recurring"] is not None and all(
        price["recurring"].get(name) == value for name, value in wanted.items()
    )


PRICE = Resource(
    name="price",
    path="prices",
    prefix="price_",
    fields={
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": "",
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
    expandable={"product": "product"},
    includable={"currency_options": currency_options, "tiers": lambda _world, _price: None},
    searchable=frozenset({"active", "currency", "lookup_key", "metadata", "product", "type"}),
    operations=(
        crud.create("prices", "plan", make_price, PRICE_CREATE, "price_create"),
        crud.retrieve("prices", "plan", "price", "price_retrieve"),
        crud.update("prices", "plan", "price", PRICE_UPDATE, "price_update", change_price),
        crud.searching("prices", "plan", "price", "price_search"),
        crud.listing(
            "prices",
            "plan",
            "price",
            "price_list",
            {
                "active": boolean(),
                "created": created_range(),
                "currency": currency(),
                "lookup_keys": list_of(text(), limit=10),
                "product": text(),
                "recurring": hash_of(interval=INTERVAL, usage_type=choice("licensed", "metered")),
                "type": choice("one_time", "recurring"),
            },
            {"lookup_keys": lambda obj, value: obj["lookup_key"] in value, "recurring": _recurring_like},
        ),
    ),
)
