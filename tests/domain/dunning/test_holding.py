"""What a person typed to hold, snooze or resume a ladder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.holding import (
    LONGEST_HOLD,
    HoldAction,
    HoldSubject,
    HoldWords,
    SubjectKind,
    read_subject,
    read_until,
)
from order_to_cash.domain.errors import RecordRejected
from tests.domain.dunning.ladders import DAY, HOUR, START

ACCOUNT = "0015g00000Kx3bM"


@pytest.mark.parametrize(
    ("typed", "kind", "read"),
    [
        ("in_1Abc", SubjectKind.INVOICE, "in_1Abc"),
        (" cus_9z\n", SubjectKind.CUSTOMER, "cus_9z"),
        (ACCOUNT, SubjectKind.ACCOUNT, f"{ACCOUNT}AAX"),
    ],
)
def test_a_subject_is_an_invoice_a_customer_or_an_account(typed: str, kind: SubjectKind, read: str) -> None:
    found = read_subject(typed)
    assert found.kind is kind
    assert found.id[:15] == read[:15]
    assert read_subject(found.id) == found


@pytest.mark.parametrize(
    "typed", ["", "in_", "in_1 2", "sub_1", "in_1; drop", "0065g00000Kx3bM", "001", "Acme", "in_é", "IN_1"]
)
def test_anything_else_is_told(typed: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        read_subject(typed)
    assert caught.value.ids == {"field": "subject"}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("3d", START + 3 * DAY),
        ("90m", START + 1.5 * HOUR),
        ("366d", START + LONGEST_HOLD),
        ("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026-03-05T14:30", datetime(2026, 3, 5, 14, 30, tzinfo=UTC)),
        ("2026-03-05T14:30+02:00", datetime(2026, 3, 5, 12, 30, tzinfo=UTC)),
    ],
)
def test_until_is_a_moment_to_come(typed: str, read: datetime) -> None:
    assert read_until(typed, START) == read


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("2026-03-03", "has passed"),  # today: it began at midnight
        ("0m", "has passed"),
        ("2020-01-01", "has passed"),
        ("2028-01-01", "more than 366 days away"),
        ("367d", "more than 366 days away"),
        ("99999999999d", "more than 366 days away"),
        ("tomorrow", "is no moment"),
        ("9999-99-99", "is no moment"),
    ],
)
def test_what_has_passed_or_is_no_moment_is_told(typed: str, said: str) -> None:
    with pytest.raises(RecordRejected, match=said) as caught:
        read_until(typed, START)
    assert caught.value.ids == {"field": "until"}


def words(action: HoldAction, until: str = "", reason: str = "") -> HoldWords:
    return HoldWords(action=action, subject="in_1", until=until, reason=reason, by="ada")


def test_a_hold_may_last_for_ever_and_a_snooze_may_not() -> None:
    held = words(HoldAction.HOLD).read(START)
    assert (held.subject, held.until, held.by) == (HoldSubject(SubjectKind.INVOICE, "in_1"), None, "ada")
    assert words(HoldAction.SNOOZE, "3d").read(START).until == START + 3 * DAY
    with pytest.raises(RecordRejected, match="snoozed until a moment"):
        words(HoldAction.SNOOZE).read(START)
    with pytest.raises(RecordRejected, match="goes on now"):
        words(HoldAction.RESUME, "3d").read(START)


def test_a_reason_is_one_line_without_addresses() -> None:
    read = words(HoldAction.HOLD, reason="waits for\n a PO of ada@acme.example").read(START)
    assert read.reason.startswith("waits for a PO of ")
    assert "ada@" not in read.reason
    with pytest.raises(RecordRejected, match="more than 300") as caught:
        words(HoldAction.HOLD, reason="x" * 301).read(START)
    assert caught.value.ids == {"field": "reason"}


@given(st.text(max_size=40))
def test_no_text_gets_past_as_anything_but_a_moment_to_come(text: str) -> None:
    try:
        until = read_until(text, START)
    except RecordRejected:
        return
    assert timedelta(0) < until - START <= LONGEST_HOLD
