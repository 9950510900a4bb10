"""SOQL that answers what `Context` needs, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import full_id, salesforce_id
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import items, mapping, ref
from order_to_cash.domain.sync.invoices import deal_of, product_of
from order_to_cash.domain.sync.shapes import PriceEntry, ProductFacts, State
from order_to_cash.domain.sync.soql import chunked

Answer = Mapping[str, Any]
_PRODUCT_FIELDS = ("Id", "Stripe_Product_Id__c", "Stripe_Price_Id__c")


def opportunity_ids(states: Iterable[State]) -> tuple[str, ...]:
    """The deals that the metadata of invoices and subscriptions name: for `Context.invoice_of_opportunity`."""
    named = {deal_of(state.body) for state in states if state.key.type in {"invoice", "subscription"}}
    return tuple(sorted(deal for deal in named if _is_id(deal)))


def opportunity_queries(ids: Sequence[str]) -> tuple[str, ...]:
    """SOQL for the deals' Id and `Stripe_Invoice_Id__c`."""
    return chunked(("Id", "Stripe_Invoice_Id__c"), fields.OPPORTUNITY, "Id", ids)


def product_ids(states: Iterable[State]) -> tuple[str, ...]:
    """Every Stripe product that the states are or name."""
    return tuple(sorted({product for state in states for product in _products(state) if product}))


def product_queries(states: Iterable[State]) -> tuple[str, ...]:
    """SOQL for `product_facts`: Product2 records by Stripe product id, or by a price of such a product."""
    held = tuple(states)
    by_product = chunked(_PRODUCT_FIELDS, fields.PRODUCT, "Stripe_Product_Id__c", product_ids(held))
    return by_product + priced_product_queries(_product_of_price(held))


def priced_product_queries(price_ids: Iterable[str]) -> tuple[str, ...]:
    """SOQL for the Product2 records that are billed by these prices and name no Stripe product yet."""
    unlinked = "Stripe_Product_Id__c = null"
    return chunked(_PRODUCT_FIELDS, fields.PRODUCT, "Stripe_Price_Id__c", price_ids, also=unlinked)


def product_facts(
    states: Iterable[State], records: Iterable[Answer], product_of_price: Mapping[str, str] | None = None
) -> dict[str, ProductFacts]:
    """Stripe product → its Product2: by product id, else by price id. One that the batch makes has no record id yet.

    Two records that could be it by their prices: the one with the lower Id. `product_of_price`: prices beside those
    that the states tell of.
    """
    held = tuple(states)
    known: dict[str, ProductFacts] = {}
    by_price = {**(product_of_price or {}), **_product_of_price(held)}
    for record in sorted(records, key=lambda one: (not one.get("Stripe_Product_Id__c"), str(one["Id"]))):
        price = str(record.get("Stripe_Price_Id__c") or "")
        product = str(record.get("Stripe_Product_Id__c") or "") or by_price.get(price, "")
        if product:
            known.setdefault(product, ProductFacts(str(record["Id"]), price))
    for state in held:
        if state.key.type == "product" and not state.deleted:
            known.setdefault(state.key.id, ProductFacts(""))
    return known


def price_entry_queries(entries: Sequence[PriceEntry], *, multi_currency: bool = False) -> tuple[str, ...]:
    """SOQL for the standard price book, then for its entries of these products."""
    names = ["Id", "Product2Id", "Product2.Stripe_Product_Id__c", "UnitPrice", "IsActive"]
    found = chunked(
        names + ["CurrencyIsoCode"] * multi_currency,
        fields.PRICEBOOK_ENTRY,
        "Product2.Stripe_Product_Id__c",
        [entry.product_id for entry in entries],
        also="Pricebook2.IsStandard = true",
    )
    return ("SELECT Id FROM Pricebook2 WHERE IsStandard = true LIMIT 1", *found)


def price_entry_writes(
    entries: Sequence[PriceEntry],
    found: Iterable[Answer],
    standard_pricebook_id: str,
    products: Mapping[str, ProductFacts],
    *,
    multi_currency: bool,
    default_currency: str = "",
) -> tuple[dict[str, Any], ...]:
    """PricebookEntry fields: with `Id` to be updated, without to be inserted. Nothing for what is equal already.

    An org without multiple currencies takes only prices in its own (`default_currency`; "": any). A price that is no
    longer active is not inserted.
    """
    known = {(_product_id(row), str(row.get("CurrencyIsoCode") or "")): row for row in found}
    writes = []
    chosen = {
        (entry.product_id, entry.currency): entry for entry in sorted(entries, key=lambda one: one.price_id)
    }
    for (product, currency), entry in sorted(chosen.items()):
        record_id = products.get(product, ProductFacts("")).record_id
        foreign = not multi_currency and default_currency and currency != default_currency.upper()
        if not record_id or foreign:
            continue
        values: dict[str, Any] = {"UnitPrice": entry.unit_price, "IsActive": entry.active}
        held = known.get((product, currency if multi_currency else ""))
        if held is not None:
            if _differs(held, entry):
                writes.append({"Id": str(held["Id"]), **values})
        elif entry.active:
            made = {"Product2Id": record_id, "Pricebook2Id": standard_pricebook_id, **values}
            writes.append(made | ({"CurrencyIsoCode": currency} if multi_currency else {}))
    return tuple(writes)


def _products(state: State) -> list[str]:
    body = state.body
    if state.key.type == "product":
        return [state.key.id]
    if state.key.type == "price":
        return [ref(body.get("product"))]
    if state.key.type == "invoice":
        return [product_of(line) for line in items(body.get("lines"))]
    if state.key.type == "subscription":
        return [ref(mapping(item.get("price")).get("product")) for item in items(body.get("items"))]
    return []


def _product_of_price(states: Iterable[State]) -> dict[str, str]:
    """Price → product, of the prices that tell which Product2 an unlinked product is: its own events' only."""
    found: dict[str, str] = {}
    for state in sorted(states, key=lambda one: one.key):
        price = ref(state.body.get("default_price"))
        if state.key.type == "product" and price:
            found[price] = state.key.id
        elif state.key.type == "price" and ref(state.body.get("product")):
            found[state.key.id] = ref(state.body.get("product"))
    return found


def _product_id(row: Answer) -> str:
    parent = row.get("Product2")
    nested = parent.get("Stripe_Product_Id__c") if isinstance(parent, Mapping) else None
    return str(nested or row.get("Product2.Stripe_Product_Id__c") or "")


def _differs(row: Answer, entry: PriceEntry) -> bool:
    return (
        Decimal(str(row.get("UnitPrice") or 0)) != entry.unit_price
        or bool(row.get("IsActive")) != entry.active
    )


def _is_id(text: str) -> bool:
    try:
        return salesforce_id(text) == full_id(text)
    except RecordRejected:
        return False
