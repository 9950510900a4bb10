"""Subscriptions: the first invoice, renewals by the clock, changes and ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from emulators.stripe.periods import period_end
from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, NET_30, refused

CARD = "pm_card_visa"


@pytest.fixture
def monthly(client: stripe.StripeClient, product: str) -> str:
    return client.v1.prices.create(
        {"product": product, "currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}}
    ).id


def subscribe(client: stripe.StripeClient, customer: str, price: str, **extra: Any) -> stripe.Subscription:
    params: Any = {"customer": customer, "items": [{"price": price, "quantity": 2}], **extra}
    return client.v1.subscriptions.create(params)


def give_card(client: stripe.StripeClient, customer: str, token: str = CARD) -> None:
    method = client.v1.payment_methods.attach(token, {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})


def invoices(client: stripe.StripeClient, subscription: stripe.Subscription) -> list[stripe.Invoice]:
    return client.v1.invoices.list({"subscription": subscription.id}).data


def test_creation_bills_at_once(client: stripe.StripeClient, customer: str, monthly: str) -> None:
    give_card(client, customer)
    made = subscribe(client, customer, monthly, expand=["latest_invoice"])
    assert made.status == "active"
    assert isinstance(made.latest_invoice, stripe.Invoice)
    assert (made.latest_invoice.status, made.latest_invoice.total) == ("paid", 1800)
    assert made.latest_invoice.billing_reason == "subscription_create"
    assert made.latest_invoice.parent is not None
    assert made.latest_invoice.parent.subscription_details is not None
    assert made.latest_invoice.parent.subscription_details.subscription == made.id
    item = made["items"].data[0]
    assert 28 * DAY <= item.current_period_end - item.current_period_start <= 31 * DAY


@pytest.mark.parametrize(
    ("behavior", "card", "status"),
    [
        ("allow_incomplete", None, "incomplete"),
        ("allow_incomplete", "pm_card_chargeCustomerFail", "incomplete"),
        ("default_incomplete", CARD, "incomplete"),
        ("error_if_incomplete", CARD, "active"),
    ],
)
def test_payment_behavior(
    client: stripe.StripeClient, customer: str, monthly: str, behavior: str, card: str | None, status: str
) -> None:
    if card:
        give_card(client, customer, card)
    assert subscribe(client, customer, monthly, payment_behavior=behavior).status == status


def test_error_if_incomplete_makes_nothing(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    give_card(client, customer, "pm_card_chargeCustomerFail")
    seen = len(service.journal.effects())
    with pytest.raises(stripe.CardError):
        subscribe(client, customer, monthly, payment_behavior="error_if_incomplete")
    assert len(service.journal.effects()) == seen
    assert client.v1.subscriptions.list({"status": "all"}).data == []


def test_an_incomplete_one_becomes_active_or_expires(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    paid_late = subscribe(client, customer, monthly)
    never_paid = subscribe(client, customer, monthly)
    client.v1.invoices.pay(str(paid_late.latest_invoice), {"payment_method": CARD})
    assert client.v1.subscriptions.retrieve(paid_late.id).status == "active"
    service.clock.advance(DAY)
    assert client.v1.subscriptions.retrieve(never_paid.id).status == "incomplete_expired"
    assert client.v1.invoices.retrieve(str(never_paid.latest_invoice)).status == "void"


def test_it_renews_by_the_clock(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    give_card(client, customer)
    made = subscribe(client, customer, monthly)
    service.clock.advance(63 * DAY)
    renewed = invoices(client, made)
    assert [each.billing_reason for each in renewed] == [
        "subscription_cycle",
        "subscription_cycle",
        "subscription_create",
    ]
    assert {each.status for each in renewed} == {"paid"}
    periods = [(each.lines.data[0].period.start, each.lines.data[0].period.end) for each in renewed]
    assert periods[0][0] == periods[1][1]
    assert periods[1][0] == periods[2][1]


def test_a_failed_renewal_makes_it_past_due(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    give_card(client, customer)
    made = subscribe(client, customer, monthly)
    give_card(client, customer, "pm_card_chargeCustomerFail")
    service.clock.advance(32 * DAY)
    assert client.v1.subscriptions.retrieve(made.id).status == "past_due"
    give_card(client, customer)
    service.clock.advance(4 * DAY)
    assert client.v1.subscriptions.retrieve(made.id).status == "active"


def test_sent_invoices_do_not_wait_for_payment(
    client: stripe.StripeClient, customer: str, monthly: str
) -> None:
    made = subscribe(client, customer, monthly, **NET_30)
    assert made.status == "active"
    first = client.v1.invoices.retrieve(str(made.latest_invoice))
    assert (first.status, first.collection_method) == ("open", "send_invoice")
    assert first.due_date is not None


def test_items_change_and_the_next_invoice_follows(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    give_card(client, customer)
    made = subscribe(client, customer, monthly)
    item = made["items"].data[0].id
    client.v1.subscriptions.update(
        made.id, {"items": [{"id": item, "quantity": 5}], "proration_behavior": "none"}
    )
    service.clock.advance(32 * DAY)
    assert invoices(client, made)[0].total == 4500
    with refused("at least one"):
        client.v1.subscriptions.update(made.id, {"items": [{"id": item, "deleted": True}]})


@pytest.mark.parametrize("behavior", ["create_prorations", "always_invoice"])
def test_prorations(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str, behavior: str
) -> None:
    give_card(client, customer)
    made = subscribe(client, customer, monthly)
    item = made["items"].data[0]
    middle = (item.current_period_start + item.current_period_end) // 2
    service.clock.set(datetime.fromtimestamp(middle, UTC))
    params: Any = {"items": [{"id": item.id, "quantity": 4}], "proration_behavior": behavior}
    client.v1.subscriptions.update(made.id, params)
    amounts = sorted(each.amount for each in client.v1.invoice_items.list({"customer": customer}))
    assert amounts == [pytest.approx(-900, abs=2), pytest.approx(1800, abs=2)]
    latest = invoices(client, made)[0]
    if behavior == "always_invoice":
        assert (latest.billing_reason, latest.status) == ("subscription_update", "paid")
        assert latest.total == sum(amounts)
    else:
        assert latest.billing_reason == "subscription_create"
    service.clock.advance(32 * DAY)
    extra = 0 if behavior == "always_invoice" else sum(amounts)
    assert invoices(client, made)[0].total == 3600 + extra


def test_a_refused_change_changes_nothing(
    client: stripe.StripeClient, customer: str, monthly: str, product: str
) -> None:
    yearly = client.v1.prices.create(
        {"product": product, "currency": "eur", "unit_amount": 9000, "recurring": {"interval": "year"}}
    )
    made = subscribe(client, customer, monthly)
    item = made["items"].data[0].id
    with refused("This emulator"):
        client.v1.subscriptions.update(
            made.id, {"items": [{"id": item, "quantity": 9}, {"price": yearly.id}]}
        )
    with refused("same price"):
        client.v1.subscriptions.update(made.id, {"items": [{"price": monthly}]})
    assert client.v1.subscriptions.retrieve(made.id)["items"].data[0].quantity == 2


def test_cancel_now_and_at_period_end(
    client: stripe.StripeClient, service: StripeService, customer: str, monthly: str
) -> None:
    give_card(client, customer)
    now, later = subscribe(client, customer, monthly), subscribe(client, customer, monthly)
    assert client.v1.subscriptions.cancel(now.id).status == "canceled"
    client.v1.subscriptions.update(later.id, {"cancel_at_period_end": True})
    assert [each.id for each in client.v1.subscriptions.list({"customer": customer})] == [later.id]
    service.clock.advance(32 * DAY)
    assert client.v1.subscriptions.retrieve(later.id).status == "canceled"
    assert len(invoices(client, later)) == 1
    ended = client.v1.subscriptions.list({"status": "ended"})
    assert {each.id for each in ended} == {now.id, later.id}


def test_what_is_refused(client: stripe.StripeClient, customer: str, monthly: str, product: str) -> None:
    once = client.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 1})
    with refused("type=one_time"):
        subscribe(client, customer, once.id)
    with refused("unknown parameter: trial_from_plan"):
        subscribe(client, customer, monthly, trial_from_plan=True)
    with refused("may only specify one of"):
        subscribe(client, customer, monthly, trial_period_days=3, trial_end=4_000_000_000)
    with refused("must end in the future"):
        subscribe(client, customer, monthly, trial_end=1)
    with refused("must pass `days_until_due`"):
        subscribe(client, customer, monthly, collection_method="send_invoice")
    subscribe(client, customer, monthly)
    with refused("You cannot combine currencies"):
        client.v1.invoices.create({"customer": customer, "currency": "usd"})


def stamp(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


def test_periods_keep_the_day_of_their_anchor() -> None:
    anchor = stamp(2027, 1, 31)
    ends = [anchor]
    for _ in range(3):
        ends.append(period_end(anchor, "month", 1, ends[-1]))
    assert ends[1:] == [stamp(2027, 2, 28), stamp(2027, 3, 31), stamp(2027, 4, 30)]
    assert period_end(anchor, "year", 1, anchor) == stamp(2028, 1, 31)
    assert period_end(anchor, "week", 2, anchor) == stamp(2027, 2, 14)
