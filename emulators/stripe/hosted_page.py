"""The page behind `hosted_invoice_url`: what the customer would see. Public by its secret, as at Stripe."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from emulators.stripe.currencies import ZERO_DECIMAL
from emulators.stripe.model import Obj
from emulators.stripe.world import World

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#1a1f36}"
    "table{width:100%;border-collapse:collapse;margin:1.5rem 0}td,th{padding:.4rem 0;text-align:left;"
    "border-bottom:1px solid #e3e8ee}td:last-child,th:last-child{text-align:right}"
    ".note{background:#fff4d6;border:1px solid #e8c15a;border-radius:.4rem;padding:.5rem .8rem}"
    ".status{text-transform:uppercase;font-size:.8rem}"
)


def invoice_at(world: World, path: str) -> Obj | None:
    """The invoice whose page has this path."""
    return next((each for each in world.tables["invoice"].values() if each.get("_page") == path), None)


def money(amount: int, currency: str) -> str:
    """`1,234.50 EUR`, for reading."""
    places = 0 if currency in ZERO_DECIMAL else 2
    return f"{Decimal(amount).scaleb(-places):,.{places}f} {currency.upper()}"


def page(world: World, invoice: Obj) -> str:
    """The page as HTML."""
    code = invoice["currency"]
    lines = [world.tables["line_item"][line_id] for line_id in invoice["_lines"]]
    rows = [(line["description"] or "", line["quantity_decimal"], line["amount"]) for line in lines]
    body = "".join(
        f"<tr><td>{escape(text)}</td><td>{quantity}</td><td>{money(amount, code)}</td></tr>"
        for text, quantity, amount in rows
    )
    tax = invoice["total"] - invoice["total_excluding_tax"]
    sums = (
        ("Subtotal", invoice["subtotal"]),
        ("Tax", tax),
        ("Total", invoice["total"]),
        ("Amount due", invoice["amount_remaining"]),
    )
    totals = "".join(
        f"<tr><th colspan=2>{name}</th><th>{money(value, code)}</th></tr>" for name, value in sums
    )
    due = invoice["due_date"]
    terms = f"due {datetime.fromtimestamp(due, UTC):%d %B %Y}" if due else "charged automatically"
    return (
        f"<!doctype html><meta charset=utf-8><title>Invoice {escape(invoice['number'])}</title>"
        f"<style>{STYLE}</style>"
        "<p class=note>This page is shown by a local emulator, not by Stripe. No money moves here.</p>"
        f"<h1>Invoice {escape(invoice['number'])}</h1>"
        f"<p>{escape(invoice['customer_name'] or '')} · <span class=status>{invoice['status']}</span> · {terms}</p>"
        f"<table><tr><th>Description</th><th>Quantity</th><th>Amount</th></tr>{body}{totals}</table>"
        f"<p>{escape(invoice['description'] or '')}</p>"
    )
