"""Events as an older API version showed them: endpoints keep the version that they were made with.

Before 2025-03-31 (basil) invoices named their subscription, payment intent and charge, and subscriptions their period:
https://docs.stripe.com/changelog/basil.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulators.stripe.model import Obj, clone

if TYPE_CHECKING:
    from emulators.stripe.world import World

BASIL = "2025-03-31"


def in_version(world: World, version: str | None, event: Obj) -> Obj:
    """The event as that version shows it; None is the emulator's own."""
    if version is None or version >= BASIL:
        return event if version is None else {**event, "api_version": version}
    data = dict(event["data"])
    shape = _SHAPES.get(data["object"]["object"])
    if shape is not None:
        data["object"] = shape(world, clone(data["object"]))
    return {**event, "api_version": version, "data": data}


def _invoice(world: World, invoice: Obj) -> Obj:
    details = (invoice.pop("parent") or {}).get("subscription_details") or {}
    taxes = invoice.pop("total_taxes")
    intent = _intent_of(world, invoice["id"])
    for name in ("amount_overpaid", "amount_paid_off_stripe", "payments", "confirmation_secret"):
        invoice.pop(name, None)
    invoice.update(
        application_fee_amount=None,
        charge=intent["latest_charge"] if intent else None,
        discount=None,
        paid=invoice["status"] == "paid",
        paid_out_of_band=invoice["status"] == "paid" and (intent is None or intent["status"] == "canceled"),
        payment_intent=intent["id"] if intent else None,
        quote=None,
        subscription=details.get("subscription"),
        subscription_details={"metadata": details.get("metadata")},
        tax=sum(tax["amount"] for tax in taxes) if taxes else None,
        total_tax_amounts=[_tax_amount(tax) for tax in taxes],
        transfer_data=None,
    )
    invoice["lines"]["data"] = [_line(world, line) for line in invoice["lines"]["data"]]
    return invoice


def _line(world: World, line: Obj) -> Obj:
    parent = line.pop("parent") or {}
    item = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    pricing = line.pop("pricing") or {}
    price = world.get("price", (pricing.get("price_details") or {}).get("price") or "")
    taxes = line.pop("taxes")
    for name in ("subtotal", "quantity_decimal"):
        line.pop(name, None)
    of_subscription = parent.get("type") == "subscription_item_details"
    line.update(
        amount_excluding_tax=line["amount"],
        plan=None,
        price=world.render(price) if price else None,
        proration=bool(item.get("proration")),
        proration_details={"credited_items": None},
        subscription=item.get("subscription"),
        tax_amounts=[_tax_amount(tax) for tax in taxes],
        tax_rates=[],
        type="subscription" if of_subscription else "invoiceitem",
        unit_amount_excluding_tax=pricing.get("unit_amount_decimal"),
    )
    if of_subscription:
        line["subscription_item"] = item.get("subscription_item")
    return line


def _tax_amount(tax: Obj) -> Obj:
    kept = ("amount", "taxability_reason", "taxable_amount")
    inclusive = tax["tax_behavior"] == "inclusive"
    rate = tax["tax_rate_details"]["tax_rate"]
    return {**{name: tax[name] for name in kept}, "inclusive": inclusive, "tax_rate": rate}


def _subscription(world: World, subscription: Obj) -> Obj:
    del world
    items = subscription["items"]["data"]
    subscription.update(
        current_period_start=max((item["current_period_start"] for item in items), default=None),
        current_period_end=min((item["current_period_end"] for item in items), default=None),
        discount=None,
        plan=items[0]["plan"] if len(items) == 1 else None,
        quantity=items[0]["quantity"] if len(items) == 1 else None,
    )
    for name in ("billing_mode", "billing_schedules"):
        subscription.pop(name, None)
    for item in items:
        del item["current_period_start"], item["current_period_end"]
    return subscription


def _charge(world: World, charge: Obj) -> Obj:
    intent = world.get("payment_intent", charge["payment_intent"] or "") or {}
    return {**charge, "invoice": intent.get("_invoice")}


def _payment_intent(world: World, intent: Obj) -> Obj:
    return {**intent, "invoice": (world.get("payment_intent", intent["id"]) or {}).get("_invoice")}


def _credit_note(world: World, note: Obj) -> Obj:
    del world
    taxes = note.pop("total_taxes")
    refunds = note.pop("refunds")
    refund = refunds[0]["refund"] if refunds else None
    return {**note, "refund": refund, "tax_amounts": [_tax_amount(tax) for tax in taxes]}


def _intent_of(world: World, invoice_id: str) -> Obj | None:
    invoice = world.get("invoice", invoice_id) or {}
    return world.get("payment_intent", invoice.get("_payment_intent") or "")


_SHAPES: dict[str, Callable[[World, Obj], Obj]] = {
    "charge": _charge,
    "credit_note": _credit_note,
    "invoice": _invoice,
    "payment_intent": _payment_intent,
    "subscription": _subscription,
}
