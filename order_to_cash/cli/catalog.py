"""`o2c catalog match`: Salesforce products and Stripe prices, brought together (R6)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import open_ledger, require_emulators, salesforce_gateway, stripe_gateway
from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.errors import ConfigurationError, FieldRefused
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.records import StripePrice
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway


_BY_NAME = "product name"


@dataclass(frozen=True)
class Match:
    """What the catalogues say about one Salesforce product. `price` is None when it is not decided.

    `writes` says what the org lacks or has otherwise: "price", "product id", both or nothing.
    """

    product_id: str
    name: str
    code: str
    price: StripePrice | None
    reason: str
    writes: tuple[str, ...] = ()


def match(settings: Settings, *, apply: bool) -> None:
    """Print matched and unmatched products; with `apply`, write what matched. Raises the first refusal."""
    names = settings.field_names
    require_emulators(settings)
    with open_ledger(settings) as ledger:
        gateway = salesforce_gateway(settings, ledger.audit, "o2c catalog match")
        try:
            products = _products(gateway, names)
            prices = asyncio.run(_prices(settings, ledger.audit))
            matches = match_products(products, prices, names)
            _show(matches)
            changed = [found for found in matches if found.writes]
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

    Only active one-time prices count; what fits several, on either side, is left to a person.
    """
    usable = [price for price in prices if price.active and not price.recurring]
    by_id = {price.price_id: price for price in prices}
    by_key = {price.lookup_key: price for price in usable if price.lookup_key}
    by_name: dict[str, list[StripePrice]] = defaultdict(list)
    for price in usable:
        by_name[_folded(price.product_name)].append(price)
    return _no_price_twice([_match(product, names, by_id, by_key, by_name) for product in products])


def _no_price_twice(matches: Sequence[Match]) -> list[Match]:
    """A name that several products have says nothing: none of them gets a price that is another's, too."""
    having: dict[str, list[Match]] = defaultdict(list)
    for found in matches:
        if found.price is not None:
            having[found.price.price_id].append(found)
    told = []
    for found in matches:
        others = [one for one in having[found.price.price_id] if one is not found] if found.price else []
        if others and found.reason == _BY_NAME:
            told.append(replace(found, price=None, reason=_twice(others), writes=()))
        else:
            told.append(found)
    return told


def _twice(others: Sequence[Match]) -> str:
    certain = [one.product_id for one in others if one.reason != _BY_NAME]
    if certain:
        return f"a product of that name has the price already: {certain[0]}; is this one superfluous?"
    return f"{len(others) + 1} products of that name: give one a code, or the price by hand"


def _products(gateway: SalesforceGateway, names: FieldNames) -> list[dict[str, Any]]:
    """The active products. Raises ConfigurationError where the org does not show our fields yet."""
    try:
        return gateway.query(_products_query(names))
    except FieldRefused as error:
        ours = (names.product_price_id, names.product_product_id)
        raise ConfigurationError(
            f"Product2 has no {' or '.join(ours)}, or the API user may not see it.",
            code="package_missing",
            remedy="Deploy the package: `o2c salesforce deploy --assign-integration-user USERNAME`.",
        ) from error


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
    price, reason = _decide(stored, by_id, by_key.get(code), by_name.get(_folded(name), ()), code)
    wanted = (price.price_id, price.product_id) if price else ("", "")
    known = (stored, str(product.get(names.product_product_id) or ""))
    parts = zip(("price", "product id"), wanted, known, strict=True)
    writes = tuple(part for part, want, has in parts if price is not None and want != has)
    return Match(str(product["Id"]), name, code, price, reason, writes)


def _decide(
    stored: str,
    by_id: Mapping[str, StripePrice],
    keyed: StripePrice | None,
    named: Sequence[StripePrice],
    code: str,
) -> tuple[StripePrice | None, str]:
    if stored:
        price = by_id.get(stored)
        if price is None:
            return None, "the price that is set does not exist in this Stripe account"
        return price, "already set" if price.active else "already set; the price is inactive"
    if keyed is not None:
        return keyed, "lookup key = product code"
    if len(named) == 1:
        return named[0], _BY_NAME
    if named:
        return None, f"{len(named)} prices of that name: set a lookup key, or the price by hand"
    key = "one the product code" if code else "the product a code, and a price that code"
    return None, f"no price: give {key} as lookup key"


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
    coded = any(found.code for found in matches)
    for heading, some in (("matched", matched), ("NOT matched", unmatched)):
        if some:
            rows = [
                (
                    found.name,
                    *((found.code or "-",) if coded else ()),
                    found.price.price_id if found.price else "-",
                    found.reason,
                    " and ".join(found.writes) or "-",
                )
                for found in some
            ]
            code = ("code",) if coded else ()
            show_table((heading, *code, "price", "how", "to write"), rows)
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
