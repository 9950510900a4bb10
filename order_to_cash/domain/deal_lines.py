"""The lines of a deal: Opportunity products, or the quote lines of Salesforce CPQ."""

from __future__ import annotations

from decimal import Decimal

from order_to_cash.domain.policy import BillingRules, LineSource
from order_to_cash.domain.reading import Row, parent_of, read_id, read_number, read_required, text_of
from order_to_cash.domain.records import DealLine

_RECURRING_TYPES = frozenset({"Renewable", "Evergreen", "Renewable/Evergreen"})


def contributes_nothing(row: Row, rules: BillingRules) -> bool:
    """Whether this is a bundle's component that costs nothing and has no Stripe price: it is left off the invoice.

    CPQ prices what a bundle includes at zero and names the bundle's line in Required By (Salesforce Help, "CPQ
    Quote Line Fields"); the bundle's own line carries the amount. Raises UnreadableError for an unreadable total.
    """
    if rules.line_source is not LineSource.CPQ_QUOTE_LINES or not text_of(row.get("SBQQ__RequiredBy__c")):
        return False
    product = parent_of(row, "SBQQ__Product__r")
    return not text_of(product.get(rules.field_names.product_price_id)) and (
        read_number(row, "SBQQ__NetTotal__c") == 0
    )


def read_line(row: Row, rules: BillingRules) -> DealLine:
    """One line as it is. Raises UnreadableError."""
    cpq = rules.line_source is LineSource.CPQ_QUOTE_LINES
    product = parent_of(row, "SBQQ__Product__r" if cpq else "Product2")
    quantity = read_required(row, "SBQQ__Quantity__c" if cpq else "Quantity")
    total = read_required(row, "SBQQ__NetTotal__c" if cpq else "TotalPrice")
    price = read_number(row, "SBQQ__NetPrice__c" if cpq else "UnitPrice")
    product_id = text_of(row.get("SBQQ__Product__c" if cpq else "Product2Id"))
    return DealLine(
        line_id=read_id(row, "Id"),
        product_id=product_id,
        product_name=text_of(product.get("Name")),
        product_code=text_of(product.get("ProductCode")),
        description=text_of(row.get("SBQQ__Description__c" if cpq else "Description")),
        quantity=quantity,
        unit_price=_net_unit(quantity, total, price),
        total=total,
        stripe_price_id=text_of(product.get(rules.field_names.product_price_id)),
        recurring=cpq and _cpq_recurring(row),
    )


def _net_unit(quantity: Decimal, total: Decimal, price: Decimal | None) -> Decimal:
    """The price of one unit after discounts. Salesforce's UnitPrice is before the line's own discount."""
    if price is not None and price * quantity == total:
        return price
    return total / quantity if quantity else price or Decimal(0)


def _cpq_recurring(row: Row) -> bool:
    """Whether a quote line is a subscription: it has subscription pricing and its type does not say one-time.

    The type alone says nothing: CPQ fills in "Renewable" for one-time products too. It decides only where the
    pricing was not read.
    """
    kind = text_of(row.get("SBQQ__SubscriptionType__c"))
    if "SBQQ__SubscriptionPricing__c" not in row:
        return kind in _RECURRING_TYPES
    return bool(text_of(row.get("SBQQ__SubscriptionPricing__c"))) and kind != "One-time"
