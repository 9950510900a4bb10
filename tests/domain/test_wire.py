"""What Stripe is sent, beyond what the plans' tests say."""

from __future__ import annotations

from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.wire import line_params
from tests.domain.deals import CATALOGUE, GO_LIVE, RULES, deal, line


def test_agreed_prices_are_net_where_stripe_adds_the_tax() -> None:
    taxed = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, automatic_tax=True)
    negotiated = deal(line("10", "80"))
    (sent,) = line_params(plan_deal(negotiated, CATALOGUE, taxed))
    assert sent["price_data"]["tax_behavior"] == "exclusive"
    (untaxed,) = line_params(plan_deal(negotiated, CATALOGUE, RULES))
    assert "tax_behavior" not in untaxed["price_data"]
