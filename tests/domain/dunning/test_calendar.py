"""Business hours on a wall clock, also where it is turned."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.calendar import ContactHours, known_zone, next_day
from order_to_cash.domain.dunning.spans import read_span, show_span, span_in_words
from tests.domain.dunning.ladders import ZONES, contact_hours, spans

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2025, 12, 1), datetime(2027, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@given(contact_hours(), st.sampled_from(ZONES), MOMENTS)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    hours: ContactHours, name: str, moment: datetime
) -> None:
    zone = ZoneInfo(name)
    opening = hours.next_open(moment, zone)
    assert opening.tzinfo is UTC
    assert opening >= moment
    assert hours.are_open(opening, zone)
    assert hours.next_open(opening, zone) == opening
    before = opening - timedelta(minutes=1)
    # Where clocks were just turned there is an hour in which the opening is not the first open minute.
    turned = (
        opening.astimezone(zone).utcoffset() != (opening - timedelta(hours=2)).astimezone(zone).utcoffset()
    )
    assert before < moment or turned or not hours.are_open(before, zone)


@given(contact_hours(), st.sampled_from(ZONES), MOMENTS)
def test_the_last_opening_is_open_and_not_after(hours: ContactHours, name: str, moment: datetime) -> None:
    zone = ZoneInfo(name)
    opening = hours.last_open(moment, zone)
    assert opening <= moment
    assert hours.are_open(opening, zone)


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-03-03T08:59", "2026-03-03T09:00"),  # Tuesday
        ("2026-03-03T09:00", "2026-03-03T09:00"),
        ("2026-03-03T16:59", "2026-03-03T16:59"),
        ("2026-03-03T17:00", "2026-03-04T09:00"),
        ("2026-03-06T17:00", "2026-03-09T09:00"),  # over the weekend
        ("2026-03-27T18:00", "2026-03-30T09:00"),  # clocks go forward on Sunday, the 29th: still nine o'clock
        ("2026-10-23T18:00", "2026-10-26T09:00"),  # and back on Sunday, the 25th
        ("2026-04-03T10:00", "2026-04-07T09:00"),  # Good Friday and Easter Monday are holidays
    ],
)
def test_a_persons_nine_oclock_stays_nine_oclock(moment: str, opening: str) -> None:
    hours = ContactHours(time_zone="Europe/Berlin", holidays=(date(2026, 4, 3), date(2026, 4, 6)))
    assert hours.next_open(at(moment), BERLIN) == at(opening)


def test_hours_that_clocks_jump_over_begin_after_the_gap() -> None:
    hours = ContactHours(days=("sun",), opens=time(2, 30), closes=time(4))
    assert hours.next_open(at("2026-03-29T01:00"), BERLIN) == at("2026-03-29T03:30")
    short = ContactHours(days=("sun",), opens=time(2, 0), closes=time(3, 0))
    assert short.next_open(at("2026-03-29T01:00"), BERLIN) == at("2026-04-05T02:00")


def test_the_last_opening_before_a_weekend_is_fridays() -> None:
    hours = ContactHours(time_zone="Europe/Berlin")
    assert hours.last_open(at("2026-03-07T12:00"), BERLIN) == at("2026-03-06T09:00")
    assert hours.last_open(at("2026-03-06T12:00"), BERLIN) == at("2026-03-06T12:00")


def test_the_next_day_begins_at_the_customers_midnight() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    assert next_day(at("2026-03-03T23:00", ZoneInfo("UTC")), tokyo) == at("2026-03-05T00:00", tokyo)
    assert next_day(at("2026-03-29T00:30"), BERLIN) - at("2026-03-29T00:30").astimezone(UTC) == timedelta(
        hours=22, minutes=30
    )


@pytest.mark.parametrize(
    "name", [None, "", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 300]
)
def test_what_is_no_zone_is_not_known(name: str | None) -> None:
    assert known_zone(name) is None
    assert ContactHours(time_zone="Asia/Tokyo").zone(name).key == "Asia/Tokyo"


@given(spans(366 * 24))
def test_spans_are_read_as_they_are_written(span: timedelta) -> None:
    assert read_span(show_span(span)) == span


@pytest.mark.parametrize(
    "wrong",
    ["", "soon", "3 days", "-1h", "1.5h", "367d", "99999999h", 5, None, timedelta(seconds=1), timedelta(-1)],
)
def test_what_is_no_span_says_how_to_write_one(wrong: object) -> None:
    with pytest.raises(ValueError, match="30m, 24h or 14d"):
        read_span(wrong)


def test_spans_in_words() -> None:
    assert span_in_words(timedelta(days=2, hours=3, minutes=5)) == "2 d 3 h"
    assert span_in_words(-timedelta(minutes=45)) == "45 min"
    assert span_in_words(timedelta(0)) == "0 min"
