"""A mapped deal as flat rows for the expectation suite: whole numbers, texts and truths, no float.

A column that has nothing to judge (a deal without lines, a line without a price) says True: the column that
names the lack (`line_id`, `price_id`, `amount_minor`) is the one that fails, so that one cause has one
reason.
"""

from __future__ import annotations

from decimal import Decimal

from order_to_cash.domain.emails import normalize_email
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.judgement import Catalogue, is_recurring
from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.records import DealLine, WonDeal

BillingRow = dict[str, str | int | bool | None]

COLUMNS = (
    *("opportunity_id", "opportunity_name", "account_id", "account_name", "account_name_length"),
    *("billing_email", "billing_email_valid", "country", "country_known"),
    *(
        "currency",
        "currency_known",
        "amount_minor",
        "amount_exact",
        "lines_total_minor",
        "lines_match_amount",
    ),
    *("line_count", "line_id", "product_name", "quantity_positive", "line_total_minor"),
    *("price_id", "price_known", "price_currency_ok", "recurring"),
)


def billing_rows(deal: WonDeal, catalogue: Catalogue) -> list[BillingRow]:
    """One row for each line of `deal`, each with the deal's columns; without lines one, `line_id` empty.

    Amounts are in minor units of the deal's currency, None where they are missing or cannot be exact.
    """
    head = _deal_columns(deal)
    if not deal.lines:
        return [head | _NO_LINE]
    return [head | _line_columns(line, deal, catalogue) for line in deal.lines]


_NO_LINE: BillingRow = {
    "line_id": "",
    "product_name": "",
    "quantity_positive": True,
    "line_total_minor": None,
    "price_id": "",
    "price_known": True,
    "price_currency_ok": True,
    "recurring": False,
}


def _deal_columns(deal: WonDeal) -> BillingRow:
    email = _email(deal.account.email)
    address = deal.account.billing_address
    total = sum((line.total for line in deal.lines), Decimal(0))
    inexact = deal.amount is not None and known_currency(deal.currency) and _minor(deal.amount, deal) is None
    return {
        "opportunity_id": deal.opportunity_id,
        "opportunity_name": deal.name,
        "account_id": deal.account.account_id,
        "account_name": deal.account.name,
        "account_name_length": len(deal.account.name),
        "billing_email": email or "",
        "billing_email_valid": email is not None,
        "country": address.country,
        "country_known": not address.country_given,
        "currency": deal.currency.lower(),
        "currency_known": known_currency(deal.currency),
        "amount_minor": _minor(deal.amount, deal),
        "amount_exact": not inexact,
        "lines_total_minor": _minor(total, deal) if deal.lines else None,
        "lines_match_amount": deal.amount is None or not deal.lines or total == deal.amount,
        "line_count": len(deal.lines),
    }


def _line_columns(line: DealLine, deal: WonDeal, catalogue: Catalogue) -> BillingRow:
    price = catalogue.get(line.stripe_price_id)
    active = price is not None and price.active
    in_currency = price is not None and deal.currency.lower() in price.unit_amounts
    return {
        "line_id": line.line_id,
        "product_name": line.product_name,
        "quantity_positive": line.quantity > 0,
        "line_total_minor": _minor(line.total, deal),
        "price_id": line.stripe_price_id,
        "price_known": active or not line.stripe_price_id,
        "price_currency_ok": in_currency or not active or not known_currency(deal.currency),
        "recurring": is_recurring(line, catalogue),
    }


def _minor(amount: Decimal | None, deal: WonDeal) -> int | None:
    if amount is None or not known_currency(deal.currency):
        return None
    try:
        return Money.from_major(amount, deal.currency).amount_minor
    except RecordRejected:
        return None


def _email(text: str) -> str | None:
    """The address in its one spelling, "" when there is none, None when it is malformed."""
    if not text.strip():
        return ""
    try:
        return normalize_email(text)
    except RecordRejected:
        return None
