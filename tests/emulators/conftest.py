"""Emulators in a background thread, fresh for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import stripe

from emulators.run import running
from emulators.stripe.service import StripeService
from tests.emulators.stripe_receiver import Receiver, receiving

ClientFactory = Callable[[str], stripe.StripeClient]


@pytest.fixture(autouse=True)
def quiet_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def service() -> StripeService:
    return StripeService()


@pytest.fixture
def stripe_url(service: StripeService) -> Iterator[str]:
    with running(service) as urls:
        yield urls["stripe"]


@pytest.fixture
def client_for(stripe_url: str) -> ClientFactory:
    def make(key: str) -> stripe.StripeClient:
        return stripe.StripeClient(key, base_addresses={"api": stripe_url})

    return make


@pytest.fixture
def client(client_for: ClientFactory) -> stripe.StripeClient:
    """The official SDK, unmodified, with a test key."""
    return client_for("sk_test_emulator")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    return client.v1.customers.create(
        {"name": "Acme", "email": "billing@acme.example", "address": {"country": "DE"}}
    ).id


@pytest.fixture
def product(client: stripe.StripeClient) -> str:
    return client.v1.products.create({"name": "Seat"}).id
