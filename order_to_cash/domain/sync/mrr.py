"""Monthly recurring revenue of one subscription: its current plan, and nothing else (R60).

For each licensed item what its price costs for its quantity (tiers and packages included), spread over months: a year
is 12, a week 12/52, a day 12/365 of them. Before discounts and tax: an event names a discount by id only, and a coupon
that ends would change the figure without any change of plan. Metered items count nothing, usage is not known ahead.
Summed exactly, rounded once, half to even, to what the currency has (at most two places, as Salesforce's field).
Only an `active` or `past_due` subscription has recurring revenue: a trial has none yet, an ended or unpaid one none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from order_to_cash.domain.money import EXPONENTS, Money
from order_to_cash.domain.sync.bodies import items, mapping, ref, text, whole
from order_to_cash.domain.sync.shapes import Body

EARNING = frozenset({"active", "past_due"})
_MONTHS_OF = {
    "month": Fraction(1),
    "year": Fraction(12),
    "week": Fraction(12, 52),
    "day": Fraction(12, 365),
}
_MOST_PLACES = 2  # of MRR__c


@dataclass(frozen=True, slots=True)
class Mrr:
    """`amount` per month, and in `note` what it leaves out, for people."""

    amount: Money
    note: str = ""


def mrr_of(subscription: Body) -> Mrr:
    """What a normalized subscription brings in a month now. Raises RecordRejected (`currency_unknown`)."""
    status = text(subscription.get("status"))
    plan = plan_value(subscription)
    if status in EARNING:
        return plan
    zero = Money.zero(plan.amount.currency)
    return Mrr(zero, "In trial: counts from the first payment on." if status == "trialing" else "")


def plan_value(subscription: Body) -> Mrr:
    """What the plan is worth a month, whatever the status. Raises RecordRejected (`currency_unknown`)."""
    currency = text(subscription.get("currency"))
    total = Fraction(0)
    notes: dict[str, None] = {}
    for item in items(subscription.get("items")):
        price = mapping(item.get("price"))
        months = _months(price)
        cost = _cost(price, item.get("quantity"))
        if mapping(price.get("recurring")).get("usage_type") == "metered":
            notes["Usage that is metered is not included."] = None
        elif months is None or cost is None:
            notes[f"The price {ref(price)} is not included: what it costs a month is not known."] = None
        else:
            total += cost / months
    if subscription.get("discounts") or subscription.get("discount"):
        notes["Before discounts."] = None
    if subscription.get("pause_collection"):
        notes["Collection is paused."] = None
    return Mrr(rounded(total, currency), " ".join(notes))


def rounded(amount_minor: Fraction, currency: str) -> Money:
    """An amount in minor units rounded half to even, to at most two decimal places of the major unit."""
    code = Money.zero(currency).currency
    step = 10 ** max(0, EXPONENTS[code] - _MOST_PLACES)
    return Money(round(amount_minor / step) * step, code)


def _months(price: Body) -> Fraction | None:
    recurring = mapping(price.get("recurring"))
    interval = _MONTHS_OF.get(text(recurring.get("interval")))
    count = whole(recurring.get("interval_count"))
    return None if interval is None or not count or count < 0 else interval * count


def _cost(price: Body, quantity: object) -> Fraction | None:
    """What `quantity` of `price` cost an interval, in minor units; None where the price does not say."""
    count = Fraction(1 if whole(quantity) is None else int(str(quantity)))
    package = mapping(price.get("transform_quantity"))
    if divisor := whole(package.get("divide_by")):
        parts = count / divisor
        count = Fraction(-((-parts).__floor__()) if package.get("round") == "up" else parts.__floor__())
    if price.get("billing_scheme") == "tiered":
        return _tiered(items(price.get("tiers")), count, volume=price.get("tiers_mode") == "volume")
    unit = _amount(price, "unit_amount")
    return None if unit is None else unit * count


def _tiered(tiers: Sequence[Body], count: Fraction, *, volume: bool) -> Fraction | None:
    """https://docs.stripe.com/billing/subscriptions/tiers: volume bills all at one tier, graduated each at its own."""
    if not tiers:
        return None
    total, below = Fraction(0), Fraction(0)
    for tier in tiers:
        limit = whole(tier.get("up_to"))
        inside = (count if limit is None else min(count, Fraction(limit))) - below
        last = limit is None or count <= limit
        if volume and not last:
            continue
        unit = _amount(tier, "unit_amount") or Fraction(0)
        flat = _amount(tier, "flat_amount") or Fraction(0)
        if volume:
            return unit * count + flat
        total += unit * inside + flat
        below += inside
        if last:
            return total
    return None


def _amount(holder: Body, name: str) -> Fraction | None:
    """A whole or decimal number of minor units; Stripe writes decimals as text, its SDK as Decimal."""
    exact = whole(holder.get(name))
    if exact is not None:
        return Fraction(exact)
    decimal = holder.get(f"{name}_decimal")
    return Fraction(str(decimal)) if isinstance(decimal, str | Decimal) and decimal else None
