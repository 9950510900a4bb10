"""Subscriptions and their items."""

from __future__ import annotations

from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.customers import fix_currency
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    Spec,
    boolean,
    choice,
    created_range,
    currency,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.prorations import bill_now, prorate
from emulators.stripe.subscription_billing import (
    bill_period,
    first_payment,
    refuse_unless_payable,
    watch_period_end,
)
from emulators.stripe.subscription_fields import (
    EXPANDABLE,
    ITEM_FIELDS,
    SUBSCRIPTION_FIELDS,
    items_of,
    present,
    present_item,
)
from emulators.stripe.subscription_items import (
    NEW_ITEM,
    check_intervals,
    currency_of,
    keep_item,
    make_changes,
    make_item,
    plan_changes,
)
from emulators.stripe.subscription_pauses import (
    PAUSE_COLLECTION,
    TRIAL,
    begin_trial,
    pause,
    resume,
    watch_trial,
)

PATH, KIND = "subscriptions", "subscription"
WRITE: dict[str, Spec] = {
    "automatic_tax": hash_of(enabled=required(boolean())),
    "cancel_at_period_end": boolean(),
    "collection_method": choice("charge_automatically", "send_invoice"),
    "days_until_due": integer(0),
    "default_payment_method": unsettable(text()),
    "description": unsettable(text(500)),
    "metadata": metadata(),
    "off_session": boolean(),
}
CREATE: dict[str, Spec] = {
    **WRITE,
    **TRIAL,
    "billing_mode": hash_of(type=required(choice("flexible"))),
    "currency": currency(),
    "customer": text(),
    "items": required(list_of(hash_of(**NEW_ITEM), limit=20)),
    "payment_behavior": choice("allow_incomplete", "default_incomplete", "error_if_incomplete"),
}
UPDATE: dict[str, Spec] = {
    **WRITE,
    "pause_collection": PAUSE_COLLECTION,
    "items": list_of(hash_of(**NEW_ITEM, id=text(), deleted=boolean()), limit=20),
    "proration_behavior": choice("create_prorations", "always_invoice", "none"),
}


def make(api: Api, params: Params) -> Obj:
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = api.find("customer", params["customer"], "customer")
    given, behavior = params.pop("items"), params.pop("payment_behavior", "allow_incomplete")
    for name in ("off_session", "billing_mode"):
        params.pop(name, None)
    if not given:
        raise missing_parameter("items")
    subscription = api.blank(KIND, billing_cycle_anchor=api.now, start_date=api.now, _items=[])
    begin_trial(api, subscription, params)
    _apply(api, subscription, params)
    code = params.get("currency") or currency_of(api, given[0], customer)
    subscription["currency"] = code
    items = [make_item(api, subscription, each, f"items[{at}]") for at, each in enumerate(given)]
    check_intervals(items)
    if behavior == "error_if_incomplete":
        refuse_unless_payable(api, subscription, customer)
    fix_currency(api, customer, code)
    api.world.add(subscription)
    for item in items:
        keep_item(api, subscription, item)
    invoice = bill_period(api, subscription, "subscription_create")
    subscription["latest_invoice"] = invoice["id"]
    paid_later = subscription["collection_method"] == "send_invoice" or invoice["total"] == 0
    if paid_later and subscription["status"] != "trialing":
        subscription["status"] = "active"
    api.touched(subscription, "created")
    api.emit("customer.subscription.created", subscription)
    first_payment(api, subscription, invoice, behavior)
    watch_trial(api, subscription)
    watch_period_end(api, subscription)
    return subscription


def _apply(api: Api, subscription: Obj, params: Params) -> None:
    if params.get("default_payment_method"):
        api.find("payment_method", params["default_payment_method"], "default_payment_method")
    subscription.update(merged(subscription, params))
    sends = subscription["collection_method"] == "send_invoice"
    if sends and subscription["days_until_due"] is None:
        message = "You must pass `days_until_due` when `collection_method` is `send_invoice`."
        raise StripeError(message, param="days_until_due")
    if not sends and params.get("days_until_due") is not None:
        message = "You can only set `days_until_due` if the `collection_method` is `send_invoice`."
        raise StripeError(message, param="days_until_due")


def change(api: Api, subscription: Obj, params: Params) -> Obj:
    if subscription["status"] in ("canceled", "incomplete_expired"):
        message = (
            f"A {subscription['status']} subscription can only update its cancellation_details and metadata."
        )
        raise StripeError(message)
    given = params.pop("items", [])
    proration = params.pop("proration_behavior", "create_prorations")
    params.pop("off_session", None)
    if "cancel_at_period_end" in params:
        ends = min(item["current_period_end"] for item in items_of(api.world, subscription))
        params["cancel_at"] = ends if params["cancel_at_period_end"] else None
        params["canceled_at"] = api.now if params["cancel_at_period_end"] else None
    trial = dict(subscription)
    _apply(api, trial, dict(params))
    changes = plan_changes(api, subscription, given)
    prorations = prorate(api, subscription, changes) if proration != "none" else []
    was = {"items": api.world.render(subscription)["items"]} if changes else {}
    make_changes(api, subscription, changes)
    values = merged(subscription, params)
    invoice = bill_now(api, subscription, prorations) if proration == "always_invoice" else None
    if invoice is not None:
        values["latest_invoice"] = invoice["id"]
    return api.change(subscription, "customer.subscription.updated", "updated", was=was, **values)


def cancel(api: Api, subscription: Obj, params: Params) -> Obj:
    del params
    if subscription["status"] == "canceled":
        raise StripeError(f"No such subscription: {subscription['id']}", code="resource_missing", status=404)
    event = "customer.subscription.deleted"
    details = {**subscription["cancellation_details"], "reason": "cancellation_requested"}
    return api.change(
        subscription,
        event,
        "canceled",
        status="canceled",
        canceled_at=api.now,
        ended_at=api.now,
        cancellation_details=details,
    )


def list_all(api: Api, ids: list[str], params: Params) -> Obj:
    del ids
    status = params.get("status")
    hidden = () if status == "all" else ("canceled", "incomplete_expired")

    def fits(obj: Obj) -> bool:
        if status in (None, "all"):
            seen = obj["status"] not in hidden
        elif status == "ended":
            seen = obj["status"] in hidden
        else:
            seen = obj["status"] == status
        price = params.get("price")
        return (
            seen
            and all(obj[name] == params[name] for name in ("customer", "collection_method") if name in params)
            and ("created" not in params or crud.within(obj["created"], params["created"]))
            and (price is None or any(item["_price"] == price for item in items_of(api.world, obj)))
        )

    return crud.page(api, api.world.all(KIND), params, "/v1/subscriptions", KIND, fits)


def list_items(api: Api, ids: list[str], params: Params) -> Obj:
    del ids
    subscription = api.find(KIND, params["subscription"], "subscription")
    found = items_of(api.world, subscription)
    return crud.page(api, found, params, "/v1/subscription_items", "subscription_item")


STATUSES = (
    *("active", "all", "canceled", "ended", "incomplete", "incomplete_expired"),
    *("past_due", "paused", "trialing", "unpaid"),
)
LIST: dict[str, Any] = {
    "collection_method": choice("charge_automatically", "send_invoice"),
    "created": created_range(),
    "customer": text(),
    "price": text(),
    "status": choice(*STATUSES),
}
SUBSCRIPTION = Resource(
    name=KIND,
    path=PATH,
    prefix="sub_",
    fields=SUBSCRIPTION_FIELDS,
    expandable=EXPANDABLE,
    holds={"items.data": "subscription_item"},
    present=present,
    searchable=frozenset({"created", "metadata", "status"}),
    operations=(
        crud.create(PATH, KIND, make, CREATE, "subscription_create"),
        crud.retrieve(PATH, KIND, KIND, "subscription_retrieve"),
        crud.update(PATH, KIND, KIND, UPDATE, "subscription_update", change),
        crud.action(PATH, "pause", KIND, KIND, pause, {"type": choice("subscription")}, "subscription_pause"),
        crud.action(PATH, "resume", KIND, KIND, resume, {}, "subscription_resume"),
        crud.delete(PATH, KIND, KIND, cancel, "subscription_cancel"),
        crud.searching(PATH, KIND, KIND, "subscription_search"),
        crud.lister(PATH, KIND, list_all, LIST, "subscription_list"),
    ),
)
SUBSCRIPTION_ITEM = Resource(
    name="subscription_item",
    path="subscription_items",
    prefix="si_",
    noun="subscription_item",
    livemode=False,
    fields=ITEM_FIELDS,
    holds={"price": "price"},
    present=present_item,
    operations=(
        crud.retrieve("subscription_items", KIND, "subscription_item", "subscription_item_retrieve"),
        crud.lister(
            "subscription_items",
            KIND,
            list_items,
            {"subscription": required(text())},
            "subscription_item_list",
        ),
    ),
)
