"""Billing periods."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta


def period_end(anchor: int, interval: str, count: int, start: int) -> int:
    """The first period boundary after `start`, counted from `anchor` (its day of the month is kept)."""
    first = datetime.fromtimestamp(anchor, UTC)
    steps = 1
    while True:
        end = int(_shift(first, interval, count * steps).timestamp())
        if end > start:
            return end
        steps += 1


def _shift(moment: datetime, interval: str, count: int) -> datetime:
    if interval in ("day", "week"):
        return moment + timedelta(days=count * (7 if interval == "week" else 1))
    months = moment.year * 12 + moment.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))
