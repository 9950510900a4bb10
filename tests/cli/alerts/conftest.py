"""A company made of its parts, with emulators and without Prefect; and the Prefect server with our blocks."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.alert_thresholds import AlertThresholds
from blocks.registry import BLOCK_NAME, save
from blocks.salesforce_org import SalesforceOrg
from blocks.slack_channel import SlackChannel
from blocks.stripe_account import StripeAccount
from emulators.run import make_services, running
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import Settings, load_settings
from tasks.company import Company, Slack
from tests.cli.alerts.company_life import Channel, everything, forget
from tests.ledger.support import MovableClock

DAYS = itertools.count(1)


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[dict[str, str], Any]]:
    made = make_services(["stripe", "salesforce", "slack"])
    with running(*made) as urls:
        yield dict(urls), next(one for one in made if one.name == "slack")


@pytest.fixture
def channel(services: tuple[dict[str, str], Any]) -> Channel:
    services[1].journal.clear()
    return Channel(services[1])


@pytest.fixture
def settings(services: tuple[dict[str, str], Any], tmp_path: Path) -> Settings:
    urls = services[0]
    return load_settings(
        env_file=None,
        home=tmp_path,
        stripe_api_base=urls["stripe"],
        salesforce_base_url=urls["salesforce"],
        slack_base_url=urls["slack"],
    )


@pytest.fixture
async def company(settings: Settings) -> AsyncIterator[Company]:
    """A company made of its parts, without Prefect."""
    clock = MovableClock()
    # Another time for each test: the server knows an alert, by kind and moment, as told.
    clock.advance(days=next(DAYS))
    ledger = Ledger.open(settings.ledger_address, clock=clock, environment=settings.environment)
    ledger.migrate()
    block = SlackChannel.from_settings(settings)
    made = Company(
        name=BLOCK_NAME,
        environment=settings.environment,
        rules=settings.billing_rules(),
        stripe=StripeAccount.from_settings(settings).get_client(audit=ledger.audit),
        salesforce=SalesforceOrg.from_settings(settings).get_client(audit=ledger.audit, clock=clock),
        slack=Slack(block.get_client(audit=ledger.audit), block.channel),
        ledger=ledger,
        clock=clock,
        record_url="",
    )
    yield made
    await made.aclose()


@pytest.fixture
async def server(prefect_server: None, settings: Settings) -> AsyncIterator[None]:
    """The server with our blocks; without automations of ours before and after."""
    await save(settings)
    yield
    await AlertThresholds().asave(BLOCK_NAME, overwrite=True)
    for one in await everything():
        await forget(one)
