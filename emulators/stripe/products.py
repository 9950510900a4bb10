"""Products."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    boolean,
    choice,
    currency,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.prices import (
    AMOUNTS,
    CURRENCY_OPTIONS,
    INTERVAL,
    TAX_BEHAVIOR,
    make_price,
    unit_amounts,
)

PRODUCT_WRITE: dict[str, Spec] = {
    "active": boolean(),
    "description": unsettable(text()),
    "images": unsettable(list_of(text(), limit=8)),
    "metadata": metadata(),
    "name": text(),
    "shippable": boolean(),
    "statement_descriptor": text(22),
    "tax_code": unsettable(text()),
    "unit_label": unsettable(text(12)),
    "url": unsettable(text()),
}
DEFAULT_PRICE_DATA = hash_of(
    **AMOUNTS,
    currency=required(currency()),
    currency_options=CURRENCY_OPTIONS,
    metadata=metadata(),
    recurring=hash_of(interval=required(INTERVAL), interval_count=integer(1)),
    tax_behavior=TAX_BEHAVIOR,
)


def make_product(api: Api, params: Params) -> Obj:
    price_data = params.pop("default_price_data", None)
    if price_data is not None:
        unit_amounts(price_data, "default_price_data")  # refused before the product is made
    product = api.blank("product", updated=api.now)
    if "id" in params and api.world.get("product", params["id"]) is not None:
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    product.update(merged(product, params))
    api.store(product, "product.created")
    if price_data is not None:
        price = make_price(api, {**price_data, "product": product["id"]})
        product["default_price"] = price["id"]
    return product


def change_product(api: Api, product: Obj, params: Params) -> Obj:
    if params.get("default_price"):
        api.find("price", params["default_price"], "default_price")
    values = merged(product, params)
    return api.change(product, "product.updated", "updated", **values, updated=api.now)


def remove_product(api: Api, product: Obj, params: Params) -> Obj:
    del params
    if any(price["product"] == product["id"] for price in api.world.all("price")):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise StripeError(message, param="id")
    return api.remove(product, "product.deleted")


PRODUCT = Resource(
    name="product",
    path="products",
    prefix="prod_",
    id_length=14,
    fields={
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "name": "",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 0,
        "url": None,
    },
    expandable={"default_price": "price"},
    searchable=frozenset({"active", "created", "description", "metadata", "name", "shippable", "url"}),
    operations=(
        crud.create(
            "products",
            "product",
            make_product,
            {
                **PRODUCT_WRITE,
                "name": required(text()),
                "id": text(),
                "default_price_data": DEFAULT_PRICE_DATA,
                "type": choice("service", "good"),
            },
            "product_create",
        ),
        crud.retrieve("products", "product", "product", "product_retrieve"),
        crud.update(
            "products",
            "product",
            "product",
            {**PRODUCT_WRITE, "default_price": text()},
            "product_update",
            change_product,
        ),
        crud.delete("products", "product", "product", remove_product, "product_delete"),
        crud.searching("products", "product", "product", "product_search"),
        crud.listing(
            "products",
            "product",
            "product",
            "product_list",
            {
                **crud.CREATED,
                "active": boolean(),
                "ids": list_of(text()),
                "shippable": boolean(),
                "url": text(),
            },
            {"ids": lambda obj, value: obj["id"] in value},
        ),
    ),
)
