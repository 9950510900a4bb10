"""Invoice items and the invoice lines that come of them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from emulators.stripe.api import Api
from emulators.stripe.currencies import largest_amount, smallest_step
from emulators.stripe.errors import StripeError, missing_parameter, only_one_of
from emulators.stripe.model import Obj, Params
from emulators.stripe.params import (
    Spec,
    boolean,
    currency,
    decimal,
    hash_of,
    integer,
    metadata,
    required,
    text,
    timestamp,
    unsettable,
)
from emulators.stripe.prices import AMOUNTS, TAX_BEHAVIOR, decimal_text, make_price, unit_amounts

MAX_LINES = 250
PRODUCT_DATA = hash_of(
    description=text(), metadata=metadata(), name=required(text()), tax_code=text(), unit_label=text(12)
)
PERIOD = hash_of(start=required(timestamp()), end=required(timestamp()))
LINE: dict[str, Spec] = {
    "amount": integer(),
    "description": unsettable(text()),
    "discountable": boolean(),
    "invoice_item": text(),
    "metadata": metadata(),
    "period": PERIOD,
    "price_data": hash_of(
        **AMOUNTS,
        currency=required(currency()),
        product=text(),
        product_data=PRODUCT_DATA,
        tax_behavior=TAX_BEHAVIOR,
    ),
    "pricing": hash_of(price=required(text())),
    "quantity": integer(0),
    "quantity_decimal": decimal(),
}
ITEM: dict[str, Spec] = {
    "amount": integer(),
    "description": unsettable(text()),
    "discountable": boolean(),
    "metadata": metadata(),
    "period": PERIOD,
    "price_data": hash_of(
        **AMOUNTS, currency=required(currency()), product=required(text()), tax_behavior=TAX_BEHAVIOR
    ),
    "pricing": hash_of(price=required(text())),
    "quantity": integer(0),
    "quantity_decimal": decimal(),
    "tax_behavior": TAX_BEHAVIOR,
    "unit_amount_decimal": decimal(),
}


def check_amount(value: int, code: str, param: str) -> None:
    """Raises StripeError for an amount that is too large or not a whole step of its currency."""
    if abs(value) > largest_amount(code):
        raise StripeError(
            f"Amount must be no more than {largest_amount(code)} in the smallest currency unit.",
            code="amount_too_large",
            param=param,
        )
    step = smallest_step(code)
    if value % step:
        message = f"Invalid amount: {value} {code.upper()} must be evenly divisible by {step}."
        raise StripeError(message, code="parameter_invalid_integer", param=param)


def price_in(api: Api, price_id: str, code: str, param: str, *, kind: str = "one_time") -> Obj:
    """An active price of the wanted type that has the currency; raises StripeError else."""
    price = api.find("price", price_id, param)
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(message, param=param)
    if price["type"] != kind:
        message = (
            f"The price specified is set to `type={price['type']}` but this field only accepts prices with "
            f"`type={kind}`."
        )
        raise StripeError(message, param=param)
    if code != price["currency"] and code not in price["_currency_options"]:
        message = (
            f"The price specified only supports `{price['currency']}`. This doesn't match the expected "
            f"currency: `{code}`."
        )
        raise StripeError(message, param=param)
    return price


def unit_price(price: Obj, code: str) -> Decimal:
    option = price if code == price["currency"] else price["_currency_options"][code]
    return Decimal(option["unit_amount_decimal"])


def fill_item(api: Api, item: Obj, params: Params, code: str, param: str) -> None:
    """Set amount, quantity and pricing of an invoice item from `amount`, `pricing`, `price_data` or
    `unit_amount_decimal`; `param` prefixes names in errors (`lines[0]`)."""
    sources = [name for name in ("amount", "pricing", "price_data", "unit_amount_decimal") if name in params]
    if len(sources) != 1:
        if not sources:
            raise missing_parameter(f"{param}[amount]" if param else "amount")
        raise only_one_of(sources, _name(param, sources[0]))
    item["_tax_behavior"] = params.get("tax_behavior", "unspecified")
    if sources == ["amount"]:
        if "quantity" in params or "quantity_decimal" in params:
            raise only_one_of(["amount", "quantity"], _name(param, "quantity"))
        check_amount(params["amount"], code, _name(param, "amount"))
        item.update(amount=params["amount"], quantity=1, quantity_decimal="1", pricing=None)
        return
    unit, details = _unit(api, item, params, code, param)
    quantity = _quantity(params, param)
    total = int((unit * quantity).quantize(Decimal(1), ROUND_HALF_UP))
    check_amount(total, code, _name(param, sources[0]))
    whole = quantity == quantity.to_integral_value()
    item.update(
        amount=total,
        quantity=int(quantity) if whole else int(quantity.to_integral_value(ROUND_HALF_UP)),
        quantity_decimal=decimal_text(quantity),
        pricing={
            "price_details": details,
            "type": "price_details",
            "unit_amount_decimal": decimal_text(unit),
        },
    )


def _unit(api: Api, item: Obj, params: Params, code: str, param: str) -> tuple[Decimal, Obj | None]:
    """The unit amount and the price details; an inline price becomes an inactive Price, as at Stripe."""
    if "unit_amount_decimal" in params:
        return params["unit_amount_decimal"], None
    if "pricing" in params:
        price = price_in(api, params["pricing"]["price"], code, _name(param, "pricing[price]"))
        _describe(api, item, price["product"])
        _behave(item, price["tax_behavior"])
        return unit_price(price, code), {"price": price["id"], "product": price["product"]}
    data = dict(params["price_data"])
    name = _name(param, "price_data")
    if data["currency"] != code:
        message = (
            f"The price specified only supports `{data['currency']}`. This doesn't match the expected "
            f"currency: `{code}`."
        )
        raise StripeError(message, param=f"{name}[currency]")
    if "product" in data:
        api.find("product", data["product"], f"{name}[product]")
    elif "product_data" not in data:
        raise missing_parameter(f"{name}[product]")
    amounts = unit_amounts(data, name)
    if amounts["unit_amount"] is not None:
        check_amount(amounts["unit_amount"], code, f"{name}[unit_amount]")
    price = make_price(api, {**data, "active": False})
    _describe(api, item, price["product"])
    _behave(item, price["tax_behavior"])
    return Decimal(amounts["unit_amount_decimal"]), {"price": price["id"], "product": price["product"]}


def _quantity(params: Params, param: str) -> Decimal:
    if "quantity" in params and "quantity_decimal" in params:
        raise only_one_of(["quantity", "quantity_decimal"], _name(param, "quantity"))
    if "quantity_decimal" in params:
        quantity: Decimal = params["quantity_decimal"]
        if quantity < 0:
            message = "This value must be greater than or equal to 0."
            raise StripeError(message, param=_name(param, "quantity_decimal"), validation=True)
        return quantity
    return Decimal(params.get("quantity", 1))


def _describe(api: Api, item: Obj, product_id: str) -> None:
    if item["description"] is None:
        product = api.world.get("product", product_id)
        item["description"] = product["name"] if product else None


def _behave(item: Obj, tax_behavior: str) -> None:
    if item["_tax_behavior"] == "unspecified":
        item["_tax_behavior"] = tax_behavior


def _name(prefix: str, name: str) -> str:
    if not prefix:
        return name
    head, bracket, tail = name.partition("[")
    return f"{prefix}[{head}]{bracket}{tail}"


def line_of(api: Api, item: Obj, invoice_id: str) -> Obj:
    """The invoice line of an invoice item (not stored)."""
    details: dict[str, Any] = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": None},
        "subscription": None,
    }
    kind = "invoice_item_details"
    if item["parent"] is not None:
        kind, details = "subscription_item_details", {**details, **item["parent"]["subscription_details"]}
    return api.blank(
        "line_item",
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"],
        discountable=item["discountable"],
        invoice=invoice_id,
        metadata=dict(item["metadata"]),
        parent={
            "invoice_item_details": None,
            "subscription_item_details": None,
            "type": kind,
            kind: details,
        },
        period=dict(item["period"]),
        pricing=item["pricing"],
        quantity=item["quantity"],
        quantity_decimal=item["quantity_decimal"],
        subtotal=item["amount"],
        _tax_behavior=item["_tax_behavior"],
        _item=item["id"],
    )
