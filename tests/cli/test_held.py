"""`o2c held list`: names from Salesforce, everything else from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import Result

from emulators.run import make_services, running
from emulators.seeding import Seeder
from order_to_cash.cli import wiring
from order_to_cash.domain.clock import FixedClock
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.quarantine import Held
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask

Command = Callable[..., Result]
VARIABLES = {
    "stripe": "O2C_STRIPE_API_BASE",
    "salesforce": "O2C_SALESFORCE_BASE_URL",
    "slack": "O2C_SLACK_BASE_URL",
}


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    commands_ask(monkeypatch, FixedClock(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)))
    with wiring.open_ledger(load_settings()) as opened:
        yield opened


@pytest.fixture
def salesforce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seeder]:
    with running(*make_services(list(VARIABLES))) as urls:
        for name, url in urls.items():
            monkeypatch.setenv(VARIABLES[name], url)
        seeder = Seeder(urls["stripe"], urls["salesforce"])
        yield seeder
        seeder.close()


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def hold(ledger: Ledger, record_id: str, code: str = "no_email") -> None:
    message, remedy = "No billing e-mail.", "Add one."
    ledger.quarantine.put(
        Held("Opportunity", record_id, code, "Billing_Email__c", message, remedy, "005A", "d")
    )


def deal(salesforce: Seeder, account: str, name: str, **fields: Any) -> str:
    records = [
        {"type": "Account", "ref": "account", "Name": account},
        {
            "type": "Opportunity",
            "ref": "deal",
            "Name": name,
            "AccountId": "@account",
            "StageName": "Closed Won",
            "CloseDate": "2026-05-01",
            **fields,
        },
    ]
    return salesforce.salesforce(records)["deal"]


def test_an_empty_ledger_says_so(ledger: Ledger, o2c: Command) -> None:
    assert o2c("held", "list").stdout == "Nothing is held.\n"


def test_each_deal_has_name_owner_reason_and_remedy_and_its_address(
    ledger: Ledger, salesforce: Seeder, o2c: Command
) -> None:
    org = load_settings().salesforce_login_url
    first = deal(salesforce, "Tundra Outfitters", "Winter tents for ann@tundra.example")
    second = deal(salesforce, "Quill & Paper", "Quill & Paper handbook " + "x" * 60)
    for one in (first, second):
        hold(ledger, one)
    done = o2c("held", "list")
    assert done.exit_code == 0, done.output
    table, remedies = done.stdout.split("\nWhat to do:\n")
    rows = table.splitlines()
    assert rows[0].split() == ["held", "since", "(UTC)", "deal", "owner", "reason"]
    assert rows[2].startswith("2026-05-04 03:02  Tundra Outfitters: Winter tents for ")
    assert "ann@tundra.example" not in done.output
    assert rows[2].endswith("Emulated Admin  no_email")
    assert max(map(len, rows)) <= 110
    assert "…  Emulated Admin" in rows[3]
    assert remedies.startswith("  Add one.\n    Tundra Outfitters: Winter tents for ")
    assert f" · No billing e-mail.\n      {org}/{first}\n" in remedies
    assert f"      {org}/{second}\n" in remedies
    assert o2c("quarantine", "list").stdout == done.stdout, "its former name"


@pytest.mark.usefixtures("nobody_answers")
def test_without_salesforce_the_list_comes_without_names(ledger: Ledger, o2c: Command) -> None:
    hold(ledger, "006A")
    done = o2c("held", "list")
    assert done.exit_code == 0
    assert "Without names, which Salesforce does not tell now" in done.stderr
    assert "006A · No billing e-mail.\n      http://127.0.0.1:1/006A\n" in done.stdout


def test_a_deal_that_is_gone_goes_by_its_id(ledger: Ledger, salesforce: Seeder, o2c: Command) -> None:
    hold(ledger, "006000000000001AAA")
    assert "2026-05-04 03:02  006000000000001AAA" in o2c("held", "list").stdout
