"""Moments as people type them: a day, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from order_to_cash.domain.errors import RecordRejected

_AGO = re.compile(r"(\d{1,5})\s?([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime, field: str = "") -> datetime:
    """``2026-03-01``, ``2026-03-01T14:30`` (UTC unless it says otherwise), or ``30m``, ``12h``, ``7d`` before `now`.

    Raises RecordRejected (`moment_unreadable`), naming the `field` that it stands in.
    """
    words = text.strip()
    try:
        if ago := _AGO.fullmatch(words):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        read = datetime.fromisoformat(words)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RecordRejected(
            f"{words[:40]!r} is no moment.",
            code="moment_unreadable",
            ids={"field": field} if field else {},
            remedy="Write 2026-03-01, 2026-03-01T14:30 (UTC), or how long ago: 30m, 12h, 7d.",
        ) from None
