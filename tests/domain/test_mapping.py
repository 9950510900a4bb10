"""Raw Salesforce rows become deals; what cannot be read says so, and nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.mapping import (
    MappedDeal,
    lines_by_deal,
    map_deal,
    map_deals,
    primary_emails,
)
from order_to_cash.domain.policy import BillingRules, FieldNames, LineSource
from order_to_cash.domain.reading import read_decimal
from tests.domain.deals import ACCOUNT, GO_LIVE, OPPORTUNITY, RULES, raw_account, raw_deal, raw_line

CPQ = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, line_source=LineSource.CPQ_QUOTE_LINES)
MULTI = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, multi_currency=True)


def mapped(raw: dict[str, Any], rules: BillingRules = RULES, contact: str = "") -> MappedDeal:
    return map_deal(raw, [raw_line()], contact, rules)


def code(result: MappedDeal) -> str:
    assert result.deal is None
    return result.problems[0].code


def test_a_deal_is_read_whole() -> None:
    raw = raw_deal(Stripe_Days_Until_Due__c=45.0, Stripe_Collection_Method__c="send_invoice", Type="New")
    result = mapped(raw)
    deal = result.deal
    assert deal is not None
    assert result.problems == ()
    assert deal.opportunity_id == OPPORTUNITY
    assert deal.account.account_id == ACCOUNT
    assert deal.account.email == "billing@northwind.example"
    assert deal.account.email_source == "account"
    assert deal.account.billing_address.line1 == "Main Street 1"
    assert deal.account.billing_address.line2 == "Floor 2"
    assert deal.account.billing_address.country == "US"
    assert (deal.amount, deal.currency, deal.days_until_due) == (Decimal(100), "USD", 45)
    assert deal.system_modstamp == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert deal.lines[0].stripe_price_id == "price_seat"
    assert deal.lines[0].unit_price == Decimal(10)


def test_the_primary_contact_stands_in_for_a_missing_billing_email() -> None:
    raw = raw_deal(Account=raw_account(Billing_Email__c="  "))
    result = mapped(raw, contact=" ap@northwind.example ")
    assert result.deal is not None
    assert result.deal.account.email == "ap@northwind.example"
    assert result.deal.account.email_source == "contact"
    contacts: list[dict[str, Any]] = [
        {"OpportunityId": OPPORTUNITY, "Contact": {"Email": "x@y.example"}},
        {"OpportunityId": "006", "Contact": None},
    ]
    assert primary_emails(contacts) == {OPPORTUNITY: "x@y.example"}


def test_a_country_in_another_language_is_understood_and_an_unknown_one_kept() -> None:
    known = mapped(raw_deal(Account=raw_account(BillingCountry="Deutschland"))).deal
    unknown = mapped(raw_deal(Account=raw_account(BillingCountry="Freedonia"))).deal
    assert known is not None
    assert unknown is not None
    assert (known.account.billing_address.country, known.account.billing_address.country_given) == ("DE", "")
    assert (unknown.account.billing_address.country, unknown.account.billing_address.country_given) == (
        "",
        "Freedonia",
    )


@pytest.mark.parametrize(
    "missing",
    [
        {"Account": None},
        {"AccountId": None},
        {"AccountId": None, "Account": None},
        {"Account": raw_account(IsDeleted=True)},
    ],
)
def test_an_account_that_is_gone_is_named(missing: dict[str, Any]) -> None:
    assert code(mapped(raw_deal(**missing))) == "account_missing"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"Id": "006!"}, "Id"),
        ({"Amount": "a hundred"}, "Amount"),
        ({"Amount": 12345678901234.567}, "Amount"),
        ({"Amount": True}, "Amount"),
        ({"CloseDate": "15.11.2026"}, "CloseDate"),
        ({"CloseDate": None}, "CloseDate"),
        ({"SystemModstamp": "2026-11-20T09:30:00"}, "SystemModstamp"),
        ({"SystemModstamp": "yesterday"}, "SystemModstamp"),
    ],
)
def test_an_unreadable_value_names_its_field(wrong: dict[str, Any], field: str) -> None:
    result = mapped(raw_deal(**wrong))
    assert code(result) == "record_unreadable"
    assert result.problems[0].field == field
    assert result.name == "Northwind seats"


def test_terms_are_whole_days() -> None:
    assert code(mapped(raw_deal(Stripe_Days_Until_Due__c=30.5))) == "days_until_due_invalid"


def test_currency_comes_from_the_record_where_there_are_several() -> None:
    deal = mapped(raw_deal(CurrencyIsoCode="eur"), MULTI).deal
    assert deal is not None
    assert deal.currency == "EUR"
    assert code(mapped(raw_deal(), MULTI)) == "currency_unknown"


def test_lines_tell_all_that_is_wrong_with_them() -> None:
    lines = [raw_line(Quantity=None), raw_line(TotalPrice="x"), raw_line(Id="")]
    result = map_deal(raw_deal(), lines, "", RULES)
    assert [found.field for found in result.problems] == ["Quantity", "TotalPrice", "Id"]


def test_the_unit_price_is_net_of_the_lines_discount() -> None:
    result = map_deal(raw_deal(), [raw_line(UnitPrice=12.5)], "", RULES)
    assert result.deal is not None
    assert result.deal.lines[0].unit_price == Decimal(10)


def test_batches_are_put_together_by_opportunity() -> None:
    other = "006000000000002AAA"
    deals = [raw_deal(), raw_deal(Id=other), raw_deal(AccountId=None)]
    results = map_deals(deals, [raw_line(OpportunityId=other)], [], RULES)
    assert [len(one.deal.lines) if one.deal else None for one in results] == [0, 1, None]


def quote_line(**other: Any) -> dict[str, Any]:
    return {
        "Id": "a0Q000000000001",
        "SBQQ__Quote__r": {"SBQQ__Opportunity2__c": OPPORTUNITY},
        "SBQQ__Product__c": "01t000000000001AAA",
        "SBQQ__Product__r": {"Name": "Seat", "ProductCode": "S-1", "Stripe_Price_Id__c": "price_seat"},
        "SBQQ__Description__c": None,
        "SBQQ__Quantity__c": 10,
        "SBQQ__NetPrice__c": 9.5,
        "SBQQ__NetTotal__c": 95,
        "SBQQ__SubscriptionPricing__c": None,
        "SBQQ__SubscriptionType__c": "Renewable",
        "SBQQ__RequiredBy__c": None,
        **other,
    }


@pytest.mark.parametrize(
    ("fields", "recurring"),
    [
        ({}, False),
        ({"SBQQ__SubscriptionPricing__c": "Fixed Price"}, True),
        ({"SBQQ__SubscriptionPricing__c": "Fixed Price", "SBQQ__SubscriptionType__c": "One-time"}, False),
        (
            {"SBQQ__SubscriptionPricing__c": "Percent Of Total", "SBQQ__SubscriptionType__c": "Evergreen"},
            True,
        ),
    ],
)
def test_quote_lines_are_read_as_cpq_means_them(fields: dict[str, Any], recurring: bool) -> None:
    grouped = lines_by_deal([quote_line(**fields)], CPQ)
    result = map_deal(raw_deal(Amount=95), grouped[OPPORTUNITY], "", CPQ)
    assert result.deal is not None
    assert result.deal.lines[0].recurring is recurring
    assert result.deal.lines[0].total == Decimal(95)
    assert result.deal.lines[0].unit_price == Decimal("9.5")


INCLUDED = {
    "Id": "a0Q000000000002",
    "SBQQ__Product__r": {"Name": "Handbook", "Stripe_Price_Id__c": None},
    "SBQQ__NetTotal__c": 0,
    "SBQQ__RequiredBy__c": "a0Q000000000001",
}


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, 1),
        ({"SBQQ__SubscriptionPricing__c": "Fixed Price"}, 1),
        ({"SBQQ__RequiredBy__c": None}, 2),
        ({"SBQQ__NetTotal__c": 1}, 2),
        ({"SBQQ__Product__r": {"Stripe_Price_Id__c": "price_handbook"}}, 2),
    ],
    ids=["included", "included subscription", "no component", "costs something", "has a price"],
)
def test_what_a_bundle_includes_for_nothing_is_left_off(fields: dict[str, Any], lines: int) -> None:
    rows = [quote_line(), quote_line(**{**INCLUDED, **fields})]
    result = map_deal(raw_deal(Amount=95), rows, "", CPQ)
    assert result.deal is not None
    assert len(result.deal.lines) == lines


def test_a_component_whose_total_cannot_be_read_is_told() -> None:
    rows = [quote_line(), quote_line(**{**INCLUDED, "SBQQ__NetTotal__c": "free"})]
    result = map_deal(raw_deal(Amount=95), rows, "", CPQ)
    assert [problem.code for problem in result.problems] == ["record_unreadable"]


def test_without_its_pricing_field_a_quote_lines_type_decides() -> None:
    row = quote_line()
    del row["SBQQ__SubscriptionPricing__c"]
    result = map_deal(raw_deal(), [row], "", CPQ)
    assert result.deal is not None
    assert result.deal.lines[0].recurring


def test_an_organisations_own_field_names_are_read() -> None:
    names = FieldNames(account_billing_email="AP_Mail__c", opportunity_invoice_id="acme__Inv__c")
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, field_names=names)
    deal = mapped(raw_deal(Account=raw_account(AP_Mail__c="ap@x.example"), acme__Inv__c="in_1"), rules).deal
    assert deal is not None
    assert (deal.account.email, deal.stripe_invoice_id) == ("ap@x.example", "in_1")


JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just({})
)


@given(
    st.dictionaries(st.sampled_from(sorted(raw_deal())), JUNK),
    st.dictionaries(st.sampled_from(sorted(raw_line())), JUNK),
)
def test_no_record_whatever_stops_the_batch(deal: dict[str, Any], line: dict[str, Any]) -> None:
    result = map_deal(raw_deal(**deal), [raw_line(**line)], "", RULES)
    assert (result.deal is None) == bool(result.problems)


@given(st.decimals(-(10**10), 10**10, places=4, allow_nan=False))
def test_numbers_are_taken_over_exactly(number: Decimal) -> None:
    assert read_decimal(number) == number
    assert read_decimal(str(number)) == number
    assert read_decimal(float(number)) == number


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0.1 + 0.2, "1,5", [], {}])
def test_what_is_no_exact_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not a|digits"):
        read_decimal(wrong)
