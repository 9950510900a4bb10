"""The suite of records from Stripe looks at what the mapping makes, and each of its reasons can be given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from expectations import runner, suites
from order_to_cash.domain.sync.shapes import Row
from tasks.sync_judging import SUITE, judged_row
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import mapped
from tests.domain.sync.stripe_objects import T0, Json

BODIES = [
    stripe.subscription(),
    stripe.invoice(status="open"),
    stripe.charge(amount_refunded=4_000),
    stripe.invoice_payment(),
    stripe.refund(),
    stripe.credit_note(),
    stripe.dispute(),
    stripe.customer(),
    stripe.product(),
]
LATE = datetime.fromtimestamp(T0, UTC) + timedelta(days=400)


def row_of(body: Json, **changes: Any) -> Row:
    row = mapped(body).rows[0]
    return replace(row, fields={**row.fields, **changes})


def codes(row: Row) -> list[str]:
    return [failure.code for failure in runner.validate(SUITE, [judged_row(row)]).failures]


def test_the_suite_takes_what_is_made_of_every_record() -> None:
    rows = [judged_row(row) for body in BODIES for row in mapped(body).rows]
    assert {column.name for column in suites.load(SUITE).columns} == set(rows[0])
    report = runner.validate(SUITE, rows)
    assert report.failures == ()
    assert report.statistics.passed == len(BODIES)


FAULTS = [
    (replace(row_of(stripe.charge()), value=""), "stripe_id_missing"),
    (replace(row_of(stripe.charge()), value="x" * 256), "stripe_id_missing"),
    (replace(row_of(stripe.charge()), account_id=""), "account_missing"),
    (row_of(stripe.refund(), Currency__c=None), "currency_missing"),
    (row_of(stripe.refund(), Amount__c=Decimal("-0.01")), "amount_negative"),
    (row_of(stripe.charge(), Amount_Refunded__c=Decimal("100.01")), "refunded_more_than_paid"),
    (row_of(stripe.subscription(), Current_Period_Start__c=LATE), "period_reversed"),
    (row_of(stripe.invoice(), Period_Start__c=LATE), "period_reversed"),
]


@pytest.mark.parametrize(("row", "code"), FAULTS)
def test_each_reason(row: Row, code: str) -> None:
    assert codes(row) == [code]


def test_what_does_not_apply_is_no_fault() -> None:
    product = mapped(stripe.product()).rows[0]
    assert codes(replace(product, account_id="")) == []
    assert codes(row_of(stripe.credit_note(), Amount__c=Decimal(0))) == []


def test_every_reason_is_tried() -> None:
    assert {code for _, code in FAULTS} == suites.load(SUITE).codes
