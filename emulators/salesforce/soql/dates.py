"""SOQL's named spans of days. Weeks begin on Sunday (en_US), quarters and years with January."""

from collections.abc import Callable
from datetime import date, timedelta

Span = tuple[date, date]  # first day, and the day after the last


def _month(day: date, step: int) -> date:
    index = day.year * 12 + day.month - 1 + step
    return date(index // 12, index % 12 + 1, 1)


def _quarter(day: date, step: int) -> date:
    start = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    return _month(start, 3 * step)


def _year(day: date, step: int) -> date:
    return date(day.year + step, 1, 1)


def _week(day: date, step: int) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7) + timedelta(weeks=step)


def _day(day: date, step: int) -> date:
    return day + timedelta(days=step)


_UNITS: dict[str, Callable[[date, int], date]] = {
    "day": _day,
    "week": _week,
    "month": _month,
    "quarter": _quarter,
    "year": _year,
}
_STEPS = {"last": -1, "this": 0, "next": 1}

PLAIN_RANGES = frozenset(
    {"today", "yesterday", "tomorrow", "last_90_days", "next_90_days"}
    | {f"{step}_{unit}" for step in _STEPS for unit in ("week", "month", "quarter", "year")}
)
COUNTED_RANGES = frozenset(
    {f"{step}_n_{unit}s" for step in ("last", "next") for unit in _UNITS}
    | {f"n_{unit}s_ago" for unit in _UNITS}
)


def span(name: str, count: int, today: date) -> Span:
    """The days a literal such as `today`, `this_month` or (`last_n_days`, 7) stands for.

    LAST_N_DAYS:n begins n days ago and includes today; LAST_N_MONTHS:n is n whole months before this one;
    NEXT_N_… begin after the current day, week, month.
    """
    single = {"today": 0, "yesterday": -1, "tomorrow": 1}
    if name in single:
        return _day(today, single[name]), _day(today, single[name] + 1)
    if name in {"last_90_days", "next_90_days"}:
        return span(f"{name[:4]}_n_days", 90, today)
    words = name.split("_")
    if words[0] == "n":
        start = _UNITS[words[1].rstrip("s")]
        return start(today, -count), start(today, -count + 1)
    start = _UNITS[words[-1].rstrip("s")]
    if words[1] != "n":
        return start(today, _STEPS[words[0]]), start(today, _STEPS[words[0]] + 1)
    includes_today = 1 if words[2] == "days" else 0
    following = (start(today, 1), start(today, count + 1))
    return following if words[0] == "next" else (start(today, -count), start(today, includes_today))
