"""Prorations: what a change within a period costs or gives back, by the second."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from emulators.stripe import invoice_states
from emulators.stripe.api import Api
from emulators.stripe.drafts import attach, sync_customer
from emulators.stripe.invoice_fields import INVOICE_FIELDS
from emulators.stripe.lines import unit_price
from emulators.stripe.model import Obj
from emulators.stripe.prices import decimal_text
from emulators.stripe.subscription_items import Change
from emulators.stripe.totals import retotal


def prorate(api: Api, subscription: Obj, changes: list[Change]) -> list[Obj]:
    """Pending invoice items for the rest of the period: the old price back, the new one charged."""
    items = []
    for change in changes:
        before, after = change.before, change.after
        if before is not None and after is not None and _same(before, after):
            continue
        if before is not None:
            items.append(_item(api, subscription, before, credit=True))
        if after is not None:
            items.append(_item(api, subscription, after, credit=False))
    for item in items:
        api.store(item, "invoiceitem.created")
    return items


def _same(before: Obj, after: Obj) -> bool:
    return all(before[name] == after[name] for name in ("_price", "quantity"))


def _item(api: Api, subscription: Obj, item: Obj, *, credit: bool) -> Obj:
    price = api.world.tables["price"][item["_price"]]
    product = api.world.tables["product"][price["product"]]
    unit = unit_price(price, subscription["currency"])
    start, end = item["current_period_start"], item["current_period_end"]
    exact = unit * item["quantity"] * (end - api.now) / (end - start)
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    return api.blank(
        "invoiceitem",
        amount=-amount if credit else amount,
        currency=subscription["currency"],
        customer=subscription["customer"],
        date=api.now,
        description=f"{'Unused' if credit else 'Remaining'} time on {item['quantity']} × {product['name']}",
        discountable=False,
        parent={
            "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
            "type": "subscription_details",
        },
        period={"start": api.now, "end": end},
        pricing={
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": decimal_text(-unit if credit else unit),
        },
        proration=True,
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
        _tax_behavior=price["tax_behavior"],
    )


def bill_now(api: Api, subscription: Obj, items: list[Obj]) -> Obj | None:
    """`always_invoice`: an invoice of the prorations, finalized and collected at once."""
    if not items:
        return None
    customer = api.find("customer", subscription["customer"], "customer")
    invoice = api.blank(
        "invoice",
        auto_advance=True,
        automatic_tax={
            **INVOICE_FIELDS["automatic_tax"],
            "enabled": subscription["automatic_tax"]["enabled"],
        },
        billing_reason="subscription_update",
        collection_method=subscription["collection_method"],
        currency=subscription["currency"],
        customer=customer["id"],
        parent={
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        period_end=api.now,
        period_start=api.now,
        _days_until_due=subscription["days_until_due"],
        _lines=[],
    )
    sync_customer(invoice, customer)
    attach(api, invoice, items)
    retotal(api, invoice)
    api.store(invoice, "invoice.created")
    invoice_states.finalize(api, invoice, {})
    return invoice
