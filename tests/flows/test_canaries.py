"""No secret, card number or personal data leaves the two systems: canary values, searched for wherever runs write."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL

from expectations.runner import warm
from flows.bill_won_deals import Mode
from tests.flows.conftest import Policy
from tests.flows.running import error_of_run, run
from tests.world import World

pytestmark = pytest.mark.prefect

CARD = "4000 0566 5566 5556"
SECRETS = {
    "Stripe key": "sk_test_kanari1kanari2kanari3",
    "Slack token": "xoxb-kanari4kanari5",
    "client secret": "kanari6kanari7",
}
PERSONAL = {
    "billing e-mail": "kanari.payable@kanari-company.example",
    "contact's e-mail": "kanari.contact@kanari-company.example",
    "street": "Kanariweg 8",
    "card number": CARD,
    "card number without spaces": CARD.replace(" ", ""),
}
# Where Stripe's customers are mirrored for matching: the one place that holds names and e-mail addresses.
MIRROR = "ledger_customer"


async def test_canaries_appear_nowhere(
    books: World, policy: Policy, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(warm)  # the expectations' library tells of every class that it registers
    caplog.set_level(logging.DEBUG)
    books.settings("salesforce", client_secret=SECRETS["client secret"])
    await policy(
        stripe_api_key=SECRETS["Stripe key"],
        slack_bot_token=SECRETS["Slack token"],
        salesforce_client_secret=SECRETS["client secret"],
    )
    tracebacks = await _runs(books)
    await asyncio.sleep(1.5)  # Prefect hands logs to its API in batches
    printed = capfd.readouterr()
    written = {
        "terminal": printed.out + printed.err,
        "log": caplog.text,
        "tracebacks": tracebacks,
        "ledger": "\n".join(_rows(books.home / "ledger.db", without=MIRROR)),
        "Prefect's database": "\n".join(_rows(_prefect_database())),
        "files": "\n".join(_texts(books.home)),
        "Slack": repr([call.body for call in books.calls("slack")]),
    }
    assert "chat.postMessage" in written["ledger"]
    assert "Beginning flow run" in written["log"]
    assert "billed-deals" in written["Prefect's database"]
    found = [
        f"{what} in {where}"
        for where, text in written.items()
        for what, canary in (SECRETS | PERSONAL).items()
        if canary in text
    ]
    assert found == []


async def _runs(world: World) -> str:
    """Runs that bill, hold, plan and fail in several ways; the tracebacks of those that broke off."""
    fields = {
        "Billing_Email__c": PERSONAL["billing e-mail"],
        "BillingStreet": f"{PERSONAL['street']}\n{CARD}",
        "ShippingStreet": PERSONAL["street"],
    }
    accounts = [world.account(**fields | {"Name": f"Company K{number}"}) for number in range(3)]
    named_so = "Company of " + PERSONAL["contact's e-mail"]
    accounts.append(world.account(**fields | {"Name": named_so}))
    malformed = world.account(Billing_Email__c=None, Name=named_so)
    bad = ",".join((PERSONAL["billing e-mail"], PERSONAL["contact's e-mail"]))
    world.seeder.salesforce([{"type": "Account", "id": malformed, "Billing_Email__c": bad, "raw": True}])
    deals = [world.deal(account, Description=CARD) for account in accounts]
    world.update("Opportunity", deals[3], Name=f"Renewal, {PERSONAL['billing e-mail']}")
    said = f"No such thing: {PERSONAL['billing e-mail']}, card {CARD}."
    refusal = {"error": {"type": "invalid_request_error", "message": said, "param": "email"}}
    await run(deals[0], world.deal(malformed), mode=Mode.PLAN)
    await run(deals[0], world.deal(malformed))
    world.fault("stripe", method="POST", path="/v1/customers", status=400, response=refusal)
    world.fault("stripe", method="POST", path="/finalize$", status=500, response=refusal)
    await run(*deals)
    world.no_faults()
    world.fault("salesforce", method="PATCH", status=400, response=[{"errorCode": "X", "message": said}])
    await run(*deals)
    world.no_faults()
    world.fault("slack", path="chat.postMessage", drop="after", times=1)
    await run()
    errors = []
    for service, path in (("salesforce", "/query"), ("stripe", "/v1/prices"), ("salesforce", "/token$")):
        world.fault(service, path=path, status=401)
        errors.append(await error_of_run(deals[3]))
        world.no_faults()
    return "\n".join("".join(traceback.format_exception(error)) for error in errors)


def _prefect_database() -> Path:
    return Path(str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition("///")[2])


def _rows(database: Path, without: str = "") -> Iterator[str]:
    """Every row of every table, as text."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in tables:
            if table != without:
                yield f"-- {table}"
                rows: list[Any] = connection.execute(f'SELECT * FROM "{table}"').fetchall()
                yield from map(repr, rows)


def _texts(home: Path) -> Iterator[str]:
    """Every other file that the runs left."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.name.startswith("ledger.db"):
            yield f"-- {path.name}"
            yield path.read_bytes().decode("utf-8", "replace")
