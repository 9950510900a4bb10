"""The rate that held when an invoice was finalized: by day where the org keeps dates, else the present one (R71)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.rates import (
    Finalized,
    current_rates,
    dated_rate_query,
    dated_rates,
    finalized_in,
    rate_at,
)
from order_to_cash.domain.sync.shapes import Context, ExchangeRate
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import NOW, only, state

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def finalized(at: datetime | int | None, currency: str = "eur", **more: Any) -> stripe.Json:
    seconds = int(at.timestamp()) if isinstance(at, datetime) else at
    return stripe.invoice(
        currency=currency,
        status="open",
        status_transitions={"finalized_at": seconds, "paid_at": None, "voided_at": None},
        **more,
    )


def current(code: str, rate: str, changed: str, *, corporate: bool = False) -> dict[str, Any]:
    return {
        "IsoCode": code,
        "ConversionRate": Decimal(rate),
        "IsCorporate": corporate,
        "LastModifiedDate": changed,
    }


def dated(code: str, rate: str, start: str, following: str | None) -> dict[str, Any]:
    return {"IsoCode": code, "ConversionRate": Decimal(rate), "StartDate": start, "NextStartDate": following}


RATES = current_rates(
    [
        current("USD", "1", "2026-02-20T08:00:00.000+0000", corporate=True),
        current("EUR", "0.92", "2026-02-20T08:00:00.000+0000"),
    ]
)


@pytest.mark.parametrize(
    ("currency", "at", "rate"),
    [
        ("EUR", datetime(2026, 2, 20, 8, tzinfo=UTC), "0.92"),
        ("eur", MARCH, "0.92"),
        ("EUR", datetime(2026, 2, 20, 7, 59, tzinfo=UTC), None),
        ("USD", datetime(2020, 1, 1, tzinfo=UTC), "1"),
        ("JPY", MARCH, None),
    ],
)
def test_the_present_rate_is_known_since_it_was_last_changed(
    currency: str, at: datetime, rate: str | None
) -> None:
    assert rate_at(RATES, currency, at) == (None if rate is None else Decimal(rate))


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), "0.91"),
        (MARCH, "0.93"),
        (datetime(2031, 1, 1, tzinfo=UTC), "0.93"),
        (datetime(2026, 1, 31, tzinfo=UTC), None),
    ],
)
def test_a_dated_rate_holds_from_its_day_until_the_next(at: datetime, rate: str | None) -> None:
    rates = dated_rates(
        [dated("EUR", "0.91", "2026-02-01", "2026-03-01"), dated("EUR", "0.93", "2026-03-01", None)]
    )
    assert rate_at(rates, "EUR", at) == (None if rate is None else Decimal(rate))


def test_a_rate_that_is_empty_is_none() -> None:
    assert current_rates([current("EUR", "0", "2026-02-20T08:00:00.000+0000")]) == ()
    assert dated_rates([dated("EUR", "0", "2026-02-01", None)]) == ()


def test_only_what_was_finalized_is_asked_for() -> None:
    states = [
        state(finalized(MARCH)),
        state(finalized(MARCH + timedelta(days=1), "jpy")),
        state(finalized(None)),
        state(finalized(10**30)),
        state(finalized(MARCH, "' OR 1=1")),
        state(stripe.charge()),
    ]
    wanted = finalized_in(states)
    assert wanted == {Finalized("EUR", date(2026, 3, 1)), Finalized("JPY", date(2026, 3, 2))}
    query = dated_rate_query(wanted)
    assert "IsoCode IN ('EUR', 'JPY') AND StartDate <= 2026-03-02" in query
    assert "NextStartDate > 2026-03-01" in query


def test_the_record_shows_the_rate_and_keeps_what_is_not_known() -> None:
    context = Context(synced_at=NOW, multi_currency=True, rates=RATES)
    shown = only(finalized(MARCH), fields.INVOICE, context)
    assert shown["Exchange_Rate__c"] == Decimal("0.92")
    for unknown in (finalized(datetime(2026, 1, 1, tzinfo=UTC)), finalized(None), finalized(MARCH, "jpy")):
        assert "Exchange_Rate__c" not in only(unknown, fields.INVOICE, context)


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - `timezones`


@given(st.lists(st.tuples(MOMENTS, st.none() | MOMENTS), max_size=6), MOMENTS)
def test_no_rate_is_given_for_a_moment_outside_of_it(
    spans: list[tuple[datetime, datetime | None]], at: datetime
) -> None:
    rates = [
        ExchangeRate("EUR", Decimal(number + 1), since, until) for number, (since, until) in enumerate(spans)
    ]
    found = rate_at(rates, "EUR", at)
    held = {
        one.rate
        for one in rates
        if one.since is not None and one.since <= at and (not one.until or at < one.until)
    }
    assert (found in held) if held else (found is None)
