"""Plans bill exactly what was agreed, and Stripe is sent nothing that it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import RecordRejected, TotalMismatch
from order_to_cash.domain.money import EXPONENTS, STEPS, Money
from order_to_cash.domain.plan import plan_deal, verify_draft
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import (
    Address,
    BillingPlan,
    CollectionMethod,
    StripeInvoice,
    StripePrice,
    WonDeal,
)
from order_to_cash.domain.wire import customer_params, invoice_params, line_params
from tests.domain.deals import ACCOUNT, CATALOGUE, GO_LIVE, OPPORTUNITY, RULES, bill_to, deal, line

KEY = f"o2c:invoice:{OPPORTUNITY}:1"


def plan_of(won: WonDeal, rules: BillingRules = RULES) -> BillingPlan:
    return plan_deal(won, CATALOGUE, rules)


def test_a_list_price_is_billed_as_the_price_stands() -> None:
    (only,) = plan_of(deal()).lines
    assert (only.price_id, only.product_id, only.quantity, only.negotiated) == ("price_seat", "", 10, False)
    assert line_params(plan_of(deal())) == [
        {
            "description": "Seat",
            "quantity": 10,
            "pricing": {"price": "price_seat"},
            "metadata": {"salesforce_line_id": only.line_id},
        }
    ]


def test_currency_options_are_list_prices_too() -> None:
    (only,) = plan_of(deal(line("10", "90"), currency="EUR")).lines
    assert (only.price_id, only.unit_amount) == ("price_seat", Money(900, "eur"))


def test_a_negotiated_price_is_billed_as_agreed_on_the_same_product() -> None:
    plan = plan_of(deal(line("10", "80")))
    (only,) = plan.lines
    assert (only.price_id, only.product_id, only.unit_amount, only.negotiated) == (
        *("", "prod_seat"),
        Money(800, "usd"),
        True,
    )
    assert line_params(plan)[0]["price_data"] == {
        "currency": "usd",
        "product": "prod_seat",
        "unit_amount": 800,
    }


def test_half_a_unit_becomes_one_amount_that_says_so() -> None:
    plan = plan_of(deal(line("2.5", "3000", "price_day", product_name="Consulting")))
    (only,) = plan.lines
    assert (only.quantity, only.total, only.negotiated) == (1, Money(300000, "usd"), False)
    assert only.description == "Consulting (2.5 × 1200 USD)"
    assert line_params(plan)[0]["price_data"]["unit_amount"] == 300000


def test_a_total_that_does_not_divide_becomes_one_amount() -> None:
    (only,) = plan_of(deal(line("3", "100"))).lines
    assert (only.quantity, only.unit_amount, only.negotiated) == (1, Money(10000, "usd"), True)
    assert only.description == "Seat (3 × ≈33.333333 USD)"


def test_a_unit_that_stripe_does_not_take_becomes_one_amount() -> None:
    (only,) = plan_of(deal(line("2", "5"), currency="ISK")).lines
    assert (only.quantity, only.unit_amount) == (1, Money(500, "isk"))


def test_a_discount_line_is_an_amount_without_a_price() -> None:
    plan = plan_of(deal(line(), line("1", "-20", number=2)))
    assert plan.total == Money(8000, "usd")
    assert line_params(plan)[1] == {
        "description": "Seat",
        "amount": -2000,
        "metadata": {"salesforce_line_id": plan.lines[1].line_id},
    }


@st.composite
def sold(draw: st.DrawFn) -> tuple[WonDeal, dict[str, StripePrice]]:
    """A deal in any currency with lines of any price, and the catalogue that it was sold from."""
    currency = draw(st.sampled_from(sorted(EXPONENTS)))
    step = STEPS.get(currency, 1)
    listed = draw(st.integers(1, 10**6)) * step
    amounts = draw(st.lists(st.integers(-100, 10**8), min_size=1, max_size=6))
    quantities = draw(st.lists(st.decimals("0.01", 10**4, places=2), min_size=6, max_size=6))
    if draw(st.booleans()):
        amounts.append(listed // step * 7)
        quantities[len(amounts) - 1 :] = [Decimal(7)]
    if sum(amounts) <= 0:
        amounts.append(1 - sum(amounts))
        quantities.append(Decimal(1))
    lines = [
        line(str(quantity), str(Money(amount * step, currency).to_major()), number=number)
        for number, (amount, quantity) in enumerate(zip(amounts, quantities, strict=False))
    ]
    price = StripePrice(price_id="price_seat", product_id="prod_seat", unit_amounts={currency: listed})
    return deal(*lines, currency=currency.upper()), {"price_seat": price}


@given(sold())
def test_plan_totals_are_line_totals_are_the_deals_amount(
    case: tuple[WonDeal, dict[str, StripePrice]],
) -> None:
    won, catalogue = case
    plan = plan_deal(won, catalogue, RULES)
    assert plan.total.to_major() == won.amount
    assert len(plan.lines) == len(won.lines)
    for planned, sent in zip(plan.lines, line_params(plan), strict=True):
        assert planned.unit_amount * planned.quantity == planned.total
        assert bool(planned.price_id) != bool(planned.product_id)
        assert planned.unit_amount.representable
        priced = sent.get("price_data", {}).get(
            "unit_amount", catalogue["price_seat"].unit_amounts[plan.currency]
        )
        assert sent.get("amount", priced * sent.get("quantity", 0)) == planned.total.amount_minor


# Names that the SDK's request options import for type checkers only.
_ELSEWHERE = {"StripeContext": object, "Mapping": Mapping}


def _allowed(kind: Any) -> Any:
    """The TypedDict inside a parameter's annotation, or None when it holds none."""
    if hasattr(
        kind, "__total__"
    ):  # the SDK uses typing_extensions' TypedDict, which typing does not recognise
        return kind
    return next((found for inner in get_args(kind) if (found := _allowed(inner))), None)


def _unknown(params: Any, kind: Any, path: str = "") -> list[str]:
    """Paths in `params` that the SDK's generated parameter type does not have."""
    if isinstance(params, list):
        return [found for item in params for found in _unknown(item, kind, path)]
    if not isinstance(params, dict) or kind is None:
        return []
    hints = get_type_hints(kind, localns=_ELSEWHERE)
    wrong = [f"{path}{name}" for name in params if name not in hints]
    for name, value in params.items():
        if name in hints and name != "metadata" and get_origin(hints[name]) is not dict:
            wrong += _unknown(value, _allowed(hints[name]), f"{path}{name}.")
    return wrong


@given(sold(), st.booleans(), st.sampled_from(list(CollectionMethod)))
def test_stripe_is_sent_nothing_that_the_sdk_does_not_know(
    case: tuple[WonDeal, dict[str, StripePrice]], tax: bool, method: CollectionMethod
) -> None:
    from stripe.params import CustomerCreateParams, InvoiceAddLinesParams, InvoiceCreateParams

    won, catalogue = case
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, automatic_tax=tax, collection_method=method)
    plan = plan_deal(won, catalogue, rules)
    shipped = bill_to(shipping_address=Address(line1="Dock 4", country="US"))
    assert _unknown(invoice_params(plan, "cus_1", KEY), InvoiceCreateParams) == []
    assert _unknown({"lines": line_params(plan)}, InvoiceAddLinesParams) == []
    assert _unknown(customer_params(shipped), CustomerCreateParams) == []


def test_the_check_for_unknown_parameters_finds_them() -> None:
    from stripe.params import InvoiceAddLinesParams

    wrong = {"lines": [{"amount": 1, "price": "price_1", "pricing": {"prize": 1}}]}
    assert _unknown(wrong, InvoiceAddLinesParams) == ["lines.price", "lines.pricing.prize"]


def test_a_plan_survives_being_stored() -> None:
    plan = plan_of(deal(line(), line("2.5", "3000", "price_day", number=2)))
    assert BillingPlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_draft_does_nothing_by_itself() -> None:
    params = invoice_params(plan_of(deal(days_until_due=14)), "cus_1", KEY)
    assert params == {
        "customer": "cus_1",
        "currency": "usd",
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "collection_method": "send_invoice",
        "days_until_due": 14,
        "metadata": {
            "salesforce_opportunity_id": OPPORTUNITY,
            "salesforce_account_id": ACCOUNT,
            "salesforce_owner_id": "005000000000001AAA",
            "salesforce_lead_source": "Web",
            "o2c_key": KEY,
        },
    }


def test_terms_only_go_with_sent_invoices_and_tax_only_by_policy() -> None:
    rules = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, automatic_tax=True)
    params = invoice_params(plan_of(deal(collection_method="charge_automatically"), rules), "cus_1", KEY)
    assert params["collection_method"] == "charge_automatically"
    assert "days_until_due" not in params
    assert params["automatic_tax"] == {"enabled": True}


def test_customers_carry_their_account_and_no_empty_value() -> None:
    params = customer_params(bill_to(email=" Billing@Northwind.Example "))
    assert params == {
        "name": "Northwind Traders",
        "email": "billing@northwind.example",
        "address": {"line1": "Main Street 1", "city": "Springfield", "country": "US"},
        "metadata": {"salesforce_account_id": ACCOUNT},
    }


def test_a_deal_that_is_not_fit_is_refused_with_its_first_reason() -> None:
    with pytest.raises(RecordRejected) as refused:
        plan_of(deal(line("1", "49", "price_monthly"), account=bill_to(email="")))
    assert refused.value.code == "needs_subscription"
    assert "1 more" in refused.value.message
    assert refused.value.ids["opportunity"] == OPPORTUNITY


def test_the_digest_follows_what_is_billed_and_nothing_else() -> None:
    two = (line(), line("1", "20", number=2))
    base = plan_of(deal(*two)).digest
    renamed = deal(
        line("1", "20.00", number=9, product_name="Chair"),
        line(number=8),
        account=bill_to(name="New Name", email="other@northwind.example"),
        name="Another name",
    )
    assert plan_of(renamed).digest == base
    others = [
        deal(line(), line("1", "21", number=2)),
        deal(line(), line("2", "20", number=2)),
        deal(*two, days_until_due=7),
        deal(*two, collection_method="charge_automatically"),
        deal(*two, account=bill_to(account_id="001000000000002AAA")),
    ]
    digests = {base, *(plan_of(other).digest for other in others)}
    assert len(digests) == len(others) + 1


def draft(plan: BillingPlan, **other: Any) -> StripeInvoice:
    total = plan.total
    return StripeInvoice.model_validate(
        {
            "invoice_id": "in_1",
            "customer_id": "cus_1",
            "status": "draft",
            "currency": plan.currency,
            "subtotal": total,
            "total": total + Money(1900, plan.currency),
            "total_excluding_tax": total,
            "tax": Money(1900, plan.currency),
            "line_count": len(plan.lines),
            "metadata": dict(plan.metadata),
            **other,
        }
    )


def test_a_draft_equal_to_the_plan_passes_tax_apart() -> None:
    plan = plan_of(deal())
    verify_draft(plan, draft(plan), "cus_1")


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"total_excluding_tax": Money(9999, "usd")}, "$99.99 USD instead of $100.00 USD"),
        ({"total_excluding_tax": Money(10000, "eur"), "currency": "eur"}, "currency eur"),
        ({"customer_id": "cus_2"}, "customer cus_2"),
        ({"line_count": 2}, "lines 2"),
        ({"metadata": {"salesforce_opportunity_id": "006000000000009AAA"}}, "opportunity"),
    ],
)
def test_any_other_draft_is_not_finalized(other: dict[str, Any], named: str) -> None:
    plan = plan_of(deal())
    with pytest.raises(TotalMismatch, match=re.escape(named)) as refused:
        verify_draft(plan, draft(plan, **other), "cus_1")
    assert refused.value.ids["invoice"] == "in_1"
