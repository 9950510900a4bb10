"""The customer portal: sessions that let one customer change the payment method on a page of Stripe's.

Stripe ends a session that nobody visits ("short-lived", without a figure); with `after_expiration` the customer may
recover it by e-mail. Here a page says which of the two it is after an hour; nothing can be changed on it.
"""

from __future__ import annotations

from html import escape

from emulators.stripe import crud
from emulators.stripe.api import Api
from emulators.stripe.errors import StripeError
from emulators.stripe.hosted_page import STYLE
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import choice, hash_of, required, text, timestamp
from emulators.stripe.world import World, token

PATH, KIND = "billing_portal/sessions", "billing_portal.session"
OPEN_SECONDS = 3600
_NOT_CONFIGURED = (
    "No configuration provided and your test mode default configuration has not been created. Provide a configuration "
    "or create your default by saving your customer portal settings in test mode at "
    "https://dashboard.stripe.com/test/settings/billing/portal."
)


def make(api: Api, params: Params) -> Obj:
    if not api.settings.portal_configured:
        raise StripeError(_NOT_CONFIGURED)
    customer = api.find("customer", params["customer"], "customer")
    session = api.blank(KIND, customer=customer["id"], return_url=params.get("return_url"))
    session["locale"] = params.get("locale")
    if "flow_data" in params:
        kind = params["flow_data"]["type"]
        session["flow"] = {
            "type": kind,
            "after_completion": {"type": "portal_homepage", "hosted_confirmation": None, "redirect": None},
            "customer_update": None,
            "subscription_cancel": None,
            "subscription_pause": None,
            "subscription_update": None,
            "subscription_update_confirm": None,
        }
    if "after_expiration" in params:
        login = params["after_expiration"].get("customer_login") or {}
        session["after_expiration"] = {
            "type": params["after_expiration"]["type"],
            "customer_login": {"expires_at": login.get("expires_at")},
        }
    session["_page"] = f"/p/session/{api.world.mode}_{token(40)}"
    session["url"] = f"{api.service.base_url}{session['_page']}"
    return api.store(session)


def session_at(world: World, path: str) -> Obj | None:
    """The session whose page has this path."""
    return next((each for each in world.tables[KIND].values() if each.get("_page") == path), None)


def page(world: World, session: Obj, now: int) -> str:
    """The page as HTML."""
    customer = world.get("customer", session["customer"]) or {}
    if now <= session["created"] + OPEN_SECONDS:
        said = "Here the customer would enter another payment method."
    elif session["after_expiration"]:
        said = "This session has expired. Here the customer would confirm an e-mail address and go on."
    else:
        said = "This session has expired."
    return (
        f"<!doctype html><meta charset=utf-8><title>Payment method</title><style>{STYLE}</style>"
        "<p class=note>This page is shown by a local emulator, not by Stripe. Nothing can be changed here.</p>"
        f"<h1>{escape(customer.get('name') or 'Your account')}</h1><p>{said}</p>"
    )


PORTAL_SESSION = Resource(
    name=KIND,
    path=PATH,
    prefix="bps_",
    noun="billing_portal session",
    fields={
        "after_expiration": None,
        "configuration": "bpc_default",
        "customer": "",
        "customer_account": None,
        "flow": None,
        "locale": None,
        "on_behalf_of": None,
        "return_url": None,
        "url": "",
    },
    operations=(
        crud.create(
            PATH,
            "customer_portal",
            make,
            {
                "after_expiration": hash_of(
                    type=required(choice("customer_login")), customer_login=hash_of(expires_at=timestamp())
                ),
                "customer": required(text()),
                "flow_data": hash_of(type=required(choice("payment_method_update"))),
                "locale": text(),
                "return_url": text(),
            },
            "billing_portal.session_create",
        ),
    ),
)
