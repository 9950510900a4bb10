"""The invoices of subscriptions: the first at once, then one for each period, by the clock."""

from __future__ import annotations

import contextlib
from decimal import ROUND_HALF_UP, Decimal

from emulators.stripe import invoice_states
from emulators.stripe.api import Api
from emulators.stripe.drafts import sync_customer, take_pending
from emulators.stripe.errors import StripeError, card_declined
from emulators.stripe.lines import unit_price
from emulators.stripe.model import Obj
from emulators.stripe.payment_methods import decline_of
from emulators.stripe.payments import pay_with
from emulators.stripe.periods import period_end
from emulators.stripe.prices import decimal_text
from emulators.stripe.subscription_fields import items_of
from emulators.stripe.subscription_pauses import trial_goes_on_paid
from emulators.stripe.subscription_states import subscription_of
from emulators.stripe.totals import check_tax_location, retotal

INCOMPLETE_SECONDS = 23 * 3600  # docs: an incomplete subscription expires after 23 hours


def bill_period(api: Api, subscription: Obj, reason: str) -> Obj:
    """The draft invoice of the items' current period, stored."""
    customer = api.find("customer", subscription["customer"], "customer")
    invoice = api.blank(
        "invoice",
        currency=subscription["currency"],
        customer=customer["id"],
        collection_method=subscription["collection_method"],
        automatic_tax={
            **api.world.resources["invoice"].fields["automatic_tax"],
            "enabled": subscription["automatic_tax"]["enabled"],
        },
        auto_advance=True,
        billing_reason=reason,
        period_start=api.now,
        period_end=api.now,
        parent={
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        _lines=[],
        _days_until_due=subscription["days_until_due"],
    )
    check_tax_location(invoice, customer)
    sync_customer(invoice, customer)
    if reason == "subscription_cycle":
        take_pending(api, invoice)
    for item in items_of(api.world, subscription):
        line = api.world.add(_line(api, subscription, item, invoice["id"]))
        invoice["_lines"].append(line["id"])
    retotal(api, invoice)
    return api.store(invoice, "invoice.created")


def _line(api: Api, subscription: Obj, item: Obj, invoice_id: str) -> Obj:
    price = api.world.tables["price"][item["_price"]]
    unit = Decimal(0) if subscription.get("_trial") else unit_price(price, subscription["currency"])
    amount = int((unit * item["quantity"]).quantize(Decimal(1), ROUND_HALF_UP))
    product = api.world.tables["product"][price["product"]]
    return api.blank(
        "line_item",
        amount=amount,
        currency=subscription["currency"],
        description=_wording(item, product, price, unit),
        invoice=invoice_id,
        metadata=dict(subscription["metadata"]),
        parent={
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        pricing={
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": decimal_text(unit),
        },
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
        subtotal=amount,
        subscription=subscription["id"],
        _tax_behavior=price["tax_behavior"],
        _item=None,
    )


def _wording(item: Obj, product: Obj, price: Obj, unit: Decimal) -> str:
    return (
        f"{item['quantity']} × {product['name']} (at {decimal_text(unit)} / {price['recurring']['interval']})"
    )


def refuse_unless_payable(api: Api, subscription: Obj, customer: Obj) -> None:
    """`error_if_incomplete`: raises StripeError 402, before anything is made, when payment would fail."""
    if subscription["collection_method"] == "send_invoice":
        return
    name = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    method = api.world.get("payment_method", name or "")
    if method is None:
        message = "This customer has no attached payment source or default payment method."
        raise StripeError(message, code="resource_missing", status=402)
    decline = decline_of(method, api.now)
    if decline is not None:
        raise card_declined(decline)


def first_payment(api: Api, subscription: Obj, invoice: Obj, behavior: str) -> None:
    """Finalize the first invoice and try to collect it, unless `payment_behavior` is default_incomplete."""
    sends = subscription["collection_method"] == "send_invoice"
    invoice_states.finalize(api, invoice, {"auto_advance": sends})
    invoice["auto_advance"] = invoice["status"] == "open"
    if invoice["status"] == "open" and not sends and behavior != "default_incomplete":
        with contextlib.suppress(StripeError):  # a decline leaves it incomplete; there may be no card at all
            pay_with(api, invoice, None)
    if subscription["status"] == "incomplete":
        api.later(INCOMPLETE_SECONDS, lambda later: _expire(later, subscription, invoice))


def _expire(api: Api, subscription: Obj, invoice: Obj) -> None:
    if subscription["status"] != "incomplete":
        return
    if invoice["status"] == "open":
        invoice_states.void(api, invoice, {})
    event = "customer.subscription.updated"
    api.change(subscription, event, "updated", status="incomplete_expired", ended_at=api.now)


def watch_period_end(api: Api, subscription: Obj) -> None:
    """Renew, or cancel where asked for, when the current period ends."""
    ends = _ends(api, subscription)
    api.later(max(0, ends - api.now), lambda later: _period_over(later, subscription, ends))


def _ends(api: Api, subscription: Obj) -> int:
    return int(min(item["current_period_end"] for item in items_of(api.world, subscription)))


def _period_over(api: Api, subscription: Obj, planned: int) -> None:
    if planned != _ends(api, subscription):
        return  # it was paused meanwhile, and another period began
    if subscription["status"] == "trialing" and not subscription["cancel_at_period_end"]:
        if not trial_goes_on_paid(api, subscription):
            return
    elif subscription["status"] == "trialing":
        subscription["status"] = "active"
    if subscription["status"] not in ("active", "past_due"):
        return
    if subscription["cancel_at_period_end"]:
        event = "customer.subscription.deleted"
        api.change(subscription, event, "canceled", status="canceled", ended_at=api.now)
        return
    for item in items_of(api.world, subscription):
        interval, count = item["_interval"]
        start = item["current_period_end"]
        item["current_period_start"] = start
        item["current_period_end"] = period_end(subscription["billing_cycle_anchor"], interval, count, start)
    invoice = bill_period(api, subscription, "subscription_cycle")
    api.change(subscription, "customer.subscription.updated", "updated", latest_invoice=invoice["id"])
    wait = api.settings.auto_finalize_seconds
    invoice["automatically_finalizes_at"] = api.now + int(wait)
    api.later(wait, lambda later: _finalize_renewal(later, invoice))
    watch_period_end(api, subscription)


def _finalize_renewal(api: Api, invoice: Obj) -> None:
    if invoice["status"] == "draft" and invoice["auto_advance"] and not invoice.get("_deleted"):
        subscription = subscription_of(api, invoice) or {}
        paused = (subscription.get("pause_collection") or {}).get("behavior")
        if paused is not None:
            invoice["auto_advance"] = False
        if paused != "keep_as_draft":
            invoice_states.finalize_quietly(api, invoice)
        if paused == "void" and invoice["status"] == "open":
            invoice_states.void(api, invoice, {})
        if paused == "mark_uncollectible" and invoice["status"] == "open":
            invoice_states.mark_uncollectible(api, invoice, {})
