"""From a deal that is fit to be billed to what Stripe is told. Pure: decided before anything is touched."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from order_to_cash.domain.errors import RecordRejected, TotalMismatch
from order_to_cash.domain.identity import (
    METADATA_ACCOUNT,
    METADATA_LEAD_SOURCE,
    METADATA_OPPORTUNITY,
    METADATA_OWNER,
    digest,
)
from order_to_cash.domain.judgement import Catalogue, judge
from order_to_cash.domain.money import Money, sum_money
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import (
    BillingPlan,
    CollectionMethod,
    DealLine,
    PlanLine,
    StripeInvoice,
    StripePrice,
    WonDeal,
)


def plan_deal(deal: WonDeal, catalogue: Catalogue, rules: BillingRules) -> BillingPlan:
    """What billing `deal` will do. The plan's total is the sum of its lines and the deal's amount, exactly.

    A line is billed at list price where that gives its total; else at the agreed price of one unit; else,
    with a fraction of a unit or a total that does not divide, as one amount whose description tells the
    real quantity. A line below zero is a discount: an amount of its own, as Stripe takes no negative price.

    Raises RecordRejected with the code of the first problem that `judge` finds; the message counts the
    others.
    """
    problems = judge(deal, catalogue, rules)
    if problems:
        first, others = problems[0], len(problems) - 1
        more = f" And {others} more." if others else ""
        raise RecordRejected(
            first.message + more,
            code=first.code,
            remedy=first.remedy,
            ids={"opportunity": deal.opportunity_id, "field": first.field},
        )
    lines = tuple(_plan_line(line, catalogue[line.stripe_price_id], deal.currency) for line in deal.lines)
    method = _collection_method(deal, rules)
    plan = BillingPlan(
        opportunity_id=deal.opportunity_id,
        account_id=deal.account.account_id,
        currency=deal.currency.lower(),
        lines=lines,
        total=sum_money([line.total for line in lines], deal.currency),
        collection_method=method,
        days_until_due=_days_until_due(deal, rules) if method is CollectionMethod.SEND_INVOICE else None,
        automatic_tax=rules.automatic_tax,
        metadata=_metadata(deal),
        digest="",
    )
    return plan.model_copy(update={"digest": plan_digest(plan)})


def plan_digest(plan: BillingPlan) -> str:
    """SHA-256 over what decides the invoice: who, what, how much, how it is collected.

    Names, descriptions, addresses, Salesforce line ids and the order of the lines do not count: a deal whose
    products were typed in again is the same deal.
    """
    lines = sorted(
        [
            line.price_id,
            line.product_id,
            line.quantity,
            line.unit_amount.amount_minor,
            line.total.amount_minor,
        ]
        for line in plan.lines
    )
    return digest(
        {
            "opportunity": plan.opportunity_id,
            "account": plan.account_id,
            "currency": plan.currency,
            "lines": lines,
            "collection_method": plan.collection_method,
            "days_until_due": plan.days_until_due,
            "automatic_tax": plan.automatic_tax,
        }
    )


def verify_draft(plan: BillingPlan, invoice: StripeInvoice, customer_id: str) -> None:
    """Raises TotalMismatch unless `invoice` bills `customer_id` exactly what `plan` says, tax apart."""
    compared = {
        "customer": (customer_id, invoice.customer_id),
        "currency": (plan.currency, invoice.currency.lower()),
        "lines": (len(plan.lines), invoice.line_count),
        "opportunity": (plan.opportunity_id, invoice.metadata.get(METADATA_OPPORTUNITY, plan.opportunity_id)),
        "total without tax": (plan.total, invoice.total_excluding_tax),
    }
    different = [f"{what} {got} instead of {want}" for what, (want, got) in compared.items() if want != got]
    if different:
        raise TotalMismatch(
            f"Stripe's draft differs from the plan: {', '.join(different)}.",
            remedy=(
                "The draft was not finalized. Look for a discount on the customer, tax-inclusive prices, "
                "or lines that were added in Stripe."
            ),
            ids={"opportunity": plan.opportunity_id, "invoice": invoice.invoice_id},
        )


def _plan_line(line: DealLine, price: StripePrice, currency: str) -> PlanLine:
    total = Money.from_major(line.total, currency)
    listed = Money(price.unit_amounts[currency.lower()], currency)
    at_list = Fraction(line.quantity) * listed.amount_minor == total.amount_minor
    whole = int(line.quantity) if line.quantity == int(line.quantity) else 0
    if whole and at_list:
        return _one(line, line.product_name, whole, listed, total, price_id=price.price_id)
    unit = _agreed_unit(total, whole)
    if unit is not None:
        return _one(line, line.product_name, whole, unit, total, product_id=price.product_id, negotiated=True)
    return _one(
        line,
        _amount_text(line, currency),
        1,
        total,
        total,
        product_id=price.product_id,
        negotiated=not at_list,
    )


def _one(
    line: DealLine,
    description: str,
    quantity: int,
    unit: Money,
    total: Money,
    **where: str | bool,
) -> PlanLine:
    return PlanLine.model_validate(
        {
            "line_id": line.line_id,
            "description": description or f"Product {line.product_id}",
            "quantity": quantity,
            "unit_amount": unit,
            "total": total,
            **where,
        }
    )


def _agreed_unit(total: Money, whole: int) -> Money | None:
    """The price of one of `whole` units, when it is exact and one that Stripe takes."""
    if not whole or total.amount_minor < 0 or total.amount_minor % whole:
        return None
    unit = Money(total.amount_minor // whole, total.currency)
    return unit if unit.representable else None


def _amount_text(line: DealLine, currency: str) -> str:
    """Such as "Consulting (2.5 × 1200 EUR)": what the one amount stands for."""
    name = line.product_name or f"Product {line.product_id}"
    if line.quantity == 1:
        return name
    return f"{name} ({_plain(line.quantity)} × {_plain(line.unit_price)} {currency})"


def _plain(number: Decimal) -> str:
    """Without exponent and trailing zeros; prices that do not end are cut to six places, marked with "≈"."""
    cut = number.quantize(Decimal("0.000001"))
    text = f"{cut:f}".rstrip("0").rstrip(".")
    return text if cut == number else f"≈{text}"


def _collection_method(deal: WonDeal, rules: BillingRules) -> CollectionMethod:
    return CollectionMethod(deal.collection_method) if deal.collection_method else rules.collection_method


def _days_until_due(deal: WonDeal, rules: BillingRules) -> int:
    return rules.days_until_due if deal.days_until_due is None else deal.days_until_due


def _metadata(deal: WonDeal) -> dict[str, str]:
    metadata = {
        METADATA_OPPORTUNITY: deal.opportunity_id,
        METADATA_ACCOUNT: deal.account.account_id,
        METADATA_OWNER: deal.owner_id,
        METADATA_LEAD_SOURCE: deal.lead_source,
    }
    return {key: value for key, value in metadata.items() if value}
