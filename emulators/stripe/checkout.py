"""Checkout sessions: made by the API, completed by the customer, who acts through the control API here."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.customers import fix_currency
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    choice,
    created_range,
    email,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
    timestamp,
)
from emulators.stripe.payment_methods import attach_to, resolve
from emulators.stripe.payments import charge, new_intent
from emulators.stripe.world import token

PATH, KIND = "checkout/sessions", "checkout.session"
OPEN_SECONDS = 86400  # docs.stripe.com/api/checkout/sessions/object: expires_at


def make(api: Api, params: Params) -> Obj:
    if "mode" not in params:
        raise missing_parameter("mode")
    if not params.get("line_items"):
        raise missing_parameter("line_items")
    if "customer" in params:
        api.find("customer", params["customer"], "customer")
    items = params.pop("line_items")
    prices = [
        api.find("price", item.get("price", ""), f"line_items[{at}][price]") for at, item in enumerate(items)
    ]
    wanted = "recurring" if params["mode"] == "subscription" else "one_time"
    if all(price["type"] != wanted for price in prices):
        message = f"You must provide at least one {wanted} price in `{params['mode']}` mode."
        raise StripeError(message, param="line_items")
    total = sum(
        (price["unit_amount"] or 0) * item.get("quantity", 1)
        for price, item in zip(prices, items, strict=True)
    )
    session = api.blank(KIND, expires_at=api.now + OPEN_SECONDS, _items=items)
    session["metadata"] = merge_metadata({}, params.pop("metadata", None))
    session.update(params, amount_subtotal=total, amount_total=total, currency=prices[0]["currency"])
    session["id"] = f"cs_{api.world.mode}_{token(58)}"
    session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
    api.later(session["expires_at"] - api.now, lambda later: _expire(later, session))
    return api.store(session)


def _expire(api: Api, session: Obj) -> None:
    if session["status"] == "open":
        api.change(session, "checkout.session.expired", "expired", status="expired", url=None)


def expire(api: Api, session: Obj, params: Params) -> Obj:
    del params
    if session["status"] != "open":
        raise StripeError(f"Only open sessions can be expired; this one is {session['status']}.")
    _expire(api, session)
    return session


def complete(api: Api, session: Obj, card: str = "pm_card_visa", address: str | None = None) -> Obj:
    """What the customer does on Stripe's page: pay with `card` (a test token), leaving an e-mail `address`.

    Raises StripeError when the card is declined; the session stays open then.
    """
    if session["status"] != "open":
        raise StripeError(f"This session is {session['status']}.")
    method = resolve(api, card, "payment_method")
    mail = address or session["customer_email"] or "payer@checkout.example"
    method["billing_details"] = {**method["billing_details"], "email": mail}
    subscribing = session["mode"] == "subscription"
    if session["customer"] is None and (subscribing or session["customer_creation"] == "always"):
        customer = api.store(api.blank("customer", email=mail), "customer.created")
        session["customer"] = customer["id"]
    made = _subscribe(api, session, method) if subscribing else _pay(api, session, method, mail)
    blank: Obj = dict.fromkeys(("address", "business_name", "individual_name", "name", "phone"))
    details = {**blank, "email": mail, "tax_exempt": "none", "tax_ids": []}
    done = {**made, "status": "complete", "payment_status": "paid", "url": None, "customer_details": details}
    return api.change(session, "checkout.session.completed", "completed", **done)


def _pay(api: Api, session: Obj, method: Obj, mail: str) -> Params:
    intent = new_intent(
        api,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        receipt_email=mail,
        metadata=dict(session["metadata"]),
    )
    if session["customer"]:
        fix_currency(api, api.find("customer", session["customer"], "customer"), session["currency"])
    api.store(intent, "payment_intent.created")
    error = charge(api, intent, method)
    if error is not None:
        raise error
    return {"payment_intent": intent["id"]}


def _subscribe(api: Api, session: Obj, method: Obj) -> Params:
    from emulators.stripe.subscriptions import make as subscribe

    attach_to(api, method, session["customer"])
    items = [
        {name: item[name] for name in ("price", "quantity") if name in item} for item in session["_items"]
    ]
    params = {
        "customer": session["customer"],
        "items": items,
        "default_payment_method": method["id"],
        "payment_behavior": "error_if_incomplete",
        "metadata": dict(session["metadata"]),
    }
    subscription = subscribe(api, params)
    return {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}


CHECKOUT_SESSION = Resource(
    name=KIND,
    path=PATH,
    prefix="cs_",
    noun="checkout.session",
    fields={
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": None,
        "client_reference_id": None,
        "currency": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer": None,
        "customer_creation": None,
        "customer_details": None,
        "customer_email": None,
        "expires_at": 0,
        "invoice": None,
        "locale": None,
        "metadata": {},
        "mode": "payment",
        "payment_intent": None,
        "payment_link": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "setup_intent": None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "success_url": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": None,
    },
    expandable={
        "customer": "customer",
        "invoice": "invoice",
        "payment_intent": "payment_intent",
        "subscription": "subscription",
    },
    operations=(
        crud.create(
            PATH,
            "checkout_session",
            make,
            {
                "cancel_url": text(),
                "client_reference_id": text(200),
                "customer": text(),
                "customer_creation": choice("always", "if_required"),
                "customer_email": email(),
                "expires_at": timestamp(),
                "line_items": list_of(hash_of(price=required(text()), quantity=integer(1))),
                "metadata": metadata(),
                "mode": choice("payment", "subscription"),
                "success_url": text(),
            },
            "checkout.session_create",
        ),
        crud.retrieve(PATH, "checkout_session", KIND, "checkout.session_retrieve"),
        crud.listing(
            PATH,
            "checkout_session",
            KIND,
            "checkout.session_list",
            {
                "created": created_range(),
                "customer": text(),
                "payment_intent": text(),
                "status": choice("complete", "expired", "open"),
                "subscription": text(),
            },
        ),
        crud.action(PATH, "expire", "checkout_session", KIND, expire, {}, "checkout.session_expire"),
    ),
)
