"""`o2c receive` from its start to its end, with Stripe's emulator delivering for real."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from emulators.run import make_services, running
from emulators.stripe.service import StripeService
from order_to_cash.cli.processes import free_port
from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import STRIPE_PATH
from tests.receiver.process import TEST_ENVIRONMENT, receiving
from tests.receiver.serving import NOW, eventually


@pytest.fixture
def service() -> StripeService:
    (made,) = make_services(["stripe"])
    assert isinstance(made, StripeService)
    return made


@pytest.fixture
def stripe_url(service: StripeService) -> Iterator[str]:
    with running(service) as urls:
        yield urls["stripe"]


def types(home: Path) -> list[str]:
    """Types of the events in the inbox, in order of arrival."""
    url = f"sqlite:///{home / 'o2c' / 'ledger.db'}"
    with (
        Ledger.open(url, clock=FixedClock(NOW), environment=Environment.EMULATOR) as ledger,
        ledger.database.read() as connection,
    ):
        rows = connection.exec_driver_sql("SELECT type FROM ledger_inbox ORDER BY seq")
        return [row[0] for row in rows]


def test_stripes_own_deliveries_arrive_are_retried_and_follow_its_clock(
    tmp_path: Path, service: StripeService, stripe_url: str
) -> None:
    client = stripe.StripeClient("sk_test_emulator", base_addresses={"api": stripe_url})
    port = free_port()
    endpoint = client.v1.webhook_endpoints.create(
        {"url": f"http://127.0.0.1:{port}{STRIPE_PATH}", "enabled_events": ["*"]}
    )
    client.v1.products.create({"name": "Before the receiver runs"})
    eventually(lambda: [one["status"] for one in service.delivery_log] == [None])
    variables = {
        "O2C_ENVIRONMENT": "emulator",
        "O2C_STRIPE_API_BASE": stripe_url,
        "O2C_STRIPE_WEBHOOK_SECRETS": str(endpoint.secret),
        "O2C_RECEIVE_PORT": str(port),
    }
    with receiving(tmp_path, variables) as receiver:
        assert receiver.port == port
        customer = client.v1.customers.create({"name": "A"})
        eventually(lambda: len(service.delivery_log) == 2)
        service.clock.advance(301)  # Stripe tries again, and signs with the time that its clock shows now
        eventually(lambda: len(service.delivery_log) == 3)
        client.v1.customers.update(customer.id, {"name": "B"})
        eventually(lambda: len(service.delivery_log) == 4)
        assert [one["status"] for one in service.delivery_log] == [None, 200, 200, 200]
        receiver.process.send_signal(signal.SIGTERM)
        assert receiver.process.wait(20) == 0
    assert types(tmp_path) == ["customer.created", "product.created", "customer.updated"]


def test_it_says_what_to_give_to_whom_and_ends_when_told(tmp_path: Path) -> None:
    with receiving(tmp_path, TEST_ENVIRONMENT) as receiver:
        said = "".join(receiver.said)
        assert "https://YOUR-HOST/stripe/webhook\n" in said
        assert "https://YOUR-HOST/salesforce/changed  (off: O2C_SALESFORCE_NUDGE_SECRET is not set)" in said
        assert f"http://127.0.0.1:{receiver.port}/readyz" in said
        with receiving(tmp_path, TEST_ENVIRONMENT | {"O2C_RECEIVE_PORT": str(receiver.port)}) as second:
            assert second.process.wait(20) == 1
            assert f"Port {receiver.port} of 127.0.0.1 is in use." in "".join(second.said)
            assert "Traceback" not in "".join(second.said)
        receiver.process.send_signal(signal.SIGINT)
        assert receiver.process.wait(20) == 0
    assert "whsec" not in "".join(receiver.said)
