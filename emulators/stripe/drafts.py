"""The lines of draft invoices."""

from __future__ import annotations

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata
from emulators.stripe.errors import StripeError, missing_parameter, no_such
from emulators.stripe.lines import MAX_LINES, fill_item, line_of
from emulators.stripe.model import Obj, Params
from emulators.stripe.totals import lines_of, retotal


def sync_customer(invoice: Obj, customer: Obj) -> None:
    """Copy what an invoice shows of its customer (docs: equal to the customer's until finalization)."""
    for name in ("address", "email", "name", "phone", "shipping", "tax_exempt"):
        invoice[f"customer_{name}"] = customer[name]


def must_be_draft(invoice: Obj) -> None:
    if invoice["status"] != "draft":
        raise StripeError("This invoice is no longer editable", code="invoice_not_editable", param="invoice")


def check_count(invoice: Obj, more: int) -> None:
    """Raises StripeError when the invoice would have more lines than Stripe allows."""
    if len(invoice["_lines"]) + more > MAX_LINES:
        message = f"An invoice can have at most {MAX_LINES} line items."
        raise StripeError(message, param="lines")


def attach(api: Api, invoice: Obj, items: list[Obj]) -> None:
    """Make lines of the items and put them on the draft."""
    check_count(invoice, len(items))
    for item in items:
        item["invoice"] = invoice["id"]
        line = api.world.add(line_of(api, item, invoice["id"]))
        invoice["_lines"].append(line["id"])


def add_lines(api: Api, invoice: Obj, params: Params) -> Obj:
    must_be_draft(invoice)
    if not params["lines"]:
        raise missing_parameter("lines")
    check_count(invoice, len(params["lines"]))
    if any(
        "price_data" in line for line in params["lines"]
    ):  # a later line may be refused: make no prices yet
        _items(api.rehearsal(), invoice, params["lines"])
    items = _items(api, invoice, params["lines"])
    attach(api, invoice, items)
    for item in items:
        if item["id"] not in api.world.tables["invoiceitem"]:
            api.store(item, "invoiceitem.created")
    return _changed(api, invoice, params)


def _items(api: Api, invoice: Obj, lines: list[Params]) -> list[Obj]:
    return [_item(api, invoice, dict(line), f"lines[{position}]") for position, line in enumerate(lines)]


def _item(api: Api, invoice: Obj, line: Params, param: str) -> Obj:
    existing = line.pop("invoice_item", None)
    if existing is not None:
        item = api.find("invoiceitem", existing, f"{param}[invoice_item]")
        if item["invoice"] is not None or item["customer"] != invoice["customer"]:
            message = f"The invoice item {existing} is already on an invoice or belongs to another customer."
            raise StripeError(message, param=f"{param}[invoice_item]")
        return item
    item = new_item(api, invoice["customer"], invoice["currency"], line)
    fill_item(api, item, line, invoice["currency"], param)
    return item


def new_item(api: Api, customer_id: str, code: str, params: Params) -> Obj:
    """A blank invoice item with what needs no computing."""
    customer = api.find("customer", customer_id, "customer")
    return api.blank(
        "invoiceitem",
        customer=customer_id,
        currency=code,
        date=api.now,
        description=params.get("description"),
        discountable=params.get("discountable", True),
        metadata=merge_metadata({}, params.get("metadata")),
        period=params.get("period") or {"start": api.now, "end": api.now},
        test_clock=customer["test_clock"],
    )


def remove_lines(api: Api, invoice: Obj, params: Params) -> Obj:
    must_be_draft(invoice)
    chosen = params["lines"]
    for position, entry in enumerate(chosen):
        if entry["id"] not in invoice["_lines"]:
            raise no_such("line item", entry["id"], f"lines[{position}][id]")
    for entry in chosen:
        line = api.world.tables["line_item"].pop(entry["id"])
        invoice["_lines"].remove(entry["id"])
        item = api.world.get("invoiceitem", line["_item"])
        if item is not None and entry["behavior"] == "delete":
            api.remove(item, "invoiceitem.deleted")
        elif item is not None:
            item["invoice"] = None
    return _changed(api, invoice, params)


def _changed(api: Api, invoice: Obj, params: Params) -> Obj:
    if "invoice_metadata" in params:
        invoice["metadata"] = merge_metadata(invoice["metadata"], params["invoice_metadata"])
    retotal(api, invoice)
    return api.change(invoice, "invoice.updated", "updated")


def take_pending(api: Api, invoice: Obj) -> None:
    """Put the customer's pending invoice items of the invoice's currency on a new draft, newest first."""
    pending = [
        item
        for item in api.world.all("invoiceitem")
        if item["customer"] == invoice["customer"]
        and item["invoice"] is None
        and item["currency"] == invoice["currency"]
    ]
    attach(api, invoice, pending[:MAX_LINES])


def list_lines(api: Api, invoice: Obj, params: Params) -> Obj:
    url = f"/v1/invoices/{invoice['id']}/lines"
    return crud.page(api, lines_of(api, invoice), params, url, "line_item")
