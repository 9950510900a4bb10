"""Moments as people read them, and texts that fit Salesforce's fields."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

LONGEST_SUBJECT = 255
LONGEST_DESCRIPTION = 32_000


_CUT = "\n… the rest does not fit here: see the timeline and Stripe."


def fitting(text: str, longest: int = LONGEST_DESCRIPTION) -> str:
    """`text`, or its beginning and a last line that says that there is more."""
    if len(text) <= longest:
        return text
    return text[: longest - len(_CUT)] + _CUT


def is_cut(text: str) -> bool:
    """Whether `fitting` left something out."""
    return text.endswith(_CUT)


def with_note(text: str, note: str) -> str:
    """`text` of a record with `note` on top, where it is read first."""
    return fitting(f"{note}\n\n{text}" if text else note)


def moment(at: datetime, zone: ZoneInfo) -> str:
    """``Tue 3 Mar 2026, 09:30 UTC``, on the wall clock of `zone`."""
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M %Z}"


def day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y}"
