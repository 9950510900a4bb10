"""The suite and the domain's own judgement look at the same deals and name the same reasons."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from expectations import runner, suites
from order_to_cash.domain.judgement import judge
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Address, BillTo, DealLine, StripePrice, WonDeal
from order_to_cash.domain.rows import COLUMNS, billing_rows

RULES = BillingRules(bill_deals_closed_on_or_after=date(2026, 1, 1), multi_currency=True)
CATALOGUE = {
    "price_once": StripePrice(
        price_id="price_once", product_id="prod_1", unit_amounts={"eur": 5000, "jpy": 5000}
    ),
    "price_monthly": StripePrice(
        price_id="price_monthly", product_id="prod_2", recurring=True, unit_amounts={"eur": 5000}
    ),
    "price_old": StripePrice(
        price_id="price_old", product_id="prod_3", active=False, unit_amounts={"eur": 1}
    ),
    "price_usd": StripePrice(price_id="price_usd", product_id="prod_4", unit_amounts={"usd": 5000}),
}
ACCOUNT = BillTo(
    account_id="001000000000001AAA",
    name="Northwind",
    email="billing@northwind.example",
    billing_address=Address(country="DE"),
)
LINE = DealLine(
    line_id="00k000000000001AAA",
    product_id="01t000000000001AAA",
    product_name="Widget",
    quantity=Decimal(2),
    unit_price=Decimal(50),
    total=Decimal(100),
    stripe_price_id="price_once",
)
DEAL = WonDeal(
    opportunity_id="006000000000001AAA",
    name="Deal",
    account=ACCOUNT,
    amount=Decimal(200),
    currency="EUR",
    close_date=date(2026, 11, 1),
    stage_name="Closed Won",
    lines=(LINE, LINE.model_copy(update={"line_id": "00k000000000002AAA"})),
    system_modstamp=datetime(2026, 11, 1, tzinfo=UTC),
)


def deal(**changes: Any) -> WonDeal:
    return DEAL.model_copy(update=changes)


def billed_to(**changes: Any) -> WonDeal:
    return deal(account=ACCOUNT.model_copy(update=changes))


def line(**changes: Any) -> WonDeal:
    return deal(lines=(DEAL.lines[0], DEAL.lines[1].model_copy(update=changes)))


DEALS = {
    "sound": DEAL,
    "no name": billed_to(name=""),
    "name of 300": billed_to(name="x" * 300),
    "no e-mail": billed_to(email=""),
    "malformed e-mail": billed_to(email="nobody at home"),
    "two e-mails": billed_to(email="a@b.example, c@d.example"),
    "no country": billed_to(billing_address=Address()),
    "unknown country": billed_to(billing_address=Address(country_given="Freedonia")),
    "unknown currency": deal(currency="ZZZ"),
    "no amount": deal(amount=None),
    "amount of zero": deal(amount=Decimal(0)),
    "negative amount": deal(amount=Decimal(-200)),
    "half a cent": deal(amount=Decimal("200.005")),
    "half a yen a line": deal(
        currency="JPY",
        amount=Decimal(201),
        lines=tuple(each.model_copy(update={"total": Decimal("100.5")}) for each in DEAL.lines),
    ),
    "no lines": deal(lines=()),
    "251 lines": deal(
        amount=Decimal(25_100),
        lines=tuple(LINE.model_copy(update={"line_id": f"00k0000000{n:05}AAA"}) for n in range(251)),
    ),
    "lines do not add up": deal(amount=Decimal("200.01")),
    "quantity of zero": line(quantity=Decimal(0)),
    "negative quantity": line(quantity=Decimal(-2)),
    "half a unit": line(quantity=Decimal("0.5")),
    "negotiated price": line(unit_price=Decimal(40), total=Decimal(100)),
    "no price": line(stripe_price_id=""),
    "unknown price": line(stripe_price_id="price_gone"),
    "archived price": line(stripe_price_id="price_old"),
    "price in another currency": line(stripe_price_id="price_usd"),
    "recurring price": line(stripe_price_id="price_monthly"),
    "recurring line": line(recurring=True),
    "unknown price of a recurring line": line(recurring=True, stripe_price_id="price_gone"),
    "very large": deal(
        amount=Decimal("9" * 16 + ".99"),
        lines=(LINE.model_copy(update={"total": Decimal("9" * 16 + ".99")}),),
    ),
}


@pytest.mark.parametrize("name", DEALS)
def test_both_judges_name_the_same_reasons(name: str) -> None:
    report = runner.validate("billing_record", billing_rows(DEALS[name], CATALOGUE))
    judged = suites.load("billing_record").codes
    expected = {each.code for each in judge(DEALS[name], CATALOGUE, RULES) if each.code in judged}
    assert {failure.code for failure in report.failures} == expected
    assert bool(report.passed_ids) is (not expected)


def test_every_reason_of_the_suite_comes_up_here() -> None:
    named = {found.code for each in DEALS.values() for found in judge(each, CATALOGUE, RULES)}
    assert suites.load("billing_record").codes <= named


def test_the_suite_declares_the_columns_that_the_rows_have() -> None:
    assert {column.name for column in suites.load("billing_record").columns} == set(COLUMNS)
