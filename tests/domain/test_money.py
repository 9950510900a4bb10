"""Money: every currency of Stripe's list, there and back, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import EXPONENTS, STEPS, CurrencyMixError, Money, known_currency, sum_money

CURRENCIES = st.sampled_from(sorted(EXPONENTS))


@given(CURRENCIES, st.integers(-(10**12), 10**12))
def test_every_amount_that_stripe_takes_goes_there_and_back(currency: str, units: int) -> None:
    money = Money(units * STEPS.get(currency, 1), currency)
    assert money.representable
    assert Money.from_major(money.to_major(), currency.upper()) == money


@given(CURRENCIES, st.integers(1, 10**9))
def test_what_a_currency_cannot_express_is_refused(currency: str, units: int) -> None:
    step = Decimal(STEPS.get(currency, 1)).scaleb(-EXPONENTS[currency])
    with pytest.raises(RecordRejected) as refused:
        Money.from_major(step * units + step / 2, currency)
    assert refused.value.code == "amount_not_exact"


@given(CURRENCIES, st.lists(st.integers(-(10**9), 10**9)), st.integers(-1000, 1000))
def test_arithmetic_is_that_of_whole_numbers(currency: str, amounts: list[int], factor: int) -> None:
    money = [Money(amount, currency) for amount in amounts]
    total = sum_money(money, currency)
    assert total.amount_minor == sum(amounts)
    assert (total * factor).amount_minor == sum(amounts) * factor
    assert factor * total == total * factor
    assert total - total == Money.zero(currency)
    assert -total + total == Money.zero(currency)


@pytest.mark.parametrize(
    ("major", "currency", "minor", "shown"),
    [
        ("1234.5", "EUR", 123450, "€1,234.50 EUR"),
        ("500", "JPY", 500, "¥500 JPY"),
        ("5", "ISK", 500, "5 ISK"),
        ("12000", "ugx", 1200000, "12,000 UGX"),
        ("5.12", "KWD", 5120, "5.120 KWD"),
        ("-0.05", "usd", -5, "-$0.05 USD"),
        ("10.45", "HUF", 1045, "10.45 HUF"),
        ("1", "MGA", 1, "1 MGA"),
    ],
)
def test_stripe_writes_these_amounts_so(major: str, currency: str, minor: int, shown: str) -> None:
    money = Money.from_major(Decimal(major), currency)
    assert money.amount_minor == minor
    assert str(money) == shown


@pytest.mark.parametrize(
    ("major", "currency"),
    [
        *(("0.5", "JPY"), ("5.5", "ISK"), ("5.124", "KWD"), ("0.001", "USD"), ("0.125", "UGX")),
        *(("NaN", "USD"), ("Infinity", "USD"), ("1E+999999", "USD"), ("1E-999999", "USD")),
    ],
)
def test_inexact_amounts_are_refused_whatever_they_look_like(major: str, currency: str) -> None:
    with pytest.raises(RecordRejected) as refused:
        Money.from_major(Decimal(major), currency)
    assert refused.value.code == "amount_not_exact"
    assert "decimal places" in refused.value.remedy


@pytest.mark.parametrize("code", ["", "XXX", "EURO", "usdc", "\n"])
def test_other_currencies_are_refused(code: str) -> None:
    assert not known_currency(code)
    with pytest.raises(RecordRejected) as refused:
        Money(1, code)
    assert refused.value.code == "currency_unknown"


def test_currencies_do_not_mix() -> None:
    for operation in ("__add__", "__sub__", "__lt__"):
        with pytest.raises(CurrencyMixError):
            getattr(Money(1, "usd"), operation)(Money(1, "eur"))
    assert Money(1, "usd") != Money(1, "eur")
    assert Money(1, "usd") < Money(2, "usd")


@pytest.mark.parametrize("wrong", [1.0, True, "1", Decimal(1)])
def test_only_whole_numbers_are_minor_units(wrong: object) -> None:
    with pytest.raises(TypeError):
        Money(cast("Any", wrong), "usd")


def test_a_float_is_no_amount() -> None:
    with pytest.raises(TypeError):
        Money.from_major(cast("Any", 1.5), "usd")
    with pytest.raises(TypeError):
        _ = Money(1, "usd") * cast("Any", 1.5)


def test_the_table_names_real_currencies_only() -> None:
    # ANG and STD left ISO 4217 in 2025 and 2018, BGN in 2026; Stripe's list keeps them.
    iso = {currency.alpha_3.lower() for currency in pycountry.currencies}
    assert set(EXPONENTS) - iso == {"ang", "std", "bgn"}
    assert len(EXPONENTS) >= 135
    assert {code for code, digits in EXPONENTS.items() if digits == 3} == {"bhd", "jod", "kwd", "omr", "tnd"}
