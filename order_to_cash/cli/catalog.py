"""`o2c catalog match`: Salesforce products and Stripe prices, brought together (R6)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import open_ledger, salesforce_gateway, stripe_gateway
from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.records import StripePrice
from order_to_cash.settings import Settings


@dataclass(frozen=True)
class Match:
    """What the catalogues say about one Salesforce product. `price` is None when it is not decided."""

    product_id: str
    name: str
    code: str
    price: StripePrice | None
    reason: str
    changes: bool = False  # the org has another price, or none


def match(settings: Settings, *, apply: bool) -> None:
    """Print matched and unmatched products; with `apply`, write what matched. Raises the first refusal."""
    names = settings.field_names
    with open_ledger(settings) as ledger:
        gateway = salesforce_gateway(settings, ledger.audit, "o2c catalog match")
        try:
            products = gateway.query(_products_query(names))
            prices = asyncio.run(_prices(settings, ledger.audit))
            matches = match_products(products, prices, names)
            _show(matches)
            changed = [found for found in matches if found.changes]
            if not changed or not apply:
                typer.echo(
                    f"{len(changed)} to write." + (" Write: o2c catalog match --apply" if changed else "")
                )
                return
            results = gateway.update_rows("Product2", [_row(found, names) for found in changed])
        finally:
            gateway.close()
    refused = [result for result in results if not result.ok]
    typer.echo(f"{len(results) - len(refused)} written, {len(refused)} refused.")
    for result in refused:
        if result.error is not None:
            raise result.error


def match_products(
    products: Iterable[Mapping[str, Any]], prices: Sequence[StripePrice], names: FieldNames
) -> list[Match]:
    """One Match a product: by the price that is set; else by lookup key = product code; else by name.

    Only active one-time prices count; what fits several is left to a person.
    """
    usable = [price for price in prices if price.active and not price.recurring]
    by_id = {price.price_id: price for price in prices}
    by_key = {price.lookup_key: price for price in usable if price.lookup_key}
    by_name: dict[str, list[StripePrice]] = defaultdict(list)
    for price in usable:
        by_name[_folded(price.product_name)].append(price)
    return [_match(product, names, by_id, by_key, by_name) for product in products]


def _products_query(names: FieldNames) -> str:
    fields = ("Id", "Name", "ProductCode", names.product_price_id, names.product_product_id)
    # Field names passed the policy's pattern of API names.
    return f"SELECT {', '.join(fields)} FROM Product2 WHERE IsActive = true ORDER BY Name, Id"  # noqa: S608 - above


def _match(
    product: Mapping[str, Any],
    names: FieldNames,
    by_id: Mapping[str, StripePrice],
    by_key: Mapping[str, StripePrice],
    by_name: Mapping[str, Sequence[StripePrice]],
) -> Match:
    name, code = str(product["Name"]), str(product.get("ProductCode") or "")
    stored = str(product.get(names.product_price_id) or "")
    price, reason = _decide(stored, by_id, by_key.get(code), by_name.get(_folded(name), ()))
    wanted = (price.price_id, price.product_id) if price else ("", "")
    known = (stored, str(product.get(names.product_product_id) or ""))
    return Match(str(product["Id"]), name, code, price, reason, price is not None and wanted != known)


def _decide(
    stored: str, by_id: Mapping[str, StripePrice], keyed: StripePrice | None, named: Sequence[StripePrice]
) -> tuple[StripePrice | None, str]:
    if stored:
        price = by_id.get(stored)
        if price is None:
            return None, "the price that is set does not exist in this Stripe account"
        return price, "already set" if price.active else "already set; the price is inactive"
    if keyed is not None:
        return keyed, "lookup key = product code"
    if len(named) == 1:
        return named[0], "product name"
    if named:
        return None, f"{len(named)} prices of that name: set a lookup key, or the price by hand"
    return None, "no price: give one the product code as lookup key"


async def _prices(settings: Settings, audit: AuditSink) -> list[StripePrice]:
    gateway = stripe_gateway(settings, audit, "o2c catalog match")
    try:
        return await gateway.list_prices()
    finally:
        await gateway.aclose()


def _show(matches: Sequence[Match]) -> None:
    matched = [found for found in matches if found.price]
    unmatched = [found for found in matches if not found.price]
    typer.echo(f"{len(matched)} of {len(matches)} products matched.\n")
    for heading, some in (("matched", matched), ("NOT matched", unmatched)):
        if some:
            rows = [
                (found.name, found.code, found.price.price_id if found.price else "-", found.reason)
                for found in some
            ]
            show_table((heading, "code", "price", "how"), rows)
            typer.echo()


def _row(found: Match, names: FieldNames) -> dict[str, Any]:
    price = found.price
    return {
        "Id": found.product_id,
        names.product_price_id: price.price_id if price else None,
        names.product_product_id: price.product_id if price else None,
    }


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
