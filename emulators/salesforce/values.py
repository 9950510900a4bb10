"""Values on their way in: what JSON may say for each type of field, and how the org refuses the rest.

Kept in rows as: text and ids as str, numbers as Decimal (int for whole-number fields), booleans as bool,
dates as `YYYY-MM-DD`, date-times as `YYYY-MM-DDTHH:MM:SS.000+0000` in UTC. Both sort by time as text.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import NUMBER_TYPES, Field
from emulators.salesforce.ids import is_id, long_id

Value = Any
Reader = Callable[[object], Value]
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"]+@[^\s@<>()\[\],;:\"]+\.[^\s@<>()\[\],;:\".]{2,}")
_INT_LIMIT = 2**31
_TOO_LARGE = Decimal("Infinity")


def org_time(moment: datetime) -> str:
    """A moment as the org stores audit fields: to the second, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + ".000+0000"


def _unreadable(field: Field, value: object) -> OrgError:
    kind = {
        bool: "VALUE_TRUE" if value else "VALUE_FALSE",
        int: "VALUE_NUMBER_INT",
        float: "VALUE_NUMBER_FLOAT",
    }
    kind_name = kind.get(type(value), "VALUE_STRING" if isinstance(value, str) else "START_OBJECT")
    return OrgError(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {field.type} from {kind_name} value {value} or request may be "
        "missing a required field at [line:1, column:1]",
    )


def parse_datetime(text: str) -> datetime:
    """ISO 8601 with or without zone (none means UTC); raises ValueError."""
    moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_json(field: Field, value: object) -> Value:
    """The value as rows keep it; raises JSON_PARSER_ERROR for a wrong type, as the org's JSON reader does."""
    if value is None or value == "":
        return None
    return reader(field)(value)


def reader(field: Field) -> Reader:
    """How a value of the field that is neither null nor empty is read."""
    return partial(_READERS.get(field.type, _text), field)


def _text(field: Field, value: object) -> str | None:
    if isinstance(value, bool | dict | list):
        raise _unreadable(field, value)
    return str(value) if field.type == "textarea" else str(value).strip() or None


def _boolean(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _unreadable(field, value)


def _number(field: Field, value: object) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unreadable(field, value)
    number = _parsed(str(value), field.type, field.precision, field.scale)
    if number is None:
        raise _unreadable(field, value)
    if number == _TOO_LARGE:
        raise OrgError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{field.label}: value outside of valid range on numeric field: {value}",
            [field.name],
        )
    return number


@lru_cache(maxsize=16_384)
def _parsed(text: str, kind: str, precision: int, scale: int) -> Decimal | int | None:
    """The number as rows keep it; None for what is none, _TOO_LARGE beyond the field's digits."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    if abs(number) >= (_INT_LIMIT if kind == "int" else 10 ** max(precision - scale, 1)):
        return _TOO_LARGE
    return int(number) if kind == "int" else number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


def _moment(field: Field, value: object) -> str:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    try:
        return _day(value) if field.type == "date" else _instant(value)
    except ValueError:
        raise _unreadable(field, value) from None


@lru_cache(maxsize=16_384)  # the same few moments come again in every row of a batch
def _instant(text: str) -> str:
    return org_time(parse_datetime(text))


@lru_cache(maxsize=4096)
def _day(text: str) -> str:
    return date.fromisoformat(text[:10]).isoformat()


def _reference(field: Field, value: object) -> str:
    text = str(value)
    if not is_id(text):
        raise OrgError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {text}", [field.name])
    return long_id(text)


_READERS: dict[str, Callable[[Field, object], Value]] = {
    "boolean": _boolean,
    "date": _moment,
    "datetime": _moment,
    "reference": _reference,
    "id": _reference,
    **dict.fromkeys(NUMBER_TYPES, _number),
}


def check_value(field: Field, value: Value) -> None:
    """Refuse what the field's definition forbids: length, restricted picklist, form of an e-mail address."""
    if value is None:
        return
    if field.length and isinstance(value, str) and len(value) > field.length:
        shown = value if len(value) <= field.length else value[:255]
        raise OrgError(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {shown} (max length={field.length})",
            [field.name],
        )
    if field.restricted and all(item.value != value for item in field.picklist):
        raise OrgError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {value}",
            [field.name],
        )
    if field.type == "email" and not _EMAIL.fullmatch(value):
        raise OrgError(
            "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", [field.name]
        )


def as_json(value: Value) -> Value:
    """A row's value as the REST API writes it: numbers with a point as doubles."""
    return float(value) if isinstance(value, Decimal) else value


def address(row: dict[str, Value], prefix: str) -> dict[str, Value] | None:
    """The compound address built from its parts, None when all are empty."""
    names = {
        "city": "City",
        "country": "Country",
        "geocodeAccuracy": "GeocodeAccuracy",
        "latitude": "Latitude",
        "longitude": "Longitude",
        "postalCode": "PostalCode",
        "state": "State",
        "street": "Street",
    }
    parts = {key: as_json(row.get(prefix + suffix)) for key, suffix in names.items()}
    return parts if any(value is not None for value in parts.values()) else None
