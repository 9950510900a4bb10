"""Credit notes."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from emulators.stripe import crud
from emulators.stripe.api import Api, merge_metadata, merged
from emulators.stripe.errors import StripeError, missing_parameter
from emulators.stripe.model import Obj, Params, Resource
from emulators.stripe.params import (
    choice,
    created_range,
    hash_of,
    integer,
    list_of,
    metadata,
    required,
    text,
)
from emulators.stripe.payments import settle
from emulators.stripe.refunds import make_refund
from emulators.stripe.world import World

CREDIT_NOTES = "credit_notes"


def make_credit_note(api: Api, params: Params) -> Obj:
    invoice = api.find("invoice", params["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid"):
        message = "Credit notes can only be created for open or paid invoices; this invoice is "
        raise StripeError(message + f"{invoice['status']}.", param="invoice")
    total = params.get("amount") or _sum_of_lines(params)
    left = invoice["total"] - _credited(invoice)
    if total > left:
        message = f"The total amount of the credit notes exceeds what is left of the invoice ({left})."
        raise StripeError(message, param="amount")
    paid = invoice["status"] == "paid"
    _check_destination(params, total, paid=paid)
    note = _blank_note(api, invoice, params, total, paid=paid)
    if paid and params.get("refund_amount"):
        note["refunds"] = [_refund_for(api, invoice, params["refund_amount"])]
    api.store(note, "credit_note.created")
    _apply(api, invoice, total, paid=paid)
    return note


def _credited(invoice: Obj) -> int:
    return int(invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"])


def _sum_of_lines(params: Params) -> int:
    if "lines" not in params:
        raise missing_parameter("amount")
    return sum(line["unit_amount"] * line.get("quantity", 1) for line in params["lines"])


def _check_destination(params: Params, total: int, *, paid: bool) -> None:
    given = params.get("refund_amount", 0) + params.get("out_of_band_amount", 0)
    if paid and given != total:
        message = (
            "The sum of credit amount, refund amount and out of band amount must equal the credit note's "
            f"total ({total})."
        )
        raise StripeError(message, param="refund_amount")
    if not paid and given:
        raise StripeError("An open invoice has no payment to give back.", param="refund_amount")


def _blank_note(api: Api, invoice: Obj, params: Params, total: int, *, paid: bool) -> Obj:
    invoice["_credit_notes"] = invoice.get("_credit_notes", 0) + 1
    exclusive = sum(tax["amount"] for tax in invoice["total_taxes"] if tax["tax_behavior"] == "exclusive")
    tax = 0
    if invoice["total"]:
        share = Decimal(exclusive) * total / invoice["total"]
        tax = int(share.quantize(Decimal(1), ROUND_HALF_UP))
    taxes = [{**invoice["total_taxes"][0], "amount": tax, "taxable_amount": total - tax}] if tax else []
    given = params.get("lines") or [{"description": None, "unit_amount": total - tax}]
    lines = [
        api.blank(
            "credit_note_line_item",
            amount=line["unit_amount"] * line.get("quantity", 1),
            description=line.get("description"),
            quantity=line.get("quantity", 1),
            unit_amount=line["unit_amount"],
            unit_amount_decimal=str(line["unit_amount"]),
        )
        for line in given
    ]
    note = api.blank(
        "credit_note",
        amount=total,
        currency=invoice["currency"],
        customer=invoice["customer"],
        effective_at=api.now,
        invoice=invoice["id"],
        memo=params.get("memo"),
        metadata=merge_metadata({}, params.get("metadata")),
        number=f"{invoice['number']}-CN-{invoice['_credit_notes']:02d}",
        out_of_band_amount=params.get("out_of_band_amount"),
        reason=params.get("reason"),
        subtotal=total - tax,
        subtotal_excluding_tax=total - tax,
        total=total,
        total_excluding_tax=total - tax,
        total_taxes=taxes,
        type="post_payment" if paid else "pre_payment",
        _note_lines=lines,
    )
    note["post_payment_amount" if paid else "pre_payment_amount"] = total
    note["pdf"] = f"https://pay.stripe.com/credit_notes/{note['id']}/pdf"
    return note


def _refund_for(api: Api, invoice: Obj, amount: int) -> Obj:
    intent = api.world.get("payment_intent", invoice.get("_payment_intent") or "")
    if intent is None or intent["latest_charge"] is None:
        raise StripeError("The invoice was not paid by a charge that can be refunded.", param="refund_amount")
    refund = make_refund(api, {"charge": intent["latest_charge"], "amount": amount})
    return {
        "amount_refunded": amount,
        "payment_record_refund": None,
        "refund": refund["id"],
        "type": "refund",
    }


def _apply(api: Api, invoice: Obj, total: int, *, paid: bool) -> None:
    field = "post_payment_credit_notes_amount" if paid else "pre_payment_credit_notes_amount"
    values: Params = {field: invoice[field] + total}
    if not paid:
        values["amount_due"] = max(0, invoice["amount_due"] - total)
        values["amount_remaining"] = max(0, invoice["amount_remaining"] - total)
    api.change(invoice, "invoice.updated", "updated", **values)
    if not paid and invoice["amount_due"] == 0:
        settle(api, invoice)


def void_credit_note(api: Api, note: Obj, params: Params) -> Obj:
    del params
    invoice = api.find("invoice", note["invoice"], "invoice")
    if note["status"] != "issued" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise StripeError("You can only void an issued credit note of an open invoice.")
    total = note["total"]
    api.change(
        invoice,
        "invoice.updated",
        "updated",
        pre_payment_credit_notes_amount=invoice["pre_payment_credit_notes_amount"] - total,
        amount_due=invoice["amount_due"] + total,
        amount_remaining=invoice["amount_remaining"] + total,
    )
    return api.change(note, "credit_note.voided", "voided", status="void", voided_at=api.now)


def change_note(api: Api, note: Obj, params: Params) -> Obj:
    return api.change(note, "credit_note.updated", "updated", **merged(note, params))


def present_note(world: World, note: Obj, out: Obj) -> None:
    data = [world.render(line) for line in note["_note_lines"]]
    url = f"/v1/credit_notes/{note['id']}/lines"
    out["lines"] = {"object": "list", "data": data, "has_more": False, "url": url}


CREDIT_NOTE_LINE = Resource(
    name="credit_note_line_item",
    path="credit_note_lines",
    prefix="cnli_",
    created=False,
    fields={
        "amount": 0,
        "description": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": None,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
)
CREDIT_NOTE = Resource(
    name="credit_note",
    path=CREDIT_NOTES,
    prefix="cn_",
    noun="credit note",
    fields={
        "amount": 0,
        "amount_shipping": 0,
        "currency": "usd",
        "customer": "",
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": None,
        "invoice": "",
        "memo": None,
        "metadata": {},
        "number": "",
        "out_of_band_amount": None,
        "pdf": "",
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": None,
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_excluding_tax": 0,
        "total_taxes": [],
        "type": "pre_payment",
        "voided_at": None,
    },
    expandable={"customer": "customer", "invoice": "invoice", "refunds.refund": "refund"},
    present=present_note,
    operations=(
        crud.create(
            CREDIT_NOTES,
            "credit_note",
            make_credit_note,
            {
                "amount": integer(1),
                "invoice": required(text()),
                "lines": list_of(
                    hash_of(
                        type=required(choice("custom_line_item")),
                        description=required(text()),
                        quantity=integer(1),
                        unit_amount=required(integer(1)),
                    )
                ),
                "memo": text(),
                "metadata": metadata(),
                "out_of_band_amount": integer(0),
                "reason": choice("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
                "refund_amount": integer(0),
            },
            "credit_note_create",
        ),
        crud.retrieve(CREDIT_NOTES, "credit_note", "credit_note", "credit_note_retrieve"),
        crud.update(
            CREDIT_NOTES,
            "credit_note",
            "credit_note",
            {"memo": text(), "metadata": metadata()},
            "credit_note_update",
            change_note,
        ),
        crud.action(
            CREDIT_NOTES,
            "void",
            "credit_note",
            "credit_note",
            void_credit_note,
            {},
            "credit_note_void_credit_note",
        ),
        crud.listing(
            CREDIT_NOTES,
            "credit_note",
            "credit_note",
            "credit_note_list",
            {"created": created_range(), "customer": text(), "invoice": text()},
        ),
    ),
)
