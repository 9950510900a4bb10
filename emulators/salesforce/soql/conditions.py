"""WHERE and HAVING as predicates over rows, with SOQL's comparison rules.

Text compares in any case (except in case-sensitive fields), ids in their 18-character form, null only with
= and !=; `!= value` is true of null.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import NUMBER_TYPES, Field
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.soql.dates import span
from emulators.salesforce.soql.lexer import mistake
from emulators.salesforce.soql.tree import (
    Both,
    Compare,
    Condition,
    Constant,
    InList,
    InQuery,
    Not,
    Query,
)
from emulators.salesforce.values import org_time, parse_datetime

if TYPE_CHECKING:
    from emulators.salesforce.soql.columns import Column

Predicate = Callable[[Any], bool]
Resolver = Callable[[Any], "Column"]
SubSelect = Callable[[Query], list[Any]]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_SOAP_NAMES = {"currency": "double", "percent": "double", "datetime": "dateTime"}


class Compiler:
    """Turns conditions into predicates. `resolve` finds columns, `subselect` the values of a semi-join."""

    def __init__(self, text: str, resolve: Resolver, subselect: SubSelect, now: datetime) -> None:
        self.text = text
        self.resolve = resolve
        self.subselect = subselect
        self.now = now

    def compile(self, condition: Condition) -> Predicate:
        if isinstance(condition, Not):
            inner = self.compile(condition.inner)
            return lambda row: not inner(row)
        if isinstance(condition, Both):
            parts = [self.compile(part) for part in condition.parts]
            if condition.how == "and":
                return lambda row: all(part(row) for part in parts)
            return lambda row: any(part(row) for part in parts)
        if isinstance(condition, InList):
            return self._in_list(condition)
        if isinstance(condition, InQuery):
            return self._in_query(condition)
        return self._compare(condition)

    # -- one comparison ---------------------------------------------------------------------------------

    def _column(self, left: object, pos: int) -> Column:
        column = self.resolve(left)
        if not column.field.filterable:
            message = f"field '{column.field.name}' can not be filtered in a query call"
            raise mistake(self.text, pos, message, "INVALID_FIELD")
        return column

    def _compare(self, condition: Compare) -> Predicate:
        column = self._column(condition.left, condition.left.pos)
        read, operator, constant = column.read, condition.operator, condition.right
        if operator == "like":
            return self._like(column, condition)
        if constant.kind == "range":
            return self._in_span(column, operator, constant)
        wanted = self.value(column.field, constant)
        fold = folder(column.field)
        if operator in {"=", "!="}:
            equal: Predicate = lambda row: fold(read(row)) == wanted  # noqa: E731 - a closure among closures
            return equal if operator == "=" else lambda row: not equal(row)
        if column.field.type in {"boolean", "id", "reference"} or wanted is None:
            raise self._bad_operator(column.field, condition.left.pos)
        compare = _ORDER[operator]

        def ordered(row: Any) -> bool:
            value = read(row)
            return value is not None and compare(fold(value), wanted)

        return ordered

    def _like(self, column: Column, condition: Compare) -> Predicate:
        if condition.right.kind != "string" or column.field.type in {
            "id",
            "reference",
            "boolean",
            "date",
            "datetime",
        }:
            raise self._bad_operator(column.field, condition.left.pos)
        if column.field.type in NUMBER_TYPES:
            raise self._bad_operator(column.field, condition.left.pos)
        pattern = like_pattern(condition.right.value)
        return lambda row: pattern.fullmatch(column.read(row) or "") is not None

    def _in_span(self, column: Column, operator: str, constant: Constant) -> Predicate:
        if column.field.type not in {"date", "datetime"}:
            raise self._type_mismatch(column.field, constant)
        first, after = span(constant.value, constant.count, self.now.astimezone(UTC).date())
        start, end = self._edges(column.field, first), self._edges(column.field, after)
        tests: dict[str, Predicate] = {
            "=": lambda value: start <= value < end,
            "!=": lambda value: not start <= value < end,
            "<": lambda value: value < start,
            "<=": lambda value: value < end,
            ">": lambda value: value >= end,
            ">=": lambda value: value >= start,
        }
        test, read = tests[operator], column.read
        empty = operator == "!="

        def within(row: Any) -> bool:
            value = read(row)
            return empty if value is None else test(value)

        return within

    @staticmethod
    def _edges(field: Field, day: date) -> str:
        if field.type == "date":
            return day.isoformat()
        return org_time(datetime(day.year, day.month, day.day, tzinfo=UTC))

    def _in_list(self, condition: InList) -> Predicate:
        column = self._column(condition.left, condition.left.pos)
        for constant in condition.values:
            if constant.kind == "range":
                raise mistake(self.text, constant.pos, f"unexpected token: '{constant.value}'")
        wanted = {self.value(column.field, constant) for constant in condition.values}
        read, fold, negated = column.read, folder(column.field), condition.negated
        return lambda row: (fold(read(row)) in wanted) is not negated

    def _in_query(self, condition: InQuery) -> Predicate:
        column = self._column(condition.left, condition.left.pos)
        if column.field.type not in {"id", "reference"}:
            message = "The left operand of a semi join should be an id or reference"
            raise mistake(self.text, condition.left.pos, message)
        wanted = {value for value in self.subselect(condition.query) if value is not None}
        read, negated = column.read, condition.negated
        return lambda row: (read(row) in wanted) is not negated

    # -- constants --------------------------------------------------------------------------------------

    def value(self, field: Field, constant: Constant) -> Any:
        """A constant in the form that rows compare with; raises for a type that does not fit the field."""
        if constant.kind == "null":
            return None
        accepted = {"boolean": "boolean", "date": "date", "datetime": "datetime"}.get(field.type, "string")
        if field.type in NUMBER_TYPES:
            accepted = "number"
        if constant.kind != accepted:
            raise self._type_mismatch(field, constant)
        if accepted == "boolean":
            return constant.value
        if accepted == "number":
            return Decimal(constant.value)
        if accepted == "datetime":
            return org_time(parse_datetime(constant.value))
        return self._date(constant) if accepted == "date" else self._text(field, constant)

    def _text(self, field: Field, constant: Constant) -> str | None:
        if field.type in {"id", "reference"}:
            return self._id(field, constant)
        text = str(constant.value)
        return (text if field.case_sensitive else text.casefold()) or None

    def _date(self, constant: Constant) -> str:
        try:
            return date.fromisoformat(constant.value).isoformat()
        except ValueError:
            raise mistake(self.text, constant.pos, f"Invalid date: {constant.value}") from None

    def _id(self, field: Field, constant: Constant) -> str | None:
        if constant.value == "":
            return None
        if not is_id(constant.value):
            message = f"invalid ID field: {constant.value}"
            raise mistake(self.text, constant.pos, message, "INVALID_QUERY_FILTER_OPERATOR")
        del field
        return long_id(constant.value)

    def _type_mismatch(self, field: Field, constant: Constant) -> OrgError:
        kind = _SOAP_NAMES.get(field.type, field.type)
        quotes = (
            "be enclosed in quotes" if kind not in {"double", "int", "boolean", "date", "dateTime"} else ""
        )
        ending = f"should {quotes}" if quotes else "should not be enclosed in quotes"
        kind = "string" if quotes else kind
        message = f"value of filter criterion for field '{field.name}' must be of type {kind} and {ending}"
        return mistake(self.text, constant.pos, message, "INVALID_FIELD")

    def _bad_operator(self, field: Field, pos: int) -> OrgError:
        message = f"invalid operator on {field.type} field"
        return mistake(self.text, pos, message, "INVALID_QUERY_FILTER_OPERATOR")


def folder(field: Field) -> Callable[[Any], Any]:
    """How a row's value is made comparable: text in any case unless the field is case-sensitive."""
    if field.case_sensitive or field.type in {"id", "reference", "date", "datetime", "boolean"}:
        return lambda value: value
    return lambda value: value.casefold() if isinstance(value, str) else value


def like_pattern(text: str) -> re.Pattern[str]:
    r"""LIKE's `%` and `_` as a regular expression; `\%` and `\_` stand for themselves."""
    out = ""
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and text[position + 1 : position + 2] in {"%", "_"}:
            position += 1
            out += re.escape(text[position])
        else:
            out += {"%": ".*", "_": "."}.get(char, re.escape(char))
        position += 1
    return re.compile(out, re.IGNORECASE | re.DOTALL)
