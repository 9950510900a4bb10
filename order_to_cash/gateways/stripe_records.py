"""Stripe's objects as the records of the domain. Fields that an answer lacks take the record's default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from order_to_cash.domain.identity import METADATA_ACCOUNT, METADATA_CURRENCY, full_id
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import StripeCustomer, StripeInvoice, StripePrice
from order_to_cash.domain.wire import postal_digest

Raw = Mapping[str, Any]


def customer_from(raw: Raw) -> StripeCustomer:
    """The currency is Stripe's, or before the first invoice the one that the customer was made for."""
    metadata = _mapping(raw, "metadata")
    return StripeCustomer(
        customer_id=raw["id"],
        name=_text(raw, "name"),
        email=_text(raw, "email"),
        account_id=full_id(_text(metadata, METADATA_ACCOUNT)),
        currency=(_text(raw, "currency") or _text(metadata, METADATA_CURRENCY)).lower(),
        deleted=raw.get("deleted") is True,
        created=_moment(raw),
        address_digest=postal_digest(_mapping(raw, "address")),
        shipping_digest=postal_digest(_mapping(_mapping(raw, "shipping"), "address")),
    )


def latest_customers(events: Iterable[Raw]) -> tuple[list[StripeCustomer], list[str]]:
    """What these events, in any order, say last of each customer; and the ids of those where they do not.

    `created` has a resolution of one second: of two events in one second none counts as the later.
    """
    by_id: dict[str, list[Raw]] = {}
    for event in events:
        by_id.setdefault(reference(_mapping(_mapping(event, "data"), "object")), []).append(event)
    known, unsure = [], []
    for customer_id, about in by_id.items():
        moment = max(_whole(event, "created") for event in about)
        last = [event for event in about if _whole(event, "created") == moment]
        if len(last) > 1:
            unsure.append(customer_id)
        else:
            customer = customer_from(_mapping(_mapping(last[0], "data"), "object"))
            gone = _text(last[0], "type") == "customer.deleted"
            known.append(customer.model_copy(update={"deleted": gone}))
    return known, unsure


def price_from(raw: Raw) -> StripePrice:
    """`unit_amounts` holds whole minor units only: a price with fractions of a cent cannot be compared."""
    product = raw.get("product")
    amounts = {
        currency.lower(): option["unit_amount"]
        for currency, option in _mapping(raw, "currency_options").items()
        if isinstance(option, Mapping) and isinstance(option.get("unit_amount"), int)
    }
    if isinstance(raw.get("unit_amount"), int):
        amounts[_text(raw, "currency").lower()] = raw["unit_amount"]
    expanded = product if isinstance(product, Mapping) else {}
    return StripePrice(
        price_id=raw["id"],
        product_id=_text(expanded, "id") if expanded else str(product or ""),
        product_name=_text(expanded, "name"),
        lookup_key=_text(raw, "lookup_key"),
        active=raw.get("active", True) is True and expanded.get("active", True) is True,
        recurring=raw.get("type") == "recurring" or raw.get("recurring") is not None,
        unit_amounts=amounts,
    )


def invoice_from(raw: Raw, line_count: int | None = None) -> StripeInvoice:
    """`line_count` stands in where the invoice shows only its first lines."""
    currency = _text(raw, "currency").lower()
    total = _whole(raw, "total")
    tax = sum(_whole(part, "amount") for part in raw.get("total_taxes") or [])
    untaxed = raw.get("total_excluding_tax")
    return StripeInvoice(
        invoice_id=raw["id"],
        customer_id=reference(raw.get("customer")),
        status=_text(raw, "status"),
        currency=currency,
        subtotal=Money(_whole(raw, "subtotal"), currency),
        total=Money(total, currency),
        total_excluding_tax=Money(total - tax if untaxed is None else untaxed, currency),
        tax=Money(tax if raw.get("total_taxes") or untaxed is None else total - untaxed, currency),
        line_count=shown_lines(raw) if line_count is None else line_count,
        hosted_invoice_url=_text(raw, "hosted_invoice_url"),
        number=_text(raw, "number"),
        collection_method=_text(raw, "collection_method"),
        auto_advance=raw.get("auto_advance") is True,
        livemode=raw.get("livemode") is True,
        metadata={str(name): str(value) for name, value in _mapping(raw, "metadata").items()},
        created=_moment(raw),
        finalized_at=_moment(_mapping(raw, "status_transitions"), "finalized_at"),
    )


def shown_lines(raw: Raw) -> int:
    return len(_mapping(raw, "lines").get("data") or [])


def has_more_lines(raw: Raw) -> bool:
    return _mapping(raw, "lines").get("has_more") is True


def reference(value: Any) -> str:
    """The id of a reference, expanded or not."""
    return _text(value, "id") if isinstance(value, Mapping) else str(value or "")


def _text(raw: Raw, name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _whole(raw: Raw, name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) else 0


def _mapping(raw: Raw, name: str) -> Raw:
    value = raw.get(name)
    return value if isinstance(value, Mapping) else {}


def _moment(raw: Raw, name: str = "created") -> datetime | None:
    seconds = raw.get(name)
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
