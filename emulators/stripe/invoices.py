"""Invoices: drafts, their lines, and lists. What follows finalization is in invoice_states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulators.stripe import crud
from emulators.stripe import invoice_states as states
from emulators.stripe.allocations import attach_payment
from emulators.stripe.api import Api, merged
from emulators.stripe.customers import CUSTOM_FIELDS, fix_currency
from emulators.stripe.drafts import add_lines, list_lines, remove_lines, sync_customer, take_pending
from emulators.stripe.errors import StripeError, missing_parameter, only_one_of
from emulators.stripe.invoice_fields import EXPANDABLE, HOLDS, INCLUDABLE, INVOICE_FIELDS, present
from emulators.stripe.lines import LINE, MAX_LINES
from emulators.stripe.model import Obj, Operation, Params, Resource
from emulators.stripe.params import (
    EXPAND,
    Spec,
    boolean,
    choice,
    created_range,
    currency,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
    timestamp,
    unsettable,
)
from emulators.stripe.totals import check_tax_location, retotal

PATH, PERMISSION, KIND = "invoices", "invoice", "invoice"
COLLECTION = choice("charge_automatically", "send_invoice")
STATUS = choice("draft", "open", "paid", "uncollectible", "void")
DAY = 86400
WRITE: dict[str, Spec] = {
    "auto_advance": boolean(),
    "automatic_tax": hash_of(enabled=required(boolean())),
    "automatically_finalizes_at": timestamp(),
    "collection_method": COLLECTION,
    "custom_fields": CUSTOM_FIELDS,
    "days_until_due": integer(0),
    "default_payment_method": unsettable(text()),
    "description": unsettable(text(1500)),
    "due_date": timestamp(),
    "effective_at": unsettable(timestamp()),
    "footer": unsettable(text()),
    "metadata": metadata(),
    "number": unsettable(text(26)),
    "statement_descriptor": text(22),
}
CREATE: dict[str, Spec] = {
    **WRITE,
    "currency": currency(),
    "customer": text(),
    "pending_invoice_items_behavior": choice("exclude", "include"),
}
AFTER_FINALIZATION = frozenset({"metadata", "auto_advance", "default_payment_method", "statement_descriptor"})


def make(api: Api, params: Params) -> Obj:
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = api.find("customer", params["customer"], "customer")
    pending = params.pop("pending_invoice_items_behavior", "exclude") == "include"
    code = params.pop("currency", None) or customer["currency"] or api.settings.default_currency
    invoice = api.blank(KIND, currency=code, period_start=api.now, period_end=api.now, _lines=[])
    invoice["test_clock"] = customer["test_clock"]
    _apply(api, invoice, params)
    sync_customer(invoice, customer)
    check_tax_location(invoice, customer)
    fix_currency(api, customer, code)
    if pending:
        take_pending(api, invoice)
    retotal(api, invoice)
    api.store(invoice, "invoice.created")
    _schedule(api, invoice)
    return invoice


def change(api: Api, invoice: Obj, params: Params) -> Obj:
    if invoice["status"] != "draft":
        refused = [name for name in params if name not in AFTER_FINALIZATION]
        if refused:
            raise states.not_editable(refused[0])
        return api.change(invoice, "invoice.updated", "updated", **merged(invoice, params))
    fresh = {name: value for name, value in invoice.items() if not name.startswith("_")}
    trial = {**fresh, "_lines": invoice["_lines"], "_days_until_due": invoice.get("_days_until_due")}
    trial["automatic_tax"] = dict(invoice["automatic_tax"])
    _apply(api, trial, params)
    check_tax_location(trial, api.find("customer", invoice["customer"], "customer"))
    retotal(api, trial)
    api.change(invoice, "invoice.updated", "updated", **trial)
    _schedule(api, invoice)
    return invoice


def _apply(api: Api, invoice: Obj, params: Params) -> None:
    """Set the given parameters on a draft, with their rules about each other."""
    days, due = params.pop("days_until_due", None), params.get("due_date")
    invoice.update(merged(invoice, params))
    if params.get("default_payment_method"):
        api.find("payment_method", params["default_payment_method"], "default_payment_method")
    if invoice["collection_method"] != "send_invoice":
        if days is not None or due is not None:
            name = "days_until_due" if days is not None else "due_date"
            message = f"You can only set `{name}` if the invoice's `collection_method` is `send_invoice`."
            raise StripeError(message, param=name)
        invoice.update(due_date=None, _days_until_due=None)
        return
    if days is not None and due is not None:
        raise only_one_of(["days_until_due", "due_date"], "due_date")
    if due is not None:
        if due < api.now:
            raise StripeError("The due date must be in the future.", param="due_date")
        invoice["_days_until_due"] = None
    elif days is not None:
        invoice.update(_days_until_due=days, due_date=api.now + days * DAY)
    elif invoice["due_date"] is None:
        message = "You must pass `days_until_due` or `due_date` when `collection_method` is `send_invoice`."
        raise StripeError(message, param="days_until_due")


def _schedule(api: Api, invoice: Obj) -> None:
    """A draft with auto_advance finalizes by itself after about an hour."""
    if not invoice["auto_advance"]:
        invoice["automatically_finalizes_at"] = None
        return
    if invoice["automatically_finalizes_at"] is None:
        invoice["automatically_finalizes_at"] = api.now + int(api.settings.auto_finalize_seconds)
    moment = invoice["automatically_finalizes_at"]

    def finalize_if_still_due(later: Api) -> None:
        due = invoice["automatically_finalizes_at"] == moment and invoice["auto_advance"]
        if due and invoice["status"] == "draft" and not invoice.get("_deleted"):
            states.finalize_quietly(later, invoice)

    api.later(moment - api.now, finalize_if_still_due)


def remove(api: Api, invoice: Obj, params: Params) -> Obj:
    del params
    if invoice["status"] != "draft":
        raise StripeError("You can only delete draft invoices.", param="invoice")
    for line_id in invoice["_lines"]:
        line = api.world.get("line_item", line_id)
        item = api.world.get("invoiceitem", line["_item"]) if line else None
        if item is not None:
            item["_deleted"] = True
    return api.remove(invoice, "invoice.deleted")


def _lines(api: Api, ids: list[str], params: Params) -> Obj:
    return list_lines(api, api.find_alive(KIND, ids[0]), params)


def _of_subscription(obj: Obj, value: Any) -> bool:
    return ((obj["parent"] or {}).get("subscription_details") or {}).get("subscription") == value  # type: ignore[no-any-return]


def _act(verb: str, run: Callable[[Api, Obj, Params], Obj], accepts: dict[str, Spec], sdk: str) -> Operation:
    return crud.action(PATH, verb, PERMISSION, KIND, run, accepts, sdk)


LIST_FILTERS: dict[str, Spec] = {
    "collection_method": COLLECTION,
    "created": created_range(),
    "customer": text(),
    "due_date": created_range(),
    "status": STATUS,
    "subscription": text(),
}
ADDED = required(list_of(hash_of(**LINE), limit=MAX_LINES))
REMOVED = required(
    list_of(hash_of(behavior=required(choice("delete", "unassign")), id=required(text())), limit=MAX_LINES)
)

INVOICE = Resource(
    name=KIND,
    path=PATH,
    prefix="in_",
    fields=INVOICE_FIELDS,
    expandable=EXPANDABLE,
    includable=INCLUDABLE,
    holds=HOLDS,
    present=present,
    searchable=frozenset({"created", "currency", "customer", "metadata", "number", "status", "total"}),
    operations=(
        crud.create(PATH, PERMISSION, make, CREATE, "invoice_create"),
        crud.retrieve(PATH, PERMISSION, KIND, "invoice_retrieve"),
        crud.update(PATH, PERMISSION, KIND, WRITE, "invoice_update", change),
        crud.delete(PATH, PERMISSION, KIND, remove, "invoice_delete"),
        crud.searching(PATH, PERMISSION, KIND, "invoice_search"),
        crud.listing(
            PATH,
            PERMISSION,
            KIND,
            "invoice_list",
            LIST_FILTERS,
            {
                "subscription": _of_subscription,
                "due_date": lambda obj, value: crud.within(obj["due_date"], value),
            },
        ),
        _act("add_lines", add_lines, {"lines": ADDED, "invoice_metadata": metadata()}, "invoice_add_lines"),
        _act(
            "remove_lines",
            remove_lines,
            {"lines": REMOVED, "invoice_metadata": metadata()},
            "invoice_remove_lines",
        ),
        _act("finalize", states.finalize, {"auto_advance": boolean()}, "invoice_finalize_invoice"),
        _act("send", states.send, {}, "invoice_send_invoice"),
        _act(
            "pay",
            states.pay,
            {"paid_out_of_band": boolean(), "payment_method": text(), "off_session": boolean()},
            "invoice_pay",
        ),
        _act(
            "attach_payment",
            attach_payment,
            {"payment_intent": text(), "payment_record": text()},
            "invoice_attach_payment",
        ),
        _act("void", states.void, {}, "invoice_void_invoice"),
        _act("mark_uncollectible", states.mark_uncollectible, {}, "invoice_mark_uncollectible"),
        Operation(
            "GET",
            "invoices/{id}/lines",
            _lines,
            {name: spec for name, spec in crud.PAGING.items() if name != "expand"} | {"expand": EXPAND},
            "invoice_read",
            "invoice_line_item_list",
        ),
    ),
)
