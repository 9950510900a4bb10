"""Values out of raw Salesforce rows: exact, or a Problem that says which field cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.problems import Reason, problem

Row = Mapping[str, Any]

# IEEE 754 doubles carry every decimal number of up to 15 significant digits exactly there and back.
_FLOAT_DIGITS = 15


class UnreadableError(Exception):
    """A value of the row could not be taken over. Carries the Problem; the mapping catches it."""

    def __init__(self, reason: Reason, message: str, field: str) -> None:
        super().__init__(message)
        self.problem = problem(reason, message, field=field)


def read_decimal(value: object) -> Decimal | None:
    """A JSON number or numeric text as an exact Decimal; None for null and empty text.

    A float counts by its shortest decimal form and only up to 15 significant digits: beyond that it may not
    be the number that was written. Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise ValueError("not a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not number.is_finite():
        raise ValueError("not a finite number")
    if isinstance(value, float) and len(number.normalize().as_tuple().digits) > _FLOAT_DIGITS:
        raise ValueError("more digits than a floating-point number carries exactly")
    return number


def read_id(row: Row, field: str) -> str:
    try:
        return salesforce_id(text_of(row.get(field)))
    except RecordRejected as error:
        raise UnreadableError(Reason.RECORD_UNREADABLE, f"{field}: {error.message}", field) from None


def read_number(row: Row, field: str) -> Decimal | None:
    try:
        return read_decimal(row.get(field))
    except ValueError as error:
        raise UnreadableError(Reason.RECORD_UNREADABLE, f"{field} cannot be read: {error}.", field) from None


def read_required(row: Row, field: str) -> Decimal:
    number = read_number(row, field)
    if number is None:
        raise UnreadableError(
            Reason.RECORD_UNREADABLE, f"{field} of the line {text_of(row.get('Id'))} is empty.", field
        )
    return number


def read_day(row: Row, field: str) -> date:
    try:
        return date.fromisoformat(text_of(row.get(field)))
    except ValueError:
        raise UnreadableError(Reason.RECORD_UNREADABLE, f"{field} is not a date.", field) from None


def read_moment(row: Row, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text_of(row.get(field)))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UnreadableError(Reason.RECORD_UNREADABLE, f"{field} is not a moment with a time zone.", field)
    return moment


def parent_of(row: Row, name: str) -> Row:
    """The nested parent object, or an empty one where the reference is null or its record is gone."""
    parent = row.get(name)
    return parent if isinstance(parent, Mapping) else {}


def text_of(value: object) -> str:
    return "" if value is None else str(value).strip()
