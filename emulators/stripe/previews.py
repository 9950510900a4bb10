"""Invoice previews: computed, never stored."""

from __future__ import annotations

from emulators.stripe.api import Api
from emulators.stripe.customers import fix_currency
from emulators.stripe.drafts import new_item, sync_customer
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.lines import ITEM, fill_item, line_of
from emulators.stripe.model import Obj, Operation, Params
from emulators.stripe.params import EXPAND, boolean, currency, hash_of, list_of, required, text
from emulators.stripe.totals import check_tax_location, retotal

PREVIEW_ITEM = hash_of(
    **{name: spec for name, spec in ITEM.items() if name != "pricing"}, currency=currency(), price=text()
)


def preview(api: Api, ids: list[str], params: Params) -> Obj:
    """What an invoice of the given items would come to for this customer, tax included."""
    del ids
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = api.find("customer", params["customer"], "customer")
    items = params.get("invoice_items") or []
    if not items:
        message = "No upcoming invoices for customer: " + customer["id"]
        raise StripeError(message, code="invoice_upcoming_none", param="invoice_items", status=404)
    code = _currency(api, params, items, customer)
    if customer["currency"] not in (None, code):
        fix_currency(api, customer, code)
    invoice = api.blank(
        "invoice", currency=code, customer=customer["id"], period_start=api.now, period_end=api.now
    )
    invoice.update(id=f"upcoming_{invoice['id']}", billing_reason="upcoming", _lines=[])
    if "automatic_tax" in params:
        invoice["automatic_tax"] |= params["automatic_tax"]
    sync_customer(invoice, customer)
    check_tax_location(invoice, customer)
    scratch = api.rehearsal()
    lines = []
    for position, given in enumerate(items):
        each = dict(given)
        each.pop("currency", None)
        if "price" in each:
            each["pricing"] = {"price": each.pop("price")}
        item = new_item(scratch, customer["id"], code, each)
        fill_item(scratch, item, each, code, f"invoice_items[{position}]")
        lines.append(line_of(scratch, item, invoice["id"]))
    retotal(api, invoice, lines)
    invoice["_preview_lines"] = lines
    return invoice


def _currency(api: Api, params: Params, items: list[Params], customer: Obj) -> str:
    first = items[0]
    if "price" in first and "currency" not in params and "currency" not in first:
        return str(api.find("price", first["price"], "invoice_items[0][price]")["currency"])
    given = params.get("currency") or first.get("currency") or (first.get("price_data") or {}).get("currency")
    return str(given or customer["currency"] or api.settings.default_currency)


PREVIEW = Operation(
    "POST",
    "invoices/create_preview",
    preview,
    {
        "automatic_tax": hash_of(enabled=required(boolean())),
        "currency": currency(),
        "customer": text(),
        "expand": EXPAND,
        "invoice_items": list_of(PREVIEW_ITEM, limit=250),
    },
    "invoice_read",
    "invoice_create_preview",
)
