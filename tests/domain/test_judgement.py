"""Each bad input has its own clear reason, and all reasons come at once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from order_to_cash.domain.judgement import judge
from order_to_cash.domain.policy import BillingRules, FieldNames
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import Address, WonDeal
from order_to_cash.domain.rows import COLUMNS, billing_rows
from tests.domain.deals import CATALOGUE, GO_LIVE, RULES, bill_to, deal, line

BAD = {
    "billing_email_missing": deal(account=bill_to(email="  ")),
    "billing_email_malformed": deal(account=bill_to(email="billing at northwind")),
    "billing_country_unknown": deal(account=bill_to(billing_address=Address(country_given="Freedonia"))),
    "currency_unknown": deal(currency="XTS"),
    "amount_missing": deal(amount=None),
    "amount_zero": deal(line("1", "0"), amount=Decimal(0)),
    "amount_negative": deal(line("1", "10"), amount=Decimal(-10)),
    "amount_not_exact": deal(line("3", "10.001"), amount=Decimal("10.001")),
    "no_lines": deal().model_copy(update={"lines": ()}),
    "quantity_not_positive": deal(line("0", "100")),
    "price_missing": deal(line(price="")),
    "price_unknown": deal(line(price="price_elsewhere")),
    "price_currency_mismatch": deal(line(price="price_day"), currency="EUR"),
    "lines_do_not_add_up": deal(amount=Decimal("100.01")),
    "customer_name_too_long": deal(account=bill_to(name="N" * 300)),
    "customer_name_missing": deal(account=bill_to(name="")),
    "too_many_lines": deal(*(line("1", "10", number=number) for number in range(251))),
    "needs_subscription": deal(line("1", "49", "price_monthly")),
    "closed_before_go_live": deal(close_date=date(2026, 10, 31)),
    "already_billed": deal(stripe_invoice_id="in_1"),
    "stage_not_won": deal(stage_name="Negotiation"),
    "excluded_type": deal(deal_type="renewal"),
    "negative_line": deal(line("1", "10"), line("1", "-10", number=2), amount=Decimal(5)),
    "collection_method_unknown": deal(collection_method="by carrier pigeon"),
    "days_until_due_invalid": deal(days_until_due=-1),
}


def codes(bad: WonDeal, rules: BillingRules = RULES) -> list[str]:
    return [found.code for found in judge(bad, CATALOGUE, rules)]


@pytest.mark.parametrize("reason", BAD)
def test_bad_input_has_its_own_reason(reason: str) -> None:
    found = {one.code: one for one in judge(BAD[reason], CATALOGUE, RULES)}
    assert reason in found
    assert found[reason].message
    assert found[reason].remedy
    assert found[reason].field
    alone = {"amount_not_exact": 2, "amount_negative": 2, "amount_zero": 1, "negative_line": 2}
    assert len(judge(BAD[reason], CATALOGUE, RULES)) == alone.get(reason, 1)


def test_a_sound_deal_has_none() -> None:
    assert codes(deal()) == []
    assert codes(deal(account=bill_to(name='O\'Brien \\ "Co" <!channel>'))) == []
    assert codes(deal(stage_name="closed won", collection_method="charge_automatically")) == []
    assert codes(deal(account=bill_to(billing_address=Address()))) == []


def test_a_retired_price_is_as_good_as_none() -> None:
    assert codes(deal(line("1", "1", "price_retired"))) == ["price_unknown"]


def test_recurring_deals_are_held_by_the_price_or_by_the_line() -> None:
    mixed = deal(line(), line("1", "49", "price_monthly", number=2))
    assert codes(mixed) == ["needs_subscription"]
    assert "partly" in judge(mixed, CATALOGUE, RULES)[0].message
    assert codes(deal(line(recurring=True))) == ["needs_subscription"]


def test_a_discount_line_is_welcome_as_long_as_something_is_left() -> None:
    assert codes(deal(line(), line("1", "-20", number=2))) == []


def test_problems_point_at_the_fields_of_the_policy() -> None:
    names = FieldNames(product_price_id="acme__Price__c", account_billing_email="AP_Mail__c")
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, field_names=names)
    found = judge(deal(line(price=""), account=bill_to(email="")), CATALOGUE, rules)
    assert [one.field for one in found] == ["Account.AP_Mail__c", "Product2.acme__Price__c"]


def test_all_reasons_come_at_once_the_deciding_one_first() -> None:
    bad = deal(
        line("0", "100", ""),
        account=bill_to(email="", name="N" * 300),
        stage_name="Open",
        amount=Decimal(1),
    )
    assert codes(bad) == [
        *("stage_not_won", "customer_name_too_long", "billing_email_missing", "lines_do_not_add_up"),
        *("quantity_not_positive", "price_missing"),
    ]


def test_stripe_tax_needs_a_country() -> None:
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, automatic_tax=True)
    nowhere = bill_to(billing_address=Address())
    assert codes(deal(account=nowhere), rules) == ["billing_country_unknown"]
    shipped = bill_to(billing_address=Address(), shipping_address=Address(country="DE"))
    assert codes(deal(account=shipped), rules) == []


def test_every_reason_has_advice_and_messages_carry_no_address() -> None:
    for reason in Reason:
        assert problem(reason, "x").remedy
    for bad in BAD.values():
        for found in judge(bad, CATALOGUE, RULES):
            assert bad.account.email.strip() == "" or bad.account.email not in found.message


@pytest.mark.parametrize("reason", BAD)
def test_rows_have_the_agreed_columns_and_no_float(reason: str) -> None:
    for row in billing_rows(BAD[reason], CATALOGUE):
        assert set(row) == set(COLUMNS)
        assert {type(value) for value in row.values()} <= {str, int, bool, type(None)}


def test_rows_say_what_the_judgement_says() -> None:
    rows = {reason: billing_rows(bad, CATALOGUE)[0] for reason, bad in BAD.items()}
    assert rows["billing_email_malformed"]["billing_email_valid"] is False
    assert rows["billing_email_missing"]["billing_email"] == ""
    assert rows["billing_country_unknown"]["country_known"] is False
    assert rows["currency_unknown"]["currency_known"] is False
    assert rows["amount_missing"]["amount_minor"] is None
    assert rows["amount_not_exact"]["amount_exact"] is False
    assert rows["no_lines"]["line_id"] == ""
    assert rows["quantity_not_positive"]["quantity_positive"] is False
    assert rows["price_missing"]["price_id"] == ""
    assert rows["price_unknown"]["price_known"] is False
    assert rows["price_currency_mismatch"]["price_currency_ok"] is False
    assert rows["lines_do_not_add_up"]["lines_match_amount"] is False
    assert rows["needs_subscription"]["recurring"] is True
    assert rows["customer_name_too_long"]["account_name_length"] == 300
    assert len(billing_rows(BAD["too_many_lines"], CATALOGUE)) == 251
