"""Ledger, gateways and clock of one process, made from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.clock import Clock
from order_to_cash.gateways.clock import clock_for
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
    from order_to_cash.gateways.stripe_gateway import StripeGateway
    from order_to_cash.ledger.ledger import Ledger


def make_clock(settings: Settings) -> Clock:
    """The machine's clock; with the emulators theirs, which can be moved."""
    return clock_for(settings.environment, settings.stripe_api_base)


@contextmanager
def open_ledger(settings: Settings, clock: Clock | None = None) -> Iterator[Ledger]:
    """The ledger with its tables up to date. Raises ConfigurationError, Unavailable."""
    from order_to_cash.ledger.ledger import Ledger

    make_home(settings)
    clock = clock or make_clock(settings)
    with Ledger.open(settings.ledger_address, clock=clock, environment=settings.environment) as ledger:
        ledger.migrate()
        yield ledger


def make_home(settings: Settings) -> Path:
    """The folder for ledger and logs, private to its owner."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.home


def stripe_gateway(settings: Settings, audit: AuditSink, actor: str) -> StripeGateway:
    """For the running event loop; close it there with `aclose()`."""
    from order_to_cash.gateways.stripe_gateway import StripeGateway

    address: dict[str, Any] = {"api_base": settings.stripe_api_base} if settings.stripe_api_base else {}
    return StripeGateway(
        api_key=settings.stripe_api_key,
        environment=settings.environment,
        requests_per_second=settings.stripe_pace,
        audit=audit,
        actor=actor,
        **address,
    )


def salesforce_gateway(settings: Settings, audit: AuditSink, actor: str) -> SalesforceGateway:
    """Thread-safe and blocking; close it with `close()`. Raises ConfigurationError."""
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with

    return SalesforceGateway(
        environment=settings.environment,
        login=login_with(
            settings.salesforce_client_id,
            client_secret=settings.salesforce_client_secret,
            username=settings.salesforce_username,
            private_key=settings.salesforce_private_key,
            clock=make_clock(settings),
        ),
        login_url=settings.salesforce_login_url,
        audit=audit,
        actor=actor,
    )
