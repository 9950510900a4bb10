"""Products and prices of Stripe's catalogue as Product2 and price book entries (R28).

Name, description and activity follow Stripe. Which price a product is billed by is Salesforce's decision
(`Product2.Stripe_Price_Id__c`): it is filled in from the product's default price while it is empty, never changed.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation

from order_to_cash.domain.money import EXPONENTS, known_currency
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import mapping, ref, text, whole
from order_to_cash.domain.sync.record import Draft, mapped
from order_to_cash.domain.sync.shapes import Body, Context, Mapped, PriceEntry, ProductFacts, State


def product_rows(state: State, account_id: str, context: Context) -> Mapped:
    """The product's Product2: the one that is known, else a new one by Stripe's product id."""
    known = context.products.get(state.key.id, ProductFacts(""))
    draft = Draft(fields.PRODUCT, state.key)
    if state.deleted:
        if not known.record_id:
            return Mapped()
        draft.fields["IsActive"] = False
        return mapped([(draft, draft.row("Id", known.record_id, account_id))])
    draft.text("Stripe_Product_Id__c", state.key.id)
    draft.text("Name", state.body.get("name"))
    draft.text("Description", state.body.get("description"))
    draft.flag("IsActive", state.body.get("active"))
    default_price = ref(state.body.get("default_price"))
    if default_price and not known.price_id:
        draft.text("Stripe_Price_Id__c", default_price)
    name, value = ("Id", known.record_id) if known.record_id else ("Stripe_Product_Id__c", state.key.id)
    made = mapped([(draft, draft.row(name, value, account_id))])
    followed = known.price_id in {"", default_price}
    entry = price_entry(state, mapping(state.body.get("default_price")), state.key.id) if followed else None
    return replace(made, prices=(entry,)) if entry and made.rows else made


def price_rows(state: State, _account_id: str, context: Context) -> Mapped:
    """The entry of the price that its Product2 names; other prices of the product change nothing in Salesforce."""
    product = ref(state.body.get("product"))
    known = context.products.get(product)
    if known is None or known.price_id != state.key.id:
        return Mapped()
    entry = price_entry(state, state.body, product)
    return Mapped(prices=(entry,)) if entry else Mapped()


def price_entry(state: State, price: Body, product_id: str) -> PriceEntry | None:
    """The entry of one price; None for one whose amount for a single unit is not fixed."""
    unit = unit_price(price)
    if unit is None:
        return None
    return PriceEntry(
        price_id=ref(price),
        product_id=product_id,
        currency=text(price.get("currency")).upper(),
        unit_price=unit,
        active=not state.deleted and price.get("active") is True,
        source=state.key,
    )


def unit_price(price: Body) -> Decimal | None:
    """What one costs in major units, exactly; None for tiers, for what the customer chooses and unknown currencies."""
    currency = text(price.get("currency")).lower()
    given = whole(price.get("unit_amount"))
    decimal = price.get("unit_amount_decimal")
    if not known_currency(currency) or (given is None and not decimal):
        return None
    try:
        minor = Decimal(str(decimal)) if given is None else Decimal(given)
    except InvalidOperation:
        return None
    return minor.scaleb(-EXPONENTS[currency]) if minor.is_finite() else None
