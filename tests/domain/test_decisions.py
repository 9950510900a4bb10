"""Runs that are too large wait for a person, and Salesforce is told of each record once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from order_to_cash.domain.decisions import (
    BilledDeal,
    check_run_limits,
    deals_over_approval_limit,
    totals_by_currency,
    write_back_rows,
)
from order_to_cash.domain.errors import RunHeld
from order_to_cash.domain.money import Money
from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.policy import BillingRules, FieldNames
from order_to_cash.domain.records import BillingPlan, StripeInvoice
from tests.domain.deals import ACCOUNT, CATALOGUE, GO_LIVE, OPPORTUNITY, RULES, deal, line


def rules(**other: Any) -> BillingRules:
    return BillingRules(bill_deals_closed_on_or_after=GO_LIVE, **other)


def plan(total: str = "100", currency: str = "USD", number: int = 1) -> BillingPlan:
    won = deal(line("1", total), currency=currency, opportunity_id=f"006{number:012d}AAA")
    return plan_deal(won, CATALOGUE, RULES)


def test_a_run_within_its_limits_goes_ahead() -> None:
    limits = rules(max_deals_per_run=2, max_amount_per_run={"USD": 200}, approval_limit={"usd": 100})
    assert check_run_limits([plan(), plan(number=2)], limits) is None
    assert check_run_limits([], limits) is None
    assert check_run_limits([plan("999999")], rules()) is None


def test_too_many_deals_stop_the_run() -> None:
    held = check_run_limits([plan(number=number) for number in range(3)], rules(max_deals_per_run=2))
    assert held is not None
    assert held.deal_count == 3
    assert "3 deals are more than the 2" in held.reasons[0]
    assert isinstance(held.error(), RunHeld)


def test_too_much_money_in_one_currency_stops_the_run() -> None:
    plans = [plan("60"), plan("50", number=2), plan("90", "EUR", 3)]
    held = check_run_limits(plans, rules(max_amount_per_run={"USD": Decimal(100), "EUR": Decimal(100)}))
    assert held is not None
    assert held.reasons == ("$110.00 USD are more than the $100.00 USD that one run may bill.",)
    assert held.totals == (Money(9000, "eur"), Money(11000, "usd"))
    assert totals_by_currency(plans) == held.totals


def test_a_currency_without_a_limit_of_its_own_stops_and_asks() -> None:
    held = check_run_limits([plan("1", "EUR")], rules(max_amount_per_run={"USD": 100}))
    assert held is not None
    assert "0.00 EUR" in held.reasons[0]


def test_a_single_large_deal_needs_approval() -> None:
    limits = rules(approval_limit={"USD": 100})
    plans = [plan(), plan("100.01", number=2)]
    held = check_run_limits(plans, limits)
    assert held is not None
    assert held.opportunity_ids == (plans[1].opportunity_id,)
    assert deals_over_approval_limit(plans, limits) == (plans[1],)


def billed(number: int = 1, **other: Any) -> BilledDeal:
    zero = Money.zero("usd")
    invoice = StripeInvoice(
        invoice_id=f"in_{number}",
        customer_id="cus_1",
        status="open",
        currency="usd",
        subtotal=zero,
        total=zero,
        total_excluding_tax=zero,
        tax=zero,
        line_count=1,
        hosted_invoice_url="https://invoice.example/1",
    )
    return BilledDeal.model_validate(
        {
            "opportunity_id": f"006{number:012d}AAA",
            "account_id": ACCOUNT,
            "customer_id": "cus_1",
            "invoice": invoice,
            "billed_at": datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
            **other,
        }
    )


def test_salesforce_is_told_what_was_billed() -> None:
    rows = write_back_rows([billed()], FieldNames())
    assert rows.opportunities == (
        {
            "Id": OPPORTUNITY,
            "Stripe_Customer_Id__c": "cus_1",
            "Stripe_Invoice_Id__c": "in_1",
            "Stripe_Invoice_URL__c": "https://invoice.example/1",
            "Stripe_Invoice_Status__c": "open",
            "Stripe_Billed_At__c": "2026-11-20T09:30:00.000Z",
        },
    )
    assert rows.accounts == ({"Id": ACCOUNT, "Stripe_Customer_Id__c": "cus_1"},)


def test_no_field_outside_the_policy_is_written_and_no_record_twice() -> None:
    names = FieldNames(opportunity_invoice_id="acme__Inv__c", account_customer_id="Cus__c")
    rows = write_back_rows([billed(1), billed(2), billed(2)], names)
    assert len(rows.opportunities) == 2
    assert len(rows.accounts) == 1
    allowed = names.by_object()
    for sobject, written in (("Opportunity", rows.opportunities), ("Account", rows.accounts)):
        for row in written:
            assert set(row) - {"Id"} <= set(allowed[sobject])


def test_an_accounts_customer_stays_unless_it_is_gone() -> None:
    assert write_back_rows([billed(account_customer_id="cus_0")], FieldNames()).accounts == ()
    gone = billed(account_customer_id="cus_0", account_customer_gone=True)
    assert write_back_rows([gone], FieldNames()).accounts[0]["Stripe_Customer_Id__c"] == "cus_1"
