"""What Stripe is sent, beyond what the plans' tests say."""

from __future__ import annotations

from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Address, EmailSource, StripeCustomer
from order_to_cash.domain.wire import customer_changes, customer_params, line_params, postal_digest
from tests.domain.deals import ACCOUNT, CATALOGUE, GO_LIVE, RULES, bill_to, customer, deal, line

BLANK = dict.fromkeys(("line1", "line2", "city", "state", "postal_code", "country"), "")


def test_agreed_prices_are_net_where_stripe_adds_the_tax() -> None:
    taxed = BillingRules(bill_deals_closed_on_or_after=GO_LIVE, automatic_tax=True)
    negotiated = deal(line("10", "80"))
    (sent,) = line_params(plan_deal(negotiated, CATALOGUE, taxed))
    assert sent["price_data"]["tax_behavior"] == "exclusive"
    (untaxed,) = line_params(plan_deal(negotiated, CATALOGUE, RULES))
    assert "tax_behavior" not in untaxed["price_data"]


def as_sent(**other: object) -> StripeCustomer:
    """The customer as it is after it was made for the tests' Account."""
    sent = customer_params(bill_to(), "usd")
    known = {"name": sent["name"], "email": sent["email"], "account_id": ACCOUNT, "currency": "usd"}
    places = {"address_digest": postal_digest(sent["address"]), "shipping_digest": ""}
    return customer(**known | places | other)


def test_a_matched_customer_is_changed_only_when_something_differs() -> None:
    assert customer_changes(bill_to(), as_sent(), "usd") == {}
    assert customer_changes(bill_to(), as_sent(email="Billing@Northwind.example"), "usd") == {}
    assert customer_changes(bill_to(), as_sent(address_digest=None, shipping_digest=None), "usd") == {}
    renamed = customer_changes(bill_to(), as_sent(name="Northwind"), "usd")
    assert renamed["metadata"] == {"salesforce_account_id": ACCOUNT}
    assert renamed["email"] == "billing@northwind.example"
    unmarked = customer_changes(bill_to(), as_sent(currency=""), "eur")
    assert unmarked["metadata"] == {"salesforce_account_id": ACCOUNT, "o2c_currency": "eur"}


def test_a_corrected_address_is_sent_whole_and_an_empty_one_clears_nothing() -> None:
    moved = bill_to(billing_address=Address(line1="High Street 2", city="Leeds", country="GB"))
    changes = customer_changes(moved, as_sent(), "usd")
    assert changes["address"] == BLANK | {"line1": "High Street 2", "city": "Leeds", "country": "GB"}
    assert "shipping" not in changes
    depot = bill_to(shipping_address=Address(line1="Dock 3", country="US"))
    shipped = customer_changes(depot, as_sent(), "usd")["shipping"]
    assert shipped == {
        "name": "Northwind Traders",
        "address": BLANK | {"line1": "Dock 3", "country": "US"},
    }
    arrived = as_sent(shipping_digest=postal_digest(shipped["address"] | {"line2": None}))
    assert customer_changes(depot, arrived, "usd") == {}
    assert customer_changes(bill_to(billing_address=Address()), arrived, "usd") == {}


def test_a_contacts_address_fills_an_empty_one_and_replaces_none() -> None:
    asked = bill_to(email="buyer@northwind.example", email_source=EmailSource.CONTACT)
    assert customer_changes(asked, as_sent(email=""), "usd")["email"] == "buyer@northwind.example"
    assert customer_changes(asked, as_sent(), "usd") == {}
    assert "email" not in customer_changes(asked, as_sent(name="Northwind"), "usd")
