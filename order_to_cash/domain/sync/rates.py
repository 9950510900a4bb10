"""The exchange rate that held when an invoice was finalized, as the org's own currencies say (R71).

Salesforce keeps how much of a currency one unit of the corporate currency is worth: what an invoice comes to in the
corporate currency is its amount divided by the rate. With advanced currency management a rate holds from one day to
another (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/,
DatedConversionRate); else there is the present one alone (CurrencyType), and what held before it was last changed is
not known any more. A rate that is not known is not written: none is made up, and one that stands there stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from order_to_cash.domain.sync.bodies import mapping, moment, text
from order_to_cash.domain.sync.shapes import ExchangeRate, State

CURRENT_RATES = "SELECT IsoCode, ConversionRate, IsCorporate, LastModifiedDate FROM CurrencyType"


@dataclass(frozen=True, slots=True, order=True)
class Finalized:
    """That an invoice in `currency` (ISO, capitals) was finalized on `day` (UTC)."""

    currency: str
    day: date


def finalized_in(states: Iterable[State]) -> frozenset[Finalized]:
    """When which currency's rate is asked for. What cannot be read is said where the invoice is mapped."""
    found = set()
    for state in states:
        at = finalized_at(state)
        currency = text(state.body.get("currency")).upper()
        if at is not None and len(currency) == 3 and currency.isalpha() and currency.isascii():
            found.add(Finalized(currency, at.date()))
    return frozenset(found)


def finalized_at(state: State) -> datetime | None:
    """The moment, None for a draft and for what is no invoice."""
    if state.key.type != "invoice":
        return None
    try:
        return moment(mapping(state.body.get("status_transitions")).get("finalized_at"))
    except (ValueError, OverflowError, OSError):
        return None


def dated_rate_query(wanted: Collection[Finalized]) -> str:
    """The rates of these days; `wanted` holds one at least. Their ISO codes are letters only."""
    codes = ", ".join(f"'{code}'" for code in sorted({one.currency for one in wanted}))
    first, last = min(one.day for one in wanted), max(one.day for one in wanted)
    return (
        "SELECT IsoCode, ConversionRate, StartDate, NextStartDate FROM DatedConversionRate "  # noqa: S608 - letters and days
        f"WHERE IsoCode IN ({codes}) AND StartDate <= {last.isoformat()} "
        f"AND (NextStartDate > {first.isoformat()} OR NextStartDate = null)"
    )


def current_rates(rows: Iterable[Mapping[str, Any]]) -> tuple[ExchangeRate, ...]:
    """Of `CURRENT_RATES`: each holds since it was last changed, the corporate currency's always."""
    return tuple(
        ExchangeRate(
            currency=str(row["IsoCode"]),
            rate=Decimal(str(row["ConversionRate"])),
            since=None if row.get("IsCorporate") else datetime.fromisoformat(str(row["LastModifiedDate"])),
        )
        for row in rows
        if row.get("ConversionRate")
    )


def dated_rates(rows: Iterable[Mapping[str, Any]]) -> tuple[ExchangeRate, ...]:
    """Of `dated_rate_query`: days are taken in UTC."""
    return tuple(
        ExchangeRate(
            currency=str(row["IsoCode"]),
            rate=Decimal(str(row["ConversionRate"])),
            since=_midnight(row["StartDate"]),
            until=_midnight(row["NextStartDate"]) if row.get("NextStartDate") else None,
        )
        for row in rows
        if row.get("ConversionRate")
    )


def rate_at(rates: Iterable[ExchangeRate], currency: str, at: datetime) -> Decimal | None:
    """The rate of `currency` at that moment; the one that began last where several hold. None: not known."""
    held = [one for one in rates if one.currency == currency.upper() and one.holds(at)]
    if not held:
        return None
    return max(held, key=lambda one: one.since or datetime.min.replace(tzinfo=UTC)).rate


def _midnight(day: object) -> datetime:
    return datetime.combine(date.fromisoformat(str(day)[:10]), datetime.min.time(), UTC)
