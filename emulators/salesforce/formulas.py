"""Formula fields: sums and differences of fields, numbers and TODAY(). Any other formula answers null."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.store import Row
from emulators.salesforce.values import Value

_TERM = re.compile(r"\s*([+-])?\s*(?:(TODAY\(\))|(\d+(?:\.\d+)?)|([A-Za-z]\w*)(?!\s*\())\s*", re.IGNORECASE)
Term = tuple[int, str, str]  # sign, kind (today, number, field), text


@lru_cache
def terms(formula: str) -> tuple[Term, ...] | None:
    """The parts of a sum; None for a formula that is more than that."""
    found: list[Term] = []
    position = 0
    while position < len(formula):
        match = _TERM.match(formula, position)
        if match is None or (found and match[1] is None):
            return None
        kind = "today" if match[2] else "number" if match[3] else "field"
        found.append((-1 if match[1] == "-" else 1, kind, match[2] or match[3] or match[4]))
        position = match.end()
    return tuple(found) or None


def unknown_fields(formula: str, item: ObjectType) -> list[str]:
    """Names in the formula that are no fields of the object."""
    return [name for _, kind, name in terms(formula) or () if kind == "field" and item.field(name) is None]


def computed(field: Field, row: Row, today: date) -> Value:
    """The formula's value for a row; null as soon as one of its fields is (BlankAsBlank)."""
    total: Decimal | date = Decimal(0)
    for sign, kind, name in terms(field.formula or "") or ():
        part = today if kind == "today" else Decimal(name) if kind == "number" else _field_value(row, name)
        if part is None:
            return None
        total = _sum(total, sign, part)
    if isinstance(total, date):
        return total.isoformat()
    if not terms(field.formula or ""):
        return None
    return total.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)


def _field_value(row: Row, name: str) -> Decimal | date | None:
    value = row.get(name)
    if isinstance(value, str):
        return date.fromisoformat(value[:10])
    return None if value is None else Decimal(value)


def _sum(total: Decimal | date, sign: int, part: Decimal | date) -> Decimal | date:
    """Two dates make days between them; a date and a number make a date."""
    if isinstance(part, date):
        if isinstance(total, date):
            return Decimal((total - part).days)
        return part + timedelta(days=int(total)) if sign > 0 else total
    if isinstance(total, date):
        return total + timedelta(days=sign * int(part))
    return total + sign * part


def with_formulas(item: ObjectType, row: Row, today: date) -> Row:
    """The row with its formula fields computed; the row itself when the object has none."""
    formulas: Iterable[Field] = [each for each in item.fields.values() if each.formula]
    return row | {each.name: computed(each, row, today) for each in formulas} if formulas else row
