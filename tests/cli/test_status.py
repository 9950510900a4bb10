"""`o2c status`: what the drain was told is shown by a command that asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import Result

from order_to_cash.cli import status, wiring
from order_to_cash.domain.alerts import Vitals
from order_to_cash.domain.clock import FixedClock
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    commands_ask(monkeypatch, FixedClock(NOW))
    with wiring.open_ledger(load_settings()) as opened:
        yield opened


def calls(done: Result) -> str:
    assert done.exit_code == 0, done.output
    [line] = [line for line in done.stdout.splitlines() if line.startswith("Salesforce API calls")]
    return line.removeprefix("Salesforce API calls").strip()


def test_the_orgs_calls_are_those_that_salesforce_told_the_drain_last(
    ledger: Ledger, o2c: Callable[..., Result]
) -> None:
    unknown = "not known before the drain has made one"
    assert calls(o2c("status")) == unknown
    told = Vitals(at=NOW - timedelta(hours=25), calls_used=9, calls_limit=100)
    status.remember_usage(ledger, told)
    assert calls(o2c("status")) == unknown, "Salesforce's 24 hours are over"
    status.remember_usage(ledger, replace(told, at=NOW - timedelta(minutes=5), calls_used=10))
    status.remember_usage(ledger, Vitals(at=NOW))
    assert calls(o2c("status")) == "10 of 100 in 24 h (10 %), by the whole org"
    [row] = [row for row in status.read(ledger, replace(told, at=NOW)) if row[0] == "Salesforce API calls"]
    assert row[1].startswith("9 of 100"), "who knows better is believed"


def test_no_webhook_is_said_to_arrive_before_the_first(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    done = o2c("status")
    assert "none arrived yet" in done.stdout
    assert "o2c webhooks show" in done.stdout


def test_the_page_has_an_address() -> None:
    assert status.page_url("http://127.0.0.1:4200/") == "http://127.0.0.1:4200/artifacts/key/o2c-status"
