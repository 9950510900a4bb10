"""Countries, e-mail addresses, record ids and queries: what people type, in one spelling."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote_plus

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from order_to_cash.domain import identity
from order_to_cash.domain.countries import country_code
from order_to_cash.domain.emails import email_domain, is_free_mail, is_valid_email, normalize_email
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.policy import BillingRules, FieldNames, LineSource
from order_to_cash.domain.queries import (
    LONGEST_QUERY,
    billed_deals_query,
    candidates_query,
    contacts_queries,
    deals_by_id_queries,
    lines_queries,
    soql_literal,
    won_deals_query,
)
from tests.domain.deals import GO_LIVE, OPPORTUNITY, RULES


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("Deutschland", "DE"), ("Türkiye", "TR"), ("Turkey", "TR"), ("Ivory Coast", "CI"), ("de", "DE")),
        *(
            (" usa ", "US"),
            ("U.S.A.", "US"),
            ("Vereinigte Staaten", "US"),
            ("Osterreich", "AT"),
            ("UK", "GB"),
        ),
        *(
            ("España", "ES"),
            ("日本", "JP"),
            ("Россия", "RU"),
            ("The Netherlands", "NL"),
            ("cote d’ivoire", "CI"),
        ),
        *(("Korea, Republic of", "KR"), ("Trinidad & Tobago", "TT"), ("Mexico", "MX"), ("NA", "NA")),
        *(("", None), ("  ", None), ("Freedonia", None), ("Europe", None), ("Springfield", None)),
    ],
)
def test_countries_are_known_by_their_usual_names(name: str, code: str | None) -> None:
    assert country_code(name) == code


def test_every_country_is_known_by_code_and_english_name() -> None:
    for country in pycountry.countries:
        for name in (country.alpha_2, country.alpha_3.lower(), country.name, country.name.upper()):
            assert country_code(name) == country.alpha_2


@pytest.mark.parametrize(
    ("typed", "address"),
    [(" Ada@X.COM ", "ada@x.com"), ("a+b@sub.x.co.uk", "a+b@sub.x.co.uk"), ("x@acme.test", "x@acme.test")],
)
def test_one_address_has_one_spelling(typed: str, address: str) -> None:
    assert normalize_email(typed) == address
    assert normalize_email(address) == address


@pytest.mark.parametrize(
    "typed",
    [
        "nobody",
        "a@b",
        "a@x.com; b@x.com",
        "Ada <a@x.com>",
        "a b@x.com",
        "a@[1.2.3.4]",
        ".a@x.com",
        "a@x..com",
        "@",
    ],
)
def test_malformed_addresses_are_refused_without_repeating_them(typed: str) -> None:
    assert not is_valid_email(typed)
    with pytest.raises(RecordRejected) as refused:
        normalize_email(typed)
    assert refused.value.code == "billing_email_malformed"
    assert typed == "@" or typed not in str(refused.value)


def test_a_missing_address_is_another_matter() -> None:
    with pytest.raises(RecordRejected) as refused:
        normalize_email("  ")
    assert refused.value.code == "billing_email_missing"


def test_free_mail_is_told_from_company_mail() -> None:
    assert email_domain("Ada@GMail.com") == "gmail.com"
    assert is_free_mail("GMX.de")
    assert not is_free_mail("northwind.example")
    assert email_domain("nobody") == ""


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("006000000000001", OPPORTUNITY),
        (OPPORTUNITY.lower(), OPPORTUNITY),
    ],
)
def test_record_ids_have_eighteen_characters(short: str, full: str) -> None:
    assert identity.salesforce_id(f" {short} ") == full


@pytest.mark.parametrize(
    "wrong", ["", "006", "006000000000001AAB", "006'; DELETE", "00600000000000é", "x" * 40]
)
def test_other_texts_are_no_record_ids(wrong: str) -> None:
    with pytest.raises(RecordRejected) as refused:
        identity.salesforce_id(wrong)
    assert refused.value.code == "salesforce_id_malformed"


def test_keys_are_business_facts() -> None:
    key = identity.invoice_key("006000000000001", 2)
    assert key == f"o2c:invoice:{OPPORTUNITY}:2"
    assert identity.step_key(key, "finalize") == f"{key}:finalize"
    assert identity.customer_key("001000000000001", "USD") == "o2c:customer:001000000000001AAA:usd"
    assert identity.customer_key("001000000000001", "USD", 2).endswith(":usd:2")
    assert identity.full_id(" 001000000000001 ") == "001000000000001AAA"
    assert identity.full_id(" ask sales ") == "ask sales"
    with pytest.raises(ValueError, match="from 1"):
        identity.invoice_key(OPPORTUNITY, 0)
    with pytest.raises(ValueError, match="255"):
        identity.step_key(key, "x" * 255)


def test_digests_depend_on_values_not_on_their_spelling() -> None:
    one = {"a": Decimal("1.50"), "b": [GO_LIVE, None, True]}
    other = {"b": (date(2026, 11, 1), None, True), "a": Decimal("1.5")}
    assert identity.digest(one) == identity.digest(other)
    assert identity.canonical_json(Decimal(100)) == '"100"'
    with pytest.raises(TypeError):
        identity.digest({"a": 1.5})


def test_the_sweep_asks_for_unbilled_won_deals_and_keeps_nulls() -> None:
    query = won_deals_query(RULES, datetime(2026, 11, 20, 9, 30, 0, 5000, tzinfo=UTC))
    for part in (
        "StageName IN ('Closed Won')",
        "CloseDate >= 2026-11-01",
        "Stripe_Invoice_Id__c = null",
        "(Type = null OR Type NOT IN ('Renewal'))",
        "SystemModstamp >= 2026-11-20T09:30:00.005Z",
        "ORDER BY SystemModstamp, Id",
    ):
        assert part in query
    assert "CurrencyIsoCode" not in query
    fields = "SELECT Id, SystemModstamp, Account.SystemModstamp FROM Opportunity WHERE StageName"
    assert candidates_query(RULES).startswith(fields)


def test_a_deal_is_a_candidate_again_when_its_account_was_touched() -> None:
    stamp = "2026-11-20T09:30:00.005Z"
    query = candidates_query(RULES, datetime(2026, 11, 20, 9, 30, 0, 5000, tzinfo=UTC))
    assert f" AND (SystemModstamp >= {stamp} OR Account.SystemModstamp >= {stamp}) ORDER BY" in query
    billed = billed_deals_query(RULES, datetime(2026, 11, 20, 9, 30, 0, 5000, tzinfo=UTC))
    assert f"WHERE Stripe_Invoice_Id__c != null AND SystemModstamp >= {stamp} ORDER BY" in billed


def test_cpq_reads_the_primary_quote_and_several_currencies_their_code() -> None:
    rules = BillingRules(
        bill_deals_closed_on_or_after=GO_LIVE,
        line_source=LineSource.CPQ_QUOTE_LINES,
        multi_currency=True,
        excluded_types=(),
    )
    assert "CurrencyIsoCode" in won_deals_query(rules)
    assert "Type NOT IN" not in won_deals_query(rules)
    (query,) = lines_queries(rules, [OPPORTUNITY])
    assert "FROM SBQQ__QuoteLine__c" in query
    assert "SBQQ__Quote__r.SBQQ__Primary__c = true" in query


def test_queries_name_no_custom_field_outside_the_policy() -> None:
    names = FieldNames(account_billing_email="AP_Mail__c", product_price_id="acme__Price__c")
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, field_names=names)
    texts = [won_deals_query(rules), candidates_query(rules), *lines_queries(rules, [OPPORTUNITY])]
    texts += [*deals_by_id_queries(rules, [OPPORTUNITY]), *contacts_queries([OPPORTUNITY])]
    named = {word.split(".")[-1] for text in texts for word in re.findall(r"[\w.]+__c", text)}
    assert named <= {field for fields in names.by_object().values() for field in fields}
    assert {"AP_Mail__c", "acme__Price__c"} <= named


def test_long_lists_of_ids_are_split_to_fit_an_address() -> None:
    ids = [f"006{number:012d}" for number in range(1500)]
    for queries in (deals_by_id_queries(RULES, ids), lines_queries(RULES, ids), contacts_queries(ids)):
        assert all(len(quote_plus(query)) <= LONGEST_QUERY for query in queries)
        assert sum(query.count("'006") for query in queries) == 1500
        assert len(queries) <= 4
    assert len(lines_queries(RULES, ids[:200])) == 1
    assert deals_by_id_queries(RULES, []) == []
    assert deals_by_id_queries(RULES, [ids[0], OPPORTUNITY])[0].count("'006") == 2


@given(st.text())
def test_no_text_ends_its_literal_early(text: str) -> None:
    inner = soql_literal(text)[1:-1]
    assert "'" not in inner.replace("\\\\", "").replace("\\'", "")
    assert not inner.replace("\\\\", "").endswith("\\")


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ('O\'Brien \\ "Co"', "'O\\'Brien \\\\ \"Co\"'"),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (Decimal("1E+3"), "1000"),
        (["a", "b"], "('a', 'b')"),
    ],
)
def test_literals(value: str | None, literal: str) -> None:
    assert soql_literal(value) == literal


@pytest.mark.parametrize("value", [[], datetime(2026, 1, 1)])  # noqa: DTZ001 — the naive moment is the case
def test_values_without_a_literal_are_refused(value: datetime) -> None:
    with pytest.raises(ValueError, match=r"empty list|time zone"):
        soql_literal(value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_deals_per_run": 0}, "greater than or equal to 1"),
        ({"days_until_due": -1}, "greater than or equal to 0"),
        ({"approval_limit": {"USD": "-1"}}, "zero or more"),
        ({"max_amount_per_run": {"XXX": "1"}}, "does not bill"),
        ({"max_amount_per_run": {"JPY": "0.5"}}, "decimal places"),
        ({"default_currency": "dollars"}, "does not bill"),
        ({"stage_names": ()}, "at least one stage"),
        ({"stage_names": (" ",)}, "empty name"),
        ({"field_names": {"account_billing_email": "Email FROM User"}}, "pattern"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BillingRules.model_validate({"bill_deals_closed_on_or_after": GO_LIVE} | wrong)


def test_the_go_live_date_is_mandatory() -> None:
    with pytest.raises(ValidationError, match="bill_deals_closed_on_or_after"):
        BillingRules.model_validate({})


def test_field_names_are_told_by_object() -> None:
    by_object = FieldNames().by_object()
    assert set(by_object) == {"Opportunity", "Account", "Product2"}
    assert by_object["Account"] == (
        *("Stripe_Customer_Id__c", "Billing_Email__c"),
        *("Dunning_Segment__c", "Billing_Time_Zone__c"),
    )
