"""SOQL for what mapping must know, and what its answers mean."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote_plus

import pytest

from order_to_cash.domain.queries import LONGEST_QUERY
from order_to_cash.domain.sync.lookups import (
    opportunity_ids,
    opportunity_queries,
    price_entry_queries,
    price_entry_writes,
    product_facts,
    product_ids,
    product_queries,
)
from order_to_cash.domain.sync.shapes import ObjectKey, PriceEntry, ProductFacts
from order_to_cash.domain.sync.soql import chunked
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import state
from tests.domain.sync.stripe_objects import DEAL

STATES = [
    state(stripe.invoice()),
    state(stripe.subscription()),
    state(stripe.product(default_price="price_team")),
]
PRODUCT = "01t000000000001AAA"


def entry(currency: str = "USD", unit: str = "50", *, active: bool = True) -> PriceEntry:
    return PriceEntry(
        "price_team", "prod_team", currency, Decimal(unit), active, ObjectKey("price", "price_team")
    )


def test_every_value_is_asked_for_once_in_queries_that_fit_an_address() -> None:
    values = [f"prod_{number:05d}" for number in range(3_000)] + ["prod_00007", "", "it's"]
    queries = chunked(("Id",), "Product2", "X__c", values, also="Y__c = null", end=" LIMIT 5")
    assert len(queries) > 1
    assert all(len(quote_plus(query)) <= LONGEST_QUERY for query in queries)
    assert all(query.endswith(" AND Y__c = null LIMIT 5") for query in queries)
    text = " ".join(queries)
    assert [text.count(f"'{value}'") for value in ("prod_00000", "prod_00007", "prod_02999")] == [1, 1, 1]
    assert r"'it\'s'" in text
    assert chunked(("Id",), "Product2", "X__c", []) == ()


def test_deals_are_asked_for_by_the_ids_in_metadata() -> None:
    bad = state(stripe.invoice(metadata={"salesforce_opportunity_id": "not an id' OR"}))
    assert opportunity_ids([*STATES, bad]) == (DEAL,)
    assert opportunity_queries([DEAL]) == (
        f"SELECT Id, Stripe_Invoice_Id__c FROM Opportunity WHERE Id IN ('{DEAL}')",
    )


def test_products_are_known_by_their_id_or_their_price() -> None:
    assert product_ids(STATES) == ("prod_team",)
    by_product, by_price = product_queries(STATES)
    assert "Stripe_Product_Id__c IN ('prod_team')" in by_product
    assert "Stripe_Price_Id__c IN ('price_team') AND Stripe_Product_Id__c = null" in by_price
    linked = {"Id": PRODUCT, "Stripe_Product_Id__c": "prod_team", "Stripe_Price_Id__c": None}
    priced = {"Id": "01t000000000002AAA", "Stripe_Product_Id__c": None, "Stripe_Price_Id__c": "price_team"}
    assert product_facts(STATES, [priced, linked]) == {"prod_team": ProductFacts(PRODUCT, "")}
    assert product_facts(STATES, [priced]) == {"prod_team": ProductFacts("01t000000000002AAA", "price_team")}
    assert product_facts(STATES, []) == {"prod_team": ProductFacts("")}  # made by this batch
    other = {"Id": PRODUCT, "Stripe_Product_Id__c": None, "Stripe_Price_Id__c": "price_old"}
    assert product_facts(STATES, [other]) == {"prod_team": ProductFacts("")}
    assert product_facts(STATES, [other], {"price_old": "prod_team"}) == {
        "prod_team": ProductFacts(PRODUCT, "price_old")
    }
    assert product_facts(STATES[:2], []) == {}


def test_price_book_queries() -> None:
    book, entries = price_entry_queries([entry()], multi_currency=True)
    assert book == "SELECT Id FROM Pricebook2 WHERE IsStandard = true LIMIT 1"
    assert "CurrencyIsoCode FROM PricebookEntry" in entries
    assert "CurrencyIsoCode" not in price_entry_queries([entry()])[1]


@pytest.mark.parametrize(
    ("given", "found", "wanted"),
    [
        (
            entry(),
            [],
            [{"Product2Id": PRODUCT, "Pricebook2Id": "01s", "UnitPrice": Decimal(50), "IsActive": True}],
        ),
        (entry(active=False), [], []),
        (entry(), [{"UnitPrice": Decimal("50.0"), "IsActive": True}], []),
        (
            entry(active=False),
            [{"UnitPrice": Decimal(50), "IsActive": True}],
            [{"Id": "01u", "UnitPrice": Decimal(50), "IsActive": False}],
        ),
        (
            entry(unit="60"),
            [{"UnitPrice": 50, "IsActive": True}],
            [{"Id": "01u", "UnitPrice": Decimal(60), "IsActive": True}],
        ),
        (entry("EUR"), [], []),
    ],
)
def test_price_book_entries_are_written_where_they_differ(
    given: PriceEntry, found: list[dict[str, object]], wanted: list[dict[str, object]]
) -> None:
    rows = [{"Id": "01u", "Product2": {"Stripe_Product_Id__c": "prod_team"}, **one} for one in found]
    known = {"prod_team": ProductFacts(PRODUCT)}
    made = price_entry_writes([given], rows, "01s", known, multi_currency=False, default_currency="USD")
    assert list(made) == wanted


def test_with_several_currencies_each_has_its_entry() -> None:
    known = {"prod_team": ProductFacts(PRODUCT)}
    held = {"Id": "01u", "Product2.Stripe_Product_Id__c": "prod_team", "UnitPrice": 1, "IsActive": True}
    rows = [held | {"CurrencyIsoCode": "USD"}]
    writes = price_entry_writes([entry(), entry("EUR")], rows, "01s", known, multi_currency=True)
    assert [(write.get("Id"), write.get("CurrencyIsoCode")) for write in writes] == [
        (None, "EUR"),
        ("01u", None),
    ]
    assert price_entry_writes([entry()], [], "01s", {}, multi_currency=True) == ()
