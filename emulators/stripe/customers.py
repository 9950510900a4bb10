"""Customers."""

from __future__ import annotations

import secrets
from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    choice,
    country,
    email,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.world import World

PATH, PERMISSION = "customers", "customer"
NAME_LIMIT = 256  # the API answers longer names with 400
ADDRESS_FIELDS = {name: unsettable(text()) for name in ("city", "line1", "line2", "postal_code", "state")} | {
    "country": country()
}
ADDRESS = unsettable(hash_of(**ADDRESS_FIELDS))
SHIPPING = unsettable(
    hash_of(address=required(hash_of(**ADDRESS_FIELDS)), name=required(text()), phone=unsettable(text()))
)
CUSTOM_FIELDS = unsettable(list_of(hash_of(name=required(text(40)), value=required(text(140))), limit=4))
INVOICE_SETTINGS = hash_of(
    custom_fields=CUSTOM_FIELDS,
    default_payment_method=unsettable(text()),
    footer=unsettable(text()),
)
WRITE: dict[str, Spec] = {
    "address": ADDRESS,
    "balance": integer(),
    "business_name": unsettable(text(150)),
    "description": unsettable(text()),
    "email": email(),
    "individual_name": unsettable(text(150)),
    "invoice_prefix": text(12),
    "invoice_settings": INVOICE_SETTINGS,
    "metadata": metadata(),
    "name": unsettable(text(NAME_LIMIT)),
    "next_invoice_sequence": integer(1),
    "phone": unsettable(text(20)),
    "preferred_locales": list_of(text()),
    "shipping": SHIPPING,
    "tax_exempt": unsettable(choice("exempt", "none", "reverse")),
}
BLANK_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def full_address(address: Obj | None) -> Obj | None:
    """The address with every field, as Stripe shows it."""
    return None if address is None else {**BLANK_ADDRESS, **address}


def _settle(values: Params) -> Params:
    if "address" in values:
        values["address"] = full_address(values["address"])
    if values.get("shipping"):
        shipping = values["shipping"]
        values["shipping"] = {"phone": None, **shipping, "address": full_address(shipping["address"])}
    if values.get("tax_exempt", "none") is None:
        values["tax_exempt"] = "none"
    return values


def make(api: Api, params: Params) -> Obj:
    method = params.pop("payment_method", None)
    blank = api.blank("customer", invoice_prefix=secrets.token_hex(4).upper())
    blank.update(_settle(merged(blank, params)))
    if method is not None:
        from emulators.stripe.payment_methods import attach_to

        attach_to(api, api.find("payment_method", method, "payment_method"), blank["id"])
    return api.store(blank, "customer.created")


def change(api: Api, customer: Obj, params: Params) -> Obj:
    default = (params.get("invoice_settings") or {}).get("default_payment_method")
    if default is not None:
        name = "invoice_settings[default_payment_method]"
        method = api.find("payment_method", default, name)
        if method["customer"] != customer["id"]:
            message = "The customer does not have a payment method with the ID " + default
            raise StripeError(
                f"{message}. The payment method must be attached to the customer.",
                code="resource_missing",
                param=name,
            )
    return api.change(customer, "customer.updated", "updated", **_settle(merged(customer, params)))


def remove(api: Api, customer: Obj, params: Params) -> Obj:
    del params
    return api.remove(customer, "customer.deleted")


def tax(world: World, customer: Obj) -> Obj:
    del world
    code = (customer["address"] or {}).get("country")
    location = (
        {"country": code, "source": "billing_address", "state": customer["address"].get("state")}
        if code
        else None
    )
    return {
        "automatic_tax": "supported" if code else "unrecognized_location",
        "ip_address": None,
        "location": location,
        "provider": "stripe",
    }


def subscriptions(world: World, customer: Obj) -> Obj:
    found = [each for each in world.all("subscription") if each["customer"] == customer["id"]]
    url = f"/v1/customers/{customer['id']}/subscriptions"
    data = [world.render(each) for each in found if each["status"] != "canceled"]
    return {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}


def fix_currency(api: Api, customer: Obj, currency: str, param: str = "currency") -> None:
    """The first billing object fixes a customer's currency; another one is refused (StripeError)."""
    if customer["currency"] is None:
        api.change(customer, None, "updated", currency=currency)
    elif customer["currency"] != currency:
        message = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            "subscription schedule, discount, quote, or invoice item with currency "
            f"{customer['currency']}."
        )
        raise StripeError(message, param=param)


def _same_email(obj: Obj, value: Any) -> bool:
    return bool((obj["email"] or "") == value)


CUSTOMER = Resource(
    name="customer",
    path=PATH,
    prefix="cus_",
    id_length=14,
    fields={
        "address": None,
        "balance": 0,
        "business_name": None,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    },
    expandable={"invoice_settings.default_payment_method": "payment_method"},
    includable={"tax": tax, "subscriptions": subscriptions},
    holds={"subscriptions.data": "subscription"},
    searchable=frozenset({"created", "email", "metadata", "name", "phone"}),
    operations=(
        crud.create(PATH, PERMISSION, make, {**WRITE, "payment_method": text()}, "customer_create"),
        crud.retrieve(PATH, PERMISSION, "customer", "customer_retrieve"),
        crud.update(PATH, PERMISSION, "customer", WRITE, "customer_update", change),
        crud.delete(PATH, PERMISSION, "customer", remove, "customer_delete"),
        crud.searching(PATH, PERMISSION, "customer", "customer_search"),
        crud.listing(
            PATH,
            PERMISSION,
            "customer",
            "customer_list",
            {**crud.CREATED, "email": text()},
            {"email": _same_email},
        ),
    ),
)
