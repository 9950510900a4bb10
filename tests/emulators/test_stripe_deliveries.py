"""Deliveries as they go wrong, as they once looked, and many at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, add, draft, refused
from tests.emulators.stripe_receiver import Receiver, eventually
from tests.emulators.stripe_second_story import Acts


@pytest.fixture
def acts(stripe_url: str) -> Acts:
    return Acts(stripe_url)


@pytest.fixture
def endpoint(client: stripe.StripeClient, receiver: Receiver) -> stripe.WebhookEndpoint:
    return client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})


def ids(receiver: Receiver) -> list[str]:
    return [json.loads(body)["data"]["object"]["id"] for body, _ in receiver.got]


def made(client: stripe.StripeClient, count: int) -> list[str]:
    return [client.v1.customers.create({"name": f"C{number}"}).id for number in range(count)]


@pytest.mark.usefixtures("endpoint")
def test_what_is_lost_is_only_listed(
    client: stripe.StripeClient, service: StripeService, receiver: Receiver, acts: Acts
) -> None:
    service.settings.lose_deliveries = ["customer.*"]
    (lost,) = made(client, 1)
    service.settings.lose_deliveries = []
    (found,) = made(client, 1)
    receiver.wait_for(1)
    assert ids(receiver) == [found]
    assert len(client.v1.events.list({"type": "customer.created"}).data) == 2
    (event,) = client.v1.events.list({"delivery_success": False}).data
    assert event.data.object["id"] == lost
    assert acts("deliveries/resend", ids=[event.id], times=2) == {"resent": 2}
    receiver.wait_for(3)
    assert ids(receiver)[1:] == [lost, lost]


@pytest.mark.usefixtures("endpoint")
def test_deliveries_can_be_doubled_and_reordered(
    client: stripe.StripeClient, service: StripeService, receiver: Receiver, acts: Acts
) -> None:
    service.settings.patch({"hold_deliveries": True, "delivery_connections": 1})
    customers = made(client, 3)
    assert receiver.got == []
    assert acts("deliveries/release", order="reversed") == {"released": 3}
    receiver.wait_for(3)
    assert ids(receiver) == customers[::-1]
    service.settings.patch({"hold_deliveries": False, "duplicate_deliveries": 1})
    (twice,) = made(client, 1)
    receiver.wait_for(5)
    assert ids(receiver)[3:] == [twice, twice]
    assert receiver.connections == 1


def test_an_endpoint_that_fails_is_disabled(
    client: stripe.StripeClient,
    service: StripeService,
    receiver: Receiver,
    endpoint: stripe.WebhookEndpoint,
) -> None:
    service.settings.disable_endpoint_after = 2
    receiver.status = 500
    made(client, 2)
    eventually(lambda: client.v1.webhook_endpoints.retrieve(endpoint.id).status == "disabled")
    made(client, 1)
    service.clock.advance(3600)
    assert len(service.delivery_log) == 2


def test_an_endpoint_keeps_its_version(client: stripe.StripeClient, receiver: Receiver, product: str) -> None:
    types = ["invoice.paid", "charge.succeeded", "payment_intent.succeeded", "customer.subscription.created"]
    client.v1.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": types, "api_version": "2024-06-20"}  # type: ignore[typeddict-item]  # the SDK lists its newest only
    )
    customer = client.v1.customers.create({"name": "A"}).id
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    price = client.v1.prices.create(
        {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    )
    made_now = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}], "default_payment_method": card}
    )
    receiver.wait_for(4)
    events = [json.loads(body) for body, _ in receiver.got]
    assert {event["api_version"] for event in events} == {"2024-06-20"}
    shown: dict[str, Any] = {event["type"]: event["data"]["object"] for event in events}
    invoice = shown["invoice.paid"]
    assert invoice["subscription"] == made_now.id
    assert (invoice["paid"], invoice["charge"]) == (True, shown["charge.succeeded"]["id"])
    assert invoice["lines"]["data"][0]["price"]["id"] == price.id
    assert not {"parent", "total_taxes"} & invoice.keys()
    assert shown["charge.succeeded"]["invoice"] == invoice["id"]
    subscription = shown["customer.subscription.created"]
    assert subscription["current_period_end"] == made_now["items"].data[0].current_period_end
    assert "current_period_end" not in subscription["items"]["data"][0]
    (event,) = client.v1.events.list({"type": "invoice.paid"})
    assert event.api_version == stripe.api_version
    with refused("Invalid Stripe API version"):
        client.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["*"], "api_version": "2099-01-01"}  # type: ignore[typeddict-item]  # as above
        )


def test_events_are_listed_in_the_accounts_version(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    service.settings.events_api_version = "2024-06-20"
    invoice = add(client, draft(client, customer), {"amount": 100, "description": "A"})
    event = client.v1.events.list({"type": "invoice.created"}).data[0]
    assert event.api_version == "2024-06-20"
    assert event.data.object["paid"] is False
    assert client.v1.events.retrieve(event.id).data.object["id"] == invoice.id
    service.clock.advance(31 * DAY)
    with refused("No such event"):
        client.v1.events.retrieve(event.id)


@pytest.mark.parametrize("snapshots", [True, False])
def test_thin_events_are_delivered_and_fetched(
    client: stripe.StripeClient, service: StripeService, receiver: Receiver, snapshots: bool
) -> None:
    service.settings.thin_snapshots = snapshots
    destination = client.v2.core.event_destinations.create(
        {
            "name": "thin",
            "event_payload": "thin",
            "enabled_events": ["v1.customer.created"],
            "type": "webhook_endpoint",
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    assert destination.webhook_endpoint is not None
    secret = destination.webhook_endpoint.signing_secret
    (customer,) = made(client, 1)
    receiver.wait_for(1)
    notification = client.parse_event_notification(*receiver.got[0], secret)
    assert notification.type == "v1.customer.created"
    assert notification.fetch_related_object().id == customer
    event = notification.fetch_event()
    (snapshot,) = client.v1.events.list({"type": "customer.created"})
    assert event.snapshot_event == (snapshot.id if snapshots else None)
    again = client.v2.core.event_destinations.retrieve(destination.id)
    assert again.webhook_endpoint is not None
    assert again.webhook_endpoint.signing_secret is None
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.core.events.retrieve("evt_test_never")


@pytest.mark.usefixtures("endpoint")
def test_a_burst_over_a_few_customers(
    client: stripe.StripeClient, service: StripeService, receiver: Receiver, acts: Acts
) -> None:
    done = acts("burst", count=200, customers=3)
    assert done["events"] >= 200
    assert len(done["customers"]) == 3
    eventually(lambda: len(service.delivery_log) == done["events"])
    types = {json.loads(body)["type"] for body, _ in receiver.got}
    assert {"invoice.paid", "invoice.payment_failed", "charge.refunded"} < types
    assert receiver.connections <= service.settings.delivery_connections
    delivered = len(receiver.got)
    again = acts("burst", count=50, customers=done["customers"], delivered=False, mix={"paid": 1}, rate=5000)
    assert again["customers"] == done["customers"]
    assert len(receiver.got) == delivered
    assert len(client.v1.events.list({"delivery_success": False, "limit": 100}).data) == again["events"]
