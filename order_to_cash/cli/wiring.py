"""Ledger, gateways and clock of one process, made from the settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from order_to_cash.cli import demo_place
from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ConfigurationError, Unavailable
from order_to_cash.domain.records import Environment
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


@contextmanager
def read_ledger(settings: Settings, clock: Clock | None = None) -> Iterator[Ledger]:
    """`open_ledger` for somebody who looks: where there was never anything in it, standard error says so."""
    from order_to_cash.ledger.inbox_search import EventFilter

    with open_ledger(settings, clock) as ledger:
        if not (ledger.audit.query(limit=1) or ledger.inbox.find(EventFilter(), 1)):
            where = f"in {settings.home.absolute()}" if not settings.ledger_url.get_secret_value() else "set"
            typer.secho(f"Nothing here yet: the ledger {where} was never used.", fg="yellow", err=True)
            if demo_place.left_behind():
                typer.secho(f"  The demo's is another one: {demo_place.export()}", fg="yellow", err=True)
        yield ledger


def require_emulators(settings: Settings) -> None:
    """Raises Unavailable unless the emulators answer, where the settings point at them."""
    if settings.environment is not Environment.EMULATOR:
        return
    bases = (settings.stripe_api_base, settings.salesforce_base_url, settings.slack_base_url)
    silent = [base for base in bases if not _listens(base)]
    if silent:
        raise Unavailable(
            f"Nothing answers at {', '.join(silent)}: the emulators do not run.",
            code="emulators_unavailable",
            remedy="Start them with `o2c emulators`, or correct their addresses in the settings.",
        )


def _listens(base_url: str) -> bool:
    address = urlsplit(base_url)
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        with socket.create_connection((address.hostname or "", port), timeout=2.0):
            return True
    except (OSError, ValueError):
        return False


def make_home(settings: Settings) -> Path:
    """The folder for ledger and logs, private to its owner. Raises ConfigurationError where it cannot be made."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {settings.home} cannot be made ({type(error).__name__}).",
            code="home_unusable",
            remedy="Name a folder that you may write in O2C_HOME.",
        ) from None
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


def salesforce_gateway(
    settings: Settings, audit: AuditSink, actor: str, *, patient: bool = True
) -> SalesforceGateway:
    """Thread-safe and blocking; close it with `close()`. Raises ConfigurationError.

    Not `patient`: one try of ten seconds, for what a person waits for and can do without.
    """
    from order_to_cash.gateways.retry import RetryPolicy
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with

    haste: dict[str, Any] = {"retry": RetryPolicy(max_attempts=1), "timeout_seconds": 10.0}
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
        **({} if patient else haste),
    )
