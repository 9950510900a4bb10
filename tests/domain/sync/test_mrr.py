"""Monthly recurring revenue of one subscription: exact, rounded once, never a float."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import Money
from order_to_cash.domain.sync.mrr import mrr_of, plan_value, rounded
from tests.domain.sync.stripe_objects import Json, item, price, subscription


def every(interval: str, count: int = 1, usage: str = "licensed") -> Json:
    return {"interval": interval, "interval_count": count, "usage_type": usage}


def tiers(mode: str, *steps: tuple[int | None, int, int]) -> Json:
    made = [{"up_to": up_to, "unit_amount": unit, "flat_amount": flat} for up_to, unit, flat in steps]
    return price(
        billing_scheme="tiered", unit_amount=None, unit_amount_decimal=None, tiers=made, tiers_mode=mode
    )


@pytest.mark.parametrize(
    ("sold", "quantity", "minor"),
    [
        (price(), 2, 10_000),
        (price(recurring=every("year"), unit_amount=120_000), 3, 30_000),
        (price(recurring=every("month", 3), unit_amount=1_000), 1, 333),
        (price(recurring=every("week"), unit_amount=1_200), 1, 5_200),
        (price(recurring=every("day"), unit_amount=1_200), 1, 36_500),
        (price(recurring=every("year", 2), unit_amount=2_400), 1, 100),
        # half to even, once at the end
        (price(recurring=every("year"), unit_amount=6), 1, 0),
        (price(recurring=every("year"), unit_amount=18), 1, 2),
        # decimal unit amounts, as text or as the SDK's Decimal
        (price(unit_amount=None, unit_amount_decimal="0.05"), 1_000, 50),
        (price(unit_amount=None, unit_amount_decimal=Decimal("12.5")), 3, 38),
        # packages
        (price(transform_quantity={"divide_by": 10, "round": "up"}), 11, 10_000),
        (price(transform_quantity={"divide_by": 10, "round": "down"}), 19, 5_000),
        # tiers: each at its own price, or all at one
        (tiers("graduated", (5, 100, 0), (10, 80, 50), (None, 50, 0)), 12, 500 + 400 + 50 + 100),
        (tiers("volume", (5, 100, 0), (10, 80, 50), (None, 50, 0)), 7, 560 + 50),
        (tiers("volume", (5, 100, 0), (None, 50, 0)), 5, 500),
        (tiers("graduated", (5, 100, 7), (None, 50, 0)), 0, 7),
    ],
)
def test_what_an_item_brings_a_month(sold: Json, quantity: int, minor: int) -> None:
    assert mrr_of(subscription(item(quantity, price=sold))).amount == Money(minor, "usd")


def test_items_are_added_before_they_are_rounded() -> None:
    third = price(recurring=every("month", 3), unit_amount=100)
    body = subscription(*(item(1, price=third) for _ in range(3)))
    assert mrr_of(body).amount == Money(100, "usd")


@pytest.mark.parametrize(
    ("body", "minor", "note"),
    [
        (
            subscription(item(), item(None, price=price(recurring=every("month", 1, "metered")))),
            10_000,
            "Usage that is metered is not included.",
        ),
        (
            subscription(
                item(), item(1, price=price(id="price_t", billing_scheme="tiered", unit_amount=None))
            ),
            10_000,
            "The price price_t is not included: what it costs a month is not known.",
        ),
        (subscription(discounts=["di_1"]), 10_000, "Before discounts."),
        (subscription(pause_collection={"behavior": "void"}), 10_000, "Collection is paused."),
        (subscription(status="trialing"), 0, "In trial: counts from the first payment on."),
        (subscription(status="canceled"), 0, ""),
        (subscription(status="unpaid"), 0, ""),
        (subscription(status="past_due"), 10_000, ""),
    ],
)
def test_what_is_left_out_is_said(body: Json, minor: int, note: str) -> None:
    worth = mrr_of(body)
    assert (worth.amount.amount_minor, worth.note) == (minor, note)


def test_the_plan_is_worth_the_same_whatever_the_status() -> None:
    assert plan_value(subscription(status="canceled")).amount == Money(10_000, "usd")


@pytest.mark.parametrize(
    ("currency", "minor"), [("jpy", 10_000), ("bhd", 10_000), ("usd", 10_000), ("isk", 10_000)]
)
def test_the_currency_is_kept(currency: str, minor: int) -> None:
    assert mrr_of(subscription(currency=currency)).amount == Money(minor, currency)


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(RecordRejected, match="ZZZ"):
        mrr_of(subscription(currency="zzz"))


@given(st.fractions(min_value=0, max_value=10**9), st.sampled_from(["usd", "jpy", "kwd"]))
def test_rounding_is_off_by_half_a_step_at_most_and_fits_the_field(amount: Fraction, currency: str) -> None:
    made = rounded(amount, currency)
    step = 10 if currency == "kwd" else 1
    assert abs(made.amount_minor - amount) <= Fraction(step, 2)
    exponent: Any = made.to_major().normalize().as_tuple().exponent
    assert exponent >= -2
