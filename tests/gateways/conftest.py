"""Emulators on real sockets, gateways with short waits, and an audit sink that remembers."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from emulators.engine.service import Service
from emulators.run import make_services, running
from emulators.salesforce.service import SalesforceService
from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with
from order_to_cash.gateways.stripe_gateway import StripeGateway

QUICK = RetryPolicy(base_seconds=0.01, cap_seconds=0.02, max_elapsed_seconds=5)


@dataclass
class RememberingAudit:
    """Keeps what gateways hand over, in order."""

    intents: list[CallIntent] = field(default_factory=list)
    outcomes: dict[str, CallOutcome] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, intent: CallIntent) -> str:
        self.intents.append(intent)
        return str(next(self._numbers))

    def finish(self, audit_id: str, outcome: CallOutcome) -> None:
        self.outcomes[audit_id] = outcome


@dataclass
class World:
    """One emulated service and its address."""

    service: Service
    url: str

    def settle(self) -> None:
        """Wait until requests that were given up have been worked off."""
        deadline = time.monotonic() + 5
        while any(entry.in_flight for entry in self.service.journal.entries):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def org_of(world: World) -> SalesforceService:
    """The Salesforce emulator behind `world`."""
    assert isinstance(world.service, SalesforceService)
    return world.service


def account(world: World, name: str = "Acme") -> str:
    """The id of a new account in the emulated org."""
    return org_of(world).org.insert("Account", {"Name": name})


def calls(world: World, path: str) -> int:
    """How many requests to `path` (a regular expression) have arrived."""
    world.settle()
    return len(world.service.journal.select(path=path))


def _serve(name: str) -> Iterator[World]:
    (service,) = make_services([name])
    with running(service) as urls:
        yield World(service, urls[name])


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[World]:
    yield from _serve("stripe")


@pytest.fixture
def stripe_world(stripe_server: World) -> World:
    stripe_server.service.reset()
    stripe_server.service.settings.restore()
    return stripe_server


@pytest.fixture(scope="session")
def slack_server() -> Iterator[World]:
    yield from _serve("slack")


@pytest.fixture
def slack_world(slack_server: World) -> World:
    slack_server.service.reset()
    slack_server.service.settings.restore()
    return slack_server


@pytest.fixture(scope="session")
def salesforce_server() -> Iterator[World]:
    yield from _serve("salesforce")


@pytest.fixture
def salesforce_world(salesforce_server: World) -> World:
    salesforce_server.service.settings.restore()
    salesforce_server.service.reset()
    return salesforce_server


@pytest.fixture
def salesforce_gateway(
    salesforce_world: World, audit: RememberingAudit
) -> Iterator[Callable[..., SalesforceGateway]]:
    """Makes gateways on the emulator; closes them."""
    made: list[SalesforceGateway] = []

    def make(**settings: Any) -> SalesforceGateway:
        given = {
            "environment": Environment.EMULATOR,
            "login": login_with("emulator-client", client_secret="emulator-secret"),
            "login_url": salesforce_world.url,
            "audit": audit,
            "requests_per_second": 1000.0,
            "timeout_seconds": 2.0,
            "retry": QUICK,
            "rng": random.Random(7),
        }
        gateway = SalesforceGateway(**{**given, **settings})
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def audit() -> RememberingAudit:
    return RememberingAudit()


@pytest.fixture
async def stripe_gateway(
    stripe_world: World, audit: RememberingAudit
) -> AsyncIterator[Callable[..., StripeGateway]]:
    """Makes gateways on the emulator; closes them."""
    made: list[StripeGateway] = []

    def make(**settings: Any) -> StripeGateway:
        given = {
            "api_key": "sk_test_gateway",
            "environment": Environment.EMULATOR,
            "audit": audit,
            "api_base": stripe_world.url,
            "requests_per_second": 500.0,
            "timeout_seconds": 2.0,
            "retry": QUICK,
            "rng": random.Random(7),
        }
        gateway = StripeGateway(**{**given, **settings})
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        await gateway.aclose()
