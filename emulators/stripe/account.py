"""The account, its events and its webhook endpoints."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.errors import StripeError, no_such, only_one_of
from emulators.stripe.events import API_VERSION
from emulators.stripe.model import Obj, Operation, Params, Resource
from emulators.stripe.old_shapes import in_version
from emulators.stripe.params import (
    EXPAND,
    Spec,
    boolean,
    choice,
    created_range,
    list_of,
    metadata,
    required,
    text,
    unsettable,
)
from emulators.stripe.world import ACCOUNT_ID, token

ENDPOINTS = "webhook_endpoints"
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
EVENTS_KEPT_SECONDS = 30 * 86400  # List Events reaches 30 days back (docs.stripe.com/api/events/list)


def account(api: Api, ids: list[str], params: Params) -> Obj:
    """The one account; raises StripeError 403 for another account's id, as Stripe does."""
    del params
    if ids and ids[0] != ACCOUNT_ID:
        message = (
            f"The provided key does not have access to account '{ids[0]}' (or that account does not exist)."
        )
        raise StripeError(message, code="account_invalid", status=403)
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {"name": "Emulator", "url": None, "support_email": None},
        "business_type": "company",
        "charges_enabled": True,
        "country": api.settings.account_country,
        "default_currency": api.settings.default_currency,
        "details_submitted": True,
        "email": "billing@emulator.example",
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Emulator", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def list_events(api: Api, ids: list[str], params: Params) -> Obj:
    del ids
    oldest = api.now - EVENTS_KEPT_SECONDS
    if "type" in params and "types" in params:
        raise only_one_of(["type", "types"], "types")
    patterns = params.get("types") or ([params["type"]] if "type" in params else ["*"])

    def fits(event: Obj) -> bool:
        delivered = params.get("delivery_success")
        return (
            event["created"] >= oldest
            and any(fnmatch.fnmatchcase(event["type"], pattern) for pattern in patterns)
            and ("created" not in params or crud.within(event["created"], params["created"]))
            and (delivered is None or (event["pending_webhooks"] == 0) is delivered)
        )

    listed = crud.page(api, api.world.all("event"), params, "/v1/events", "event", fits)
    version = api.settings.events_api_version
    return {**listed, "data": [in_version(api.world, version, event) for event in listed["data"]]}


def retrieve_event(api: Api, ids: list[str], params: Params) -> Obj:
    """Older than 30 days it is missing, as at Stripe (docs.stripe.com/api/events/retrieve)."""
    del params
    event = api.find("event", ids[0])
    if event["created"] < api.now - EVENTS_KEPT_SECONDS:
        raise no_such("event", ids[0], "id", in_path=True)
    return in_version(api.world, api.settings.events_api_version, event)


EVENT = Resource(
    name="event",
    path="events",
    prefix="evt_",
    fields={"api_version": API_VERSION, "data": {}, "pending_webhooks": 0, "request": None, "type": ""},
    operations=(
        Operation("GET", "events/{id}", retrieve_event, {"expand": EXPAND}, "event_read", "event_retrieve"),
        crud.lister(
            "events",
            "event",
            list_events,
            {
                "created": created_range(),
                "delivery_success": boolean(),
                "type": text(),
                "types": list_of(text(), limit=20),
            },
            "event_list",
        ),
    ),
)
ACCOUNT_OPERATIONS = (
    Operation(
        "GET", "account", account, {"expand": EXPAND}, "accounts_kyc_basic_read", "account_retrieve_current"
    ),
    Operation(
        "GET", "accounts/{id}", account, {"expand": EXPAND}, "accounts_kyc_basic_read", "account_retrieve"
    ),
)

ENDPOINT_WRITE: dict[str, Spec] = {
    "description": unsettable(text()),
    "enabled_events": list_of(text()),
    "metadata": metadata(),
    "url": text(),
}


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise StripeError(
            "Invalid URL: an explicit scheme (such as https) must be provided.",
            code="url_invalid",
            param="url",
            validation=True,
        )


def make_endpoint(api: Api, params: Params) -> Obj:
    """The secret shows in this one answer only. http is accepted: the emulator has receivers on loopback."""
    _check_url(params["url"])
    version = params.get("api_version", API_VERSION)
    if not VERSION.fullmatch(version) or version[:10] > API_VERSION[:10]:
        raise StripeError(f"Invalid Stripe API version: {version}", param="api_version", validation=True)
    secret = "whsec_" + token(32)
    endpoint = api.blank("webhook_endpoint", _secret=secret, _reveal={"secret": secret})
    endpoint.update({**params, "metadata": merge_metadata({}, params.get("metadata"))})
    endpoint.pop("connect", None)
    return api.store(endpoint)


def change_endpoint(api: Api, endpoint: Obj, params: Params) -> Obj:
    values: dict[str, Any] = dict(params)
    if "url" in values:
        _check_url(values["url"])
    if "metadata" in values:
        values["metadata"] = merge_metadata(endpoint["metadata"], values["metadata"])
    disabled = values.pop("disabled", None)
    if disabled is not None:
        values["status"] = "disabled" if disabled else "enabled"
    return api.change(endpoint, None, "updated", **values)


def remove_endpoint(api: Api, endpoint: Obj, params: Params) -> Obj:
    del params
    return api.remove(endpoint, None)


WEBHOOK_ENDPOINT = Resource(
    name="webhook_endpoint",
    path=ENDPOINTS,
    prefix="we_",
    noun="webhook endpoint",
    fields={
        "api_version": None,
        "application": None,
        "description": None,
        "enabled_events": [],
        "metadata": {},
        "status": "enabled",
        "url": "",
    },
    operations=(
        crud.create(
            ENDPOINTS,
            "webhook",
            make_endpoint,
            {
                **ENDPOINT_WRITE,
                "api_version": text(),
                "connect": choice("false"),
                "enabled_events": required(list_of(text())),
                "url": required(text()),
            },
            "webhook_endpoint_create",
        ),
        crud.retrieve(ENDPOINTS, "webhook", "webhook_endpoint", "webhook_endpoint_retrieve"),
        crud.update(
            ENDPOINTS,
            "webhook",
            "webhook_endpoint",
            {**ENDPOINT_WRITE, "disabled": boolean()},
            "webhook_endpoint_update",
            change_endpoint,
        ),
        crud.delete(ENDPOINTS, "webhook", "webhook_endpoint", remove_endpoint, "webhook_endpoint_delete"),
        crud.listing(ENDPOINTS, "webhook", "webhook_endpoint", "webhook_endpoint_list", {}),
    ),
)
