"""Every field of an invoice, a line and an invoice item, with their defaults and relations."""

from __future__ import annotations

from typing import Any

from emulators.stripe.drafts import sync_customer
from emulators.stripe.model import Obj, Resource
from emulators.stripe.world import World

SHOWN_LINES = 10  # an invoice embeds the first page of its lines
INVOICE_FIELDS: dict[str, Any] = {
    "account_country": "US",
    "account_name": "Emulator",
    "account_tax_ids": None,
    "amount_due": 0,
    "amount_overpaid": 0,
    "amount_paid": 0,
    "amount_paid_off_stripe": 0,
    "amount_remaining": 0,
    "amount_shipping": 0,
    "application": None,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": False,
    "automatic_tax": {
        "disabled_reason": None,
        "enabled": False,
        "liability": None,
        "provider": None,
        "status": None,
    },
    "automatically_finalizes_at": None,
    "billing_reason": "manual",
    "collection_method": "charge_automatically",
    "currency": "usd",
    "custom_fields": None,
    "customer": None,
    "customer_address": None,
    "customer_email": None,
    "customer_name": None,
    "customer_phone": None,
    "customer_shipping": None,
    "customer_tax_exempt": "none",
    "customer_tax_ids": [],
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "due_date": None,
    "effective_at": None,
    "ending_balance": None,
    "footer": None,
    "from_invoice": None,
    "hosted_invoice_url": None,
    "invoice_pdf": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "metadata": {},
    "next_payment_attempt": None,
    "number": None,
    "on_behalf_of": None,
    "parent": None,
    "payment_settings": {
        "default_mandate": None,
        "payment_method_options": None,
        "payment_method_types": None,
    },
    "period_end": 0,
    "period_start": 0,
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "starting_balance": 0,
    "statement_descriptor": None,
    "status": "draft",
    "status_transitions": {
        "finalized_at": None,
        "marked_uncollectible_at": None,
        "paid_at": None,
        "voided_at": None,
    },
    "subtotal": 0,
    "subtotal_excluding_tax": 0,
    "test_clock": None,
    "total": 0,
    "total_discount_amounts": [],
    "total_excluding_tax": 0,
    "total_pretax_credit_amounts": [],
    "total_taxes": [],
    "webhooks_delivered_at": None,
}
EXPANDABLE = {
    "customer": "customer",
    "default_payment_method": "payment_method",
    "parent.subscription_details.subscription": "subscription",
}


def payments(world: World, invoice: Obj) -> Obj:
    found = [each for each in world.tables["invoice_payment"].values() if each["invoice"] == invoice["id"]]
    data = [world.render(each) for each in found]
    return {"object": "list", "data": data, "has_more": False, "url": "/v1/invoice_payments"}


def confirmation_secret(world: World, invoice: Obj) -> Obj | None:
    intent = world.get("payment_intent", invoice.get("_payment_intent") or "")
    return None if intent is None else {"client_secret": intent["client_secret"], "type": "payment_intent"}


HOLDS = {"lines.data": "line_item", "payments.data": "invoice_payment"}
INCLUDABLE = {"payments": payments, "confirmation_secret": confirmation_secret}


def present(world: World, invoice: Obj, out: Obj) -> None:
    """Embed the first lines; while a draft, follow the customer."""
    if invoice["status"] == "draft":
        customer = world.get("customer", invoice["customer"])
        if customer is not None and not customer.get("_deleted"):
            sync_customer(out, customer)
    stored = [world.get("line_item", line_id) for line_id in invoice["_lines"][:SHOWN_LINES]]
    lines = invoice.get("_preview_lines") or [line for line in stored if line is not None]
    out["lines"] = {
        "object": "list",
        "data": [world.render(line) for line in lines],
        "has_more": len(invoice["_lines"]) > SHOWN_LINES,
        "url": f"/v1/invoices/{invoice['id']}/lines",
    }


LINE_ITEM = Resource(
    name="line_item",
    path="lines",
    prefix="il_",
    created=False,
    noun="line item",
    fields={
        "amount": 0,
        "currency": "usd",
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "metadata": {},
        "parent": None,
        "period": {"end": 0, "start": 0},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subtotal": 0,
        "taxes": [],
    },
    expandable={"pricing.price_details.price": "price"},
)
