"""Invoice items of their own, pending or on a draft."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merged
from emulators.stripe.customers import fix_currency
from emulators.stripe.drafts import attach, check_count, must_be_draft, new_item
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.lines import ITEM, fill_item, line_of
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import boolean, created_range, currency, text
from emulators.stripe.totals import retotal

PATH, KIND = "invoiceitems", "invoiceitem"
PRICED = ("amount", "pricing", "price_data", "unit_amount_decimal")


def make(api: Api, params: Params) -> Obj:
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = api.find("customer", params["customer"], "customer")
    invoice = api.find("invoice", params["invoice"], "invoice") if "invoice" in params else None
    if invoice is not None:
        must_be_draft(invoice)
    code = _currency(api, params, invoice, customer)
    if invoice is not None:
        check_count(invoice, 1)
    trial = api.rehearsal()  # what is refused must leave no price behind and no currency fixed
    fill_item(trial, new_item(trial, customer["id"], code, params), params, code, "")
    fix_currency(api, customer, code)
    item = new_item(api, customer["id"], code, params)
    fill_item(api, item, params, code, "")
    api.store(item, "invoiceitem.created")
    if invoice is not None:
        attach(api, invoice, [item])
        retotal(api, invoice)
        api.change(invoice, "invoice.updated", "updated")
    return item


def _currency(api: Api, params: Params, invoice: Obj | None, customer: Obj) -> str:
    given = params.get("currency") or (params.get("price_data") or {}).get("currency")
    if invoice is not None:
        code: str = invoice["currency"]
        if given is not None and given != code:
            message = f"The currency of the invoice item ({given}) must match the invoice's ({code})."
            raise StripeError(message, param="currency")
        if invoice["customer"] != customer["id"]:
            raise StripeError("The invoice belongs to another customer.", param="invoice")
        return code
    if given is None and "pricing" in params:
        given = api.find("price", params["pricing"]["price"], "pricing[price]")["currency"]
    return str(given or customer["currency"] or api.settings.default_currency)


def change(api: Api, item: Obj, params: Params) -> Obj:
    invoice = api.world.get("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None:
        must_be_draft(invoice)
    plain = {
        name: value
        for name, value in params.items()
        if name in ("description", "discountable", "metadata", "period")
    }
    values = merged(item, plain)
    if "quantity" in params and not any(name in params for name in PRICED):
        if item["pricing"] is None:
            raise StripeError("You can only change the quantity of an item with a price.", param="quantity")
        params["unit_amount_decimal"] = api_decimal(item)
    if any(name in params for name in PRICED):
        trial = {**item}
        fill_item(api, trial, params, item["currency"], "")
        details = (trial["pricing"] or {}).get("price_details") or (item["pricing"] or {}).get(
            "price_details"
        )
        if trial["pricing"] is not None and "pricing" not in params and "price_data" not in params:
            trial["pricing"]["price_details"] = details
        values |= {name: trial[name] for name in ("amount", "quantity", "quantity_decimal", "pricing")}
    api.change(item, None, "updated", **values)  # Stripe has no invoiceitem.updated
    if invoice is not None:
        _renew_line(api, invoice, item)
    return item


def api_decimal(item: Obj) -> object:
    from decimal import Decimal

    return Decimal(item["pricing"]["unit_amount_decimal"])


def _renew_line(api: Api, invoice: Obj, item: Obj) -> None:
    for line_id in invoice["_lines"]:
        line = api.world.tables["line_item"][line_id]
        if line["_item"] == item["id"]:
            line.update({**line_of(api, item, invoice["id"]), "id": line_id})
    retotal(api, invoice)
    api.change(invoice, "invoice.updated", "updated")


def remove(api: Api, item: Obj, params: Params) -> Obj:
    del params
    invoice = api.world.get("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None:
        must_be_draft(invoice)
        for line_id in list(invoice["_lines"]):
            if api.world.tables["line_item"][line_id]["_item"] == item["id"]:
                invoice["_lines"].remove(line_id)
                del api.world.tables["line_item"][line_id]
        retotal(api, invoice)
        api.change(invoice, "invoice.updated", "updated")
    return api.remove(item, "invoiceitem.deleted")


def _pending(obj: Obj, value: object) -> bool:
    return (obj["invoice"] is None) is value


INVOICE_ITEM = Resource(
    name=KIND,
    path=PATH,
    prefix="ii_",
    created=False,
    fields={
        "amount": 0,
        "currency": "usd",
        "customer": "",
        "date": 0,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "metadata": {},
        "parent": None,
        "period": {"end": 0, "start": 0},
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    },
    expandable={"customer": "customer", "invoice": "invoice"},
    operations=(
        crud.create(
            PATH,
            "invoice",
            make,
            {**ITEM, "customer": text(), "invoice": text(), "currency": currency()},
            "invoice_item_create",
        ),
        crud.retrieve(PATH, "invoice", KIND, "invoice_item_retrieve"),
        crud.update(PATH, "invoice", KIND, ITEM, "invoice_item_update", change),
        crud.delete(PATH, "invoice", KIND, remove, "invoice_item_delete"),
        crud.listing(
            PATH,
            "invoice",
            KIND,
            "invoice_item_list",
            {"created": created_range(), "customer": text(), "invoice": text(), "pending": boolean()},
            {"created": lambda obj, value: crud.within(obj["date"], value), "pending": _pending},
        ),
    ),
)
