"""Subscriptions that begin with a trial, rest, and end when nobody pays."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, refused
from tests.emulators.test_stripe_money import open_invoice, types


@pytest.fixture
def monthly(client: stripe.StripeClient, product: str) -> str:
    return client.v1.prices.create(
        {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    ).id


def subscribe(client: stripe.StripeClient, customer: str, price: str, **more: Any) -> stripe.Subscription:
    params: Any = {"customer": customer, "items": [{"price": price}], **more}
    return client.v1.subscriptions.create(params)


def pay_by(client: stripe.StripeClient, customer: str, card: str) -> None:
    made = client.v1.payment_methods.attach(card, {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": made.id}})


def test_a_trial_that_is_paid_for(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    pay_by(client, customer, "pm_card_visa")
    trial = subscribe(client, customer, monthly, trial_period_days=14)
    assert trial.status == "trialing"
    assert trial["items"].data[0].current_period_end == trial.trial_end
    (first,) = client.v1.invoices.list({"subscription": trial.id}).data
    assert (first.status, first.total) == ("paid", 0)
    service.clock.advance(11 * DAY + 60)
    assert types(service, "customer.subscription") == [
        "customer.subscription.created",
        "customer.subscription.trial_will_end",
    ]
    service.clock.advance(4 * DAY)
    now = client.v1.subscriptions.retrieve(trial.id)
    assert (now.status, now.billing_cycle_anchor) == ("active", trial.trial_end)
    assert [each.total for each in client.v1.invoices.list({"subscription": trial.id})] == [900, 0]


def test_a_pause_and_a_resumption(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    pay_by(client, customer, "pm_card_visa")
    made = subscribe(client, customer, monthly)
    assert client.v1.subscriptions.pause(made.id).status == "paused"
    service.clock.advance(40 * DAY)
    assert len(client.v1.invoices.list({"subscription": made.id}).data) == 1
    resumed = client.v1.subscriptions.resume(made.id)
    assert resumed.status == "active"
    assert types(service, "customer.subscription")[-4:] == [
        "customer.subscription.updated",
        "customer.subscription.paused",
        "customer.subscription.updated",
        "customer.subscription.resumed",
    ]
    service.clock.advance(32 * DAY)
    assert len(client.v1.invoices.list({"subscription": made.id}).data) == 3
    with refused("only resume a subscription that is paused"):
        client.v1.subscriptions.resume(made.id)


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")],
)
def test_collection_that_is_paused(
    client: stripe.StripeClient,
    service: StripeService,
    customer: str,
    monthly: str,
    behavior: Any,
    status: str,
) -> None:
    pay_by(client, customer, "pm_card_visa")
    made = subscribe(client, customer, monthly)
    paused = client.v1.subscriptions.update(made.id, {"pause_collection": {"behavior": behavior}})
    assert paused.status == "active"
    service.clock.advance(32 * DAY)
    assert client.v1.invoices.list({"subscription": made.id}).data[0].status == status


@pytest.mark.parametrize("outcome", ["past_due", "unpaid", "canceled"])
def test_after_the_last_retry(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str, outcome: str
) -> None:
    service.settings.after_last_retry = outcome
    pay_by(client, customer, "pm_card_visa")
    made = subscribe(client, customer, monthly)
    pay_by(client, customer, "pm_card_chargeCustomerFail")
    service.clock.advance(50 * DAY)
    now = client.v1.subscriptions.retrieve(made.id)
    assert now.status == outcome
    attempts = [
        each["data"]["object"]["attempt_count"]
        for each in service.world.all("event")
        if each["type"] == "invoice.payment_failed"
    ]
    assert attempts[:4] == [4, 3, 2, 1]
    if outcome == "canceled":
        assert types(service, "customer.subscription")[-1] == "customer.subscription.deleted"
        assert now.cancellation_details is not None
        assert now.cancellation_details.reason == "payment_failed"


def test_a_sent_invoice_is_announced_before_it_is_due(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    service.settings.will_be_due_days = 7
    open_invoice(client, customer)
    service.clock.advance(24 * DAY)
    assert types(service, "invoice.")[-1] == "invoice.will_be_due"
    service.clock.advance(7 * DAY)
    assert types(service, "invoice.")[-1] == "invoice.overdue"
