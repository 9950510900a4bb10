"""Tax and totals of an invoice."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from emulators.stripe.api import Api
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj

TAX_RATE_ID = "txr_emulator"


def lines_of(api: Api, invoice: Obj) -> list[Obj]:
    found = (api.world.get("line_item", line_id) for line_id in invoice["_lines"])
    return [line for line in found if line is not None]


def check_tax_location(invoice: Obj, customer: Obj) -> None:
    """Automatic tax needs an address: raises StripeError `customer_tax_location_invalid`."""
    if invoice["automatic_tax"]["enabled"] and not (customer["address"] or {}).get("country"):
        message = (
            "The customer's location isn't recognized. Set a valid customer address in order to "
            "automatically calculate tax."
        )
        raise StripeError(message, code="customer_tax_location_invalid", param="automatic_tax")


def tax_of(amount: int, percent: Decimal, *, inclusive: bool) -> int:
    """The tax of one line, rounded half up to the minor unit (Stripe Tax rounds line by line)."""
    whole = Decimal(amount) * percent
    exact = whole / (100 + percent) if inclusive else whole / 100
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _tax_line(api: Api, invoice: Obj, customer: Obj, line: Obj) -> None:
    line["taxes"] = []
    if not invoice["automatic_tax"]["enabled"]:
        return
    country = (customer["address"] or {}).get("country")
    percent = Decimal(api.settings.tax_rates.get(str(country), "0"))
    reason = "standard_rated"
    if customer["tax_exempt"] != "none":
        percent = Decimal(0)
        reason = "reverse_charge" if customer["tax_exempt"] == "reverse" else "customer_exempt"
    elif country not in api.settings.tax_rates:
        reason = "not_collecting"
    inclusive = line["_tax_behavior"] == "inclusive"
    amount = tax_of(line["amount"], percent, inclusive=inclusive)
    line["taxes"] = [
        {
            "amount": amount,
            "tax_behavior": "inclusive" if inclusive else "exclusive",
            "tax_rate_details": {"tax_rate": TAX_RATE_ID},
            "taxability_reason": reason,
            "taxable_amount": (line["amount"] - amount if inclusive else line["amount"]) if percent else 0,
            "type": "tax_rate_details",
        }
    ]


def retotal(api: Api, invoice: Obj, lines: list[Obj] | None = None) -> None:
    """Compute taxes of the lines and every total of a draft."""
    customer = api.world.get("customer", invoice["customer"])
    if customer is None:
        raise RuntimeError(f"{invoice['id']} has no customer")
    every = lines_of(api, invoice) if lines is None else lines
    for line in every:
        _tax_line(api, invoice, customer, line)
    taxes = _grouped([tax for line in every for tax in line["taxes"]])
    inclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    exclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    subtotal = sum(line["amount"] for line in every)
    total = subtotal + exclusive
    due = max(0, total + customer["balance"])  # credit lowers what is due, a debt raises it
    invoice.update(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal - inclusive,
        total=total,
        total_excluding_tax=subtotal - inclusive,
        total_taxes=taxes,
        starting_balance=customer["balance"],
        amount_due=due,
        amount_remaining=due,
    )
    if invoice["automatic_tax"]["enabled"]:
        known = bool((customer["address"] or {}).get("country"))
        invoice["automatic_tax"]["status"] = "complete" if known else "requires_location_inputs"
        invoice["automatic_tax"]["provider"] = "stripe"
        invoice["automatic_tax"]["liability"] = {"type": "self"}


def _grouped(taxes: list[Obj]) -> list[Obj]:
    groups: dict[tuple[Any, ...], Obj] = {}
    for tax in taxes:
        key = (tax["tax_behavior"], tax["taxability_reason"], tax["tax_rate_details"]["tax_rate"])
        if key in groups:
            groups[key]["amount"] += tax["amount"]
            groups[key]["taxable_amount"] += tax["taxable_amount"]
        else:
            groups[key] = dict(tax)
    return list(groups.values())
