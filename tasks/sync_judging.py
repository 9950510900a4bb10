"""A mapped record as the expectation suite `stripe_record` takes it: ids, amounts and verdicts, nothing personal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from order_to_cash.domain.sync.fields import (
    CREDIT_NOTE,
    DISPUTE,
    INVOICE,
    INVOICE_LINE,
    PAYMENT,
    REFUND,
    SUBSCRIPTION,
)
from order_to_cash.domain.sync.shapes import Row

SUITE = "stripe_record"

OF_AN_ACCOUNT = frozenset({SUBSCRIPTION, INVOICE, PAYMENT, REFUND, CREDIT_NOTE, DISPUTE})
_NEVER_NEGATIVE = frozenset({PAYMENT, REFUND, CREDIT_NOTE, DISPUTE})
_MONEY: Mapping[str, str] = {
    INVOICE: "Total__c",
    INVOICE_LINE: "Amount__c",
    PAYMENT: "Amount__c",
    REFUND: "Amount__c",
    CREDIT_NOTE: "Amount__c",
    DISPUTE: "Amount__c",
}
_PERIODS: Mapping[str, tuple[str, str]] = {
    SUBSCRIPTION: ("Current_Period_Start__c", "Current_Period_End__c"),
    INVOICE: ("Period_Start__c", "Period_End__c"),
    INVOICE_LINE: ("Period_Start__c", "Period_End__c"),
}


def judged_row(row: Row) -> dict[str, str | bool]:
    """What does not apply is true: one cause has one reason."""
    fields, sobject = row.fields, row.sobject
    return {
        "record": f"{row.source.type} {row.source.id}",
        "object": sobject,
        "identified": 0 < len(row.value) <= 255,
        "has_account": sobject not in OF_AN_ACCOUNT or bool(row.account_id),
        "has_currency": _has_currency(fields, _MONEY.get(sobject, "")),
        "not_negative": sobject not in _NEVER_NEGATIVE or _at_least(fields.get("Amount__c"), Decimal(0)),
        "refunds_fit": sobject != PAYMENT
        or _at_least(fields.get("Amount__c"), fields.get("Amount_Refunded__c")),
        "period_in_order": _in_order(fields, _PERIODS.get(sobject)),
    }


def _has_currency(fields: Mapping[str, Any], money: str) -> bool:
    return not money or fields.get(money) is None or len(str(fields.get("Currency__c") or "")) == 3


def _at_least(amount: Any, least: Any) -> bool:
    return amount is None or least is None or bool(amount >= least)


def _in_order(fields: Mapping[str, Any], names: tuple[str, str] | None) -> bool:
    if names is None:
        return True
    start, end = fields.get(names[0]), fields.get(names[1])
    return not (isinstance(start, datetime) and isinstance(end, datetime)) or start <= end
