"""Records are written whole or not at all, one row each, in fields that the package declares."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.fields import FIELDS, PICKLISTS
from order_to_cash.domain.sync.record import WAVES
from order_to_cash.domain.sync.rows import merge_rows, rows_of
from order_to_cash.domain.sync.shapes import Context, ObjectKey, Row
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import CONTEXT, NOW, code, mapped, only, state
from tests.domain.sync.stripe_objects import ACCOUNT, Json

PACKAGE = Path(__file__).parents[3] / "salesforce/force-app/main/default/objects"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (stripe.invoice(number="x" * 65), "text_too_long"),
        (stripe.invoice(stripe.invoice_line(description="x" * 5_001), status="open"), "text_too_long"),
        (stripe.subscription(status="hibernating"), "value_unknown"),
        (stripe.refund(reason="because"), "value_unknown"),
        (stripe.charge(currency="zzz"), "currency_unknown"),
        (stripe.subscription(currency="zzz"), "currency_unknown"),
        (stripe.charge(currency="kwd", amount=1_234), "amount_not_exact"),
        (stripe.charge(amount=None), "stripe_object_unreadable"),
        (stripe.charge(amount=12.5), "stripe_object_unreadable"),
        (stripe.charge(created=10**15), "stripe_object_unreadable"),
    ],
)
def test_what_does_not_fit_is_a_problem_and_no_record(body: Json, wanted: str) -> None:
    assert code(mapped(body)) == wanted


@pytest.mark.parametrize(("longer", "shown"), [(0, True), (1, False)])
def test_an_address_that_does_not_fit_is_left_out_and_the_record_written(longer: int, shown: bool) -> None:
    address = "https://x.example/".ljust(255 + longer, "x")
    payment = only(stripe.charge(receipt_url=address), fields.PAYMENT)
    assert payment["Receipt_URL__c"] == (address if shown else None)
    assert payment["Status__c"] == "succeeded"


@pytest.mark.parametrize(
    ("currency", "minor", "major"), [("jpy", 1_000, "1000"), ("kwd", 1_230, "1.23"), ("usd", 1, "0.01")]
)
def test_money_is_exact_in_every_kind_of_currency(currency: str, minor: int, major: str) -> None:
    amount = only(stripe.charge(currency=currency, amount=minor), fields.PAYMENT)["Amount__c"]
    assert amount == Decimal(major)


def test_an_org_with_several_currencies_gets_the_records_own() -> None:
    context = Context(synced_at=NOW, multi_currency=True)
    assert only(stripe.charge(currency="eur"), fields.PAYMENT, context)["CurrencyIsoCode"] == "EUR"


def test_without_an_account_the_records_account_stays() -> None:
    (row,) = rows_of(state(stripe.charge()), "", CONTEXT).rows
    assert "Account__c" not in row.fields


BODIES = [
    stripe.subscription(),
    stripe.invoice(status="open"),
    stripe.charge(),
    stripe.invoice_payment(),
    stripe.refund(),
    stripe.credit_note(),
    stripe.dispute(),
    stripe.customer(),
    stripe.payment_method(),
    stripe.product(),
    stripe.price(),
    stripe.payment_intent(),
]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]), st.just({}), st.just([{}])
)


@given(st.sampled_from(BODIES), st.data())
def test_no_body_breaks_the_mapping(body: Json, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(set(body) - {"id", "object", "customer"})), max_size=4))
    broken = {**body, **{name: data.draw(JUNK) for name in names}}
    made = mapped(broken)
    assert not (made.rows and made.problems)
    for row in made.rows:
        assert not any(isinstance(value, float) for value in row.fields.values())


def row(source: str, value: str = "ch_1", wave: int = 3, **given_fields: Any) -> Row:
    return Row(
        "Stripe_Payment__c", "Stripe_Charge_Id__c", value, given_fields, wave, ACCOUNT, ObjectKey(source, "x")
    )


def test_rows_of_one_record_become_one_in_any_order() -> None:
    rows = [
        row("invoice_payment", A=1, B=2),
        row("charge", A=3),
        row("charge", "ch_2", A=5),
        row("refund", C=1),
    ]
    made = merge_rows(rows)
    assert made == merge_rows(rows[::-1])
    assert [(one.value, one.fields, one.source.type) for one in made] == [
        ("ch_1", {"A": 3, "B": 2, "C": 1}, "charge"),
        ("ch_2", {"A": 5}, "charge"),
    ]
    assert [key.type for key in made[0].also] == ["invoice_payment", "refund"]


def test_a_record_refers_only_to_records_of_earlier_waves() -> None:
    for sobject, declared in FIELDS.items():
        for kind in declared.values():
            parent = kind.removeprefix("Lookup>")
            if kind.startswith("Lookup>") and parent in WAVES and parent != fields.OPPORTUNITY:
                assert WAVES[parent] < WAVES[sobject], (sobject, parent)


@pytest.mark.parametrize("sobject", sorted(set(FIELDS) - {fields.CASE, fields.TASK}))
def test_the_package_declares_what_is_written(sobject: str) -> None:
    space = "{http://soap.sforce.com/2006/04/metadata}"
    for name, kind in FIELDS[sobject].items():
        if not name.endswith("__c"):
            continue
        root = ET.parse(PACKAGE / sobject / "fields" / f"{name}.field-meta.xml").getroot()

        def tag(what: str, root: ET.Element = root) -> str:
            return root.findtext(f"{space}{what}") or ""

        said = tag("type")
        assert kind.startswith(said), (sobject, name, said)
        if "(" in kind:
            held = tag("length") or f"{tag('precision')},{tag('scale')}"
            assert kind.partition("(")[2].partition(")")[0] == held, (sobject, name)
        assert (tag("externalId") == "true") is kind.endswith(("!", "?")), (sobject, name)
        values = {one.text for one in root.iter(f"{space}fullName")} - {name}
        assert values >= set(PICKLISTS.get((sobject, name), ())), (sobject, name)
