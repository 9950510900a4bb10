"""Moments as people type them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.moments import moment

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        (" 2026-03-01T14:30 ", datetime(2026, 3, 1, 14, 30, tzinfo=UTC)),
        ("2026-03-01 14:30:05", datetime(2026, 3, 1, 14, 30, 5, tzinfo=UTC)),
        ("2026-03-01T14:30+02:00", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T14:30Z", datetime(2026, 3, 1, 14, 30, tzinfo=UTC)),
        ("30m", NOW - timedelta(minutes=30)),
        ("12h", NOW - timedelta(hours=12)),
        ("7 d", NOW - timedelta(days=7)),
        ("0d", NOW),
    ],
)
def test_a_moment_is_read(text: str, meant: datetime) -> None:
    assert moment(text, NOW) == meant


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7w", "-3d", "2026-13-01", "99999999d", "0001-01-01T00:00+14:00"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecordRejected) as raised:
        moment(text, NOW)
    assert raised.value.code == "moment_unreadable"


@given(st.text(max_size=30))
def test_any_text_is_a_moment_in_utc_or_refused(text: str) -> None:
    with suppress(RecordRejected):
        assert moment(text, NOW).tzinfo is UTC


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1000, 1, 1)))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_what_is_printed_is_read_again(at: datetime) -> None:
    try:
        in_utc = at.astimezone(UTC)
    except OverflowError:
        return
    assert moment(in_utc.isoformat(), NOW) == in_utc
