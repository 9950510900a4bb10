"""Events and signed webhook deliveries."""

from __future__ import annotations

import httpx
import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, add, draft, refused
from tests.emulators.stripe_receiver import Receiver, eventually


@pytest.fixture
def endpoint(client: stripe.StripeClient, receiver: Receiver) -> stripe.WebhookEndpoint:
    return client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})


def test_events_keep_what_the_object_was(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "Old"}, {"idempotency_key": "k1"})
    client.v1.customers.update(customer.id, {"name": "New"})
    updated, created = client.v1.events.list().data
    assert (created.type, created.data.object["name"]) == ("customer.created", "Old")
    assert created.request is not None
    assert created.request.idempotency_key == "k1"
    assert created.api_version == stripe.api_version
    assert updated.data.object["name"] == "New"
    assert updated.data.previous_attributes is not None
    assert updated.data.previous_attributes["name"] == "Old"


def test_events_are_listed_by_type_and_time_for_30_days(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    invoice = add(client, draft(client, customer), {"amount": 500})
    client.v1.invoices.finalize_invoice(invoice.id)
    service.clock.advance(60)
    sent_at = service.clock.epoch()
    client.v1.invoices.send_invoice(invoice.id)
    (event,) = client.v1.events.list({"type": "invoice.sent", "created": {"gte": sent_at}})
    assert event.data.object["id"] == invoice.id
    assert client.v1.events.list({"type": "invoice.sent", "created": {"lt": sent_at}}).data == []
    several = client.v1.events.list({"types": ["invoice.finalized", "invoice.sent"]})
    assert [each.type for each in several] == ["invoice.sent", "invoice.finalized"]
    assert len(client.v1.events.list({"type": "invoice.*"}).data) == 5
    twin = client.v1.events.list({"type": "invoice.updated", "limit": 1}).data[0].data.previous_attributes
    assert twin is not None
    assert (twin["status"], twin["number"]) == ("draft", None)
    assert client.v1.events.retrieve(event.id).type == "invoice.sent"
    service.clock.advance(31 * DAY)
    assert [each.type for each in client.v1.events.list()] == ["invoice.overdue"]


def test_deliveries_are_signed(
    client: stripe.StripeClient, receiver: Receiver, endpoint: stripe.WebhookEndpoint
) -> None:
    customer = client.v1.customers.create({"name": "A"})
    receiver.wait_for(1)
    body, signature = receiver.got[0]
    assert endpoint.secret is not None
    event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer.id)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")
    client.v1.products.create({"name": "Not subscribed"})
    client.v1.customers.create({"name": "B"})
    receiver.wait_for(2)
    assert len(receiver.got) == 2


@pytest.mark.usefixtures("endpoint")
def test_failed_deliveries_are_retried_by_the_clock(
    client: stripe.StripeClient, service: StripeService, receiver: Receiver, stripe_url: str
) -> None:
    receiver.status = 500
    client.v1.customers.create({"name": "A"})
    eventually(lambda: len(service.delivery_log) == 1)
    pending = client.v1.events.list({"type": "customer.created"}).data[0]
    assert pending.pending_webhooks == 1
    service.clock.advance(301)
    eventually(lambda: len(service.delivery_log) == 2)
    receiver.status = 200
    service.clock.advance(3601)
    eventually(lambda: len(service.delivery_log) == 3)
    assert [each["status"] for each in service.delivery_log] == [500, 500, 200]
    log = httpx.get(stripe_url + "/_emulator/deliveries", trust_env=False).json()["deliveries"]
    assert [each["attempt"] for each in log] == [1, 2, 3]
    assert client.v1.events.retrieve(pending.id).pending_webhooks == 0
    assert client.v1.events.list({"delivery_success": False}).data == []


def test_endpoints_can_be_switched_off_and_deleted(
    client: stripe.StripeClient, receiver: Receiver, endpoint: stripe.WebhookEndpoint
) -> None:
    off = client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    assert off.status == "disabled"
    client.v1.customers.create({})
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": False})
    client.v1.customers.create({})
    receiver.wait_for(1)
    client.v1.webhook_endpoints.delete(endpoint.id)
    client.v1.customers.create({})
    assert client.v1.webhook_endpoints.list().data == []
    assert len(receiver.got) == 1
    with refused("explicit scheme"):
        client.v1.webhook_endpoints.create({"url": "example.com", "enabled_events": ["*"]})


def test_the_secret_is_shown_once(client: stripe.StripeClient, endpoint: stripe.WebhookEndpoint) -> None:
    assert endpoint.secret is not None
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()


def test_the_account(client: stripe.StripeClient) -> None:
    account = client.v1.accounts.retrieve_current()
    assert account.id.startswith("acct_")
    assert client.v1.accounts.retrieve(account.id).id == account.id
    with pytest.raises(stripe.PermissionError):
        client.v1.accounts.retrieve("acct_other")
