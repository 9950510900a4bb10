from __future__ import annotations

import re
from typing import Any

import pytest

from order_to_cash.cli import catalog
from order_to_cash.cli.catalog import Match, match_products
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.records import StripePrice

NAMES = FieldNames()


def price(price_id: str, name: str = "", key: str = "", **more: Any) -> StripePrice:
    return StripePrice(
        price_id=price_id, product_id=f"prod_{price_id}", product_name=name, lookup_key=key, **more
    )


def product(name: str = "Licence", code: str | None = "LIC", stored: str | None = None) -> dict[str, Any]:
    return {
        "Id": "01tA",
        "Name": name,
        "ProductCode": code,
        "Stripe_Price_Id__c": stored,
        "Stripe_Product_Id__c": f"prod_{stored}" if stored else None,
    }


def only(row: dict[str, Any], *prices: StripePrice) -> Match:
    [found] = match_products([row], prices, NAMES)
    return found


def test_the_lookup_key_wins_over_the_name() -> None:
    found = only(product(), price("by_name", "Licence"), price("by_key", "Other", "LIC"))
    assert found.price is not None
    assert found.price.price_id == "by_key"
    assert found.writes == ("price", "product id")


def test_the_name_matches_whatever_its_case_and_spaces() -> None:
    found = only(product(" annual  LICENCE"), price("p", "Annual Licence "))
    assert found.price is not None
    assert found.reason == "product name"


def test_what_is_set_stays_and_is_not_written_again() -> None:
    found = only(product(stored="chosen"), price("chosen", "Special"), price("keyed", "Licence", "LIC"))
    assert found.price is not None
    assert found.price.price_id == "chosen"
    assert not found.writes


def test_a_product_without_its_product_id_is_completed() -> None:
    row = product(stored="chosen") | {"Stripe_Product_Id__c": None}
    assert only(row, price("chosen")).writes == ("product id",), "the price itself stays"


@pytest.mark.parametrize(
    ("row", "prices", "reason"),
    [
        (product(), [], "no price: give one the product code as lookup key"),
        (
            product(code=None),
            [price("p", "Other")],
            "no price: give the product a code, and a price that code as lookup key",
        ),
        (
            product(),
            [price("a", "Licence"), price("b", "Licence")],
            "2 prices of that name: set a lookup key, or the price by hand",
        ),
        (
            product(),
            [price("a", "Licence", active=False)],
            "no price: give one the product code as lookup key",
        ),
        (
            product(),
            [price("a", "Licence", recurring=True)],
            "no price: give one the product code as lookup key",
        ),
        (product(stored="gone"), [], "the price that is set does not exist in this Stripe account"),
    ],
)
def test_what_is_not_certain_is_left_to_a_person(
    row: dict[str, Any], prices: list[StripePrice], reason: str
) -> None:
    found = only(row, *prices)
    assert found.price is None
    assert not found.writes
    assert found.reason == reason


def test_a_price_that_is_set_goes_to_no_second_product_of_the_same_name() -> None:
    billed = product(code=None, stored="p") | {"Id": "01tB", "Stripe_Product_Id__c": None}
    mirror = product(code=None) | {"Stripe_Product_Id__c": "prod_p"}
    first, second = match_products([mirror, billed], [price("p", "Licence")], NAMES)
    assert (first.price, first.writes) == (None, ())
    assert first.reason == "a product of that name has the price already: 01tB; is this one superfluous?"
    assert second.price is not None
    assert second.writes == ("product id",)


def test_of_products_with_one_name_none_gets_the_price() -> None:
    twins = [product(code=None), product(code=None) | {"Id": "01tB"}, product("Other", "KEY")]
    found = match_products(twins, [price("p", "Licence"), price("k", "Elsewhere", "KEY")], NAMES)
    reason = "2 products of that name: give one a code, or the price by hand"
    assert [one.reason for one in found] == [reason, reason, "lookup key = product code"]
    assert [one.writes for one in found] == [(), (), ("price", "product id")]


def test_a_column_without_codes_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    catalog._show(match_products([product(code=None)], [price("p", "Licence")], NAMES))
    assert "code" not in capsys.readouterr().out
    catalog._show(match_products([product(), product("Seat", code=None)], [price("p", "Licence")], NAMES))
    assert re.search(r"^matched +code +price", capsys.readouterr().out, re.MULTILINE)


def test_a_product_without_code_is_not_matched_with_a_price_without_key() -> None:
    assert only(product("A", code=None), price("p", "B", key="")).price is None
