"""What `o2c bill` prints of a run, and with which status it ends."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner, Result

from order_to_cash.cli.app import app
from tests.world import World

pytestmark = pytest.mark.prefect

UNKNOWN = "006000000000001AAA"


async def bill(monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """The command in a thread of its own: it brings its own event loop."""
    from prefect.settings import PREFECT_API_URL

    api_url = PREFECT_API_URL.value()
    assert api_url
    monkeypatch.setenv("O2C_PREFECT_API_URL", api_url)
    monkeypatch.setenv("PREFECT_API_URL", api_url)  # the command sets it: this restores it afterwards
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
    return await asyncio.to_thread(CliRunner().invoke, app, ["bill", *words])


async def test_a_deal_that_is_not_there_is_told_with_status_1_and_holds_up_no_other(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = books.deal()
    done = await bill(monkeypatch, UNKNOWN, deal, "--mode", "apply")
    assert done.exit_code == 1, done.output
    assert "1 billed, 1 not found" in done.output
    assert "Salesforce shows no opportunity with this id." in done.output
    remedy = "Copy the id from the opportunity's address; see that the integration user may read the record."
    assert f"  {remedy}\n    {UNKNOWN}\n" in done.output
    books.assert_billed_once(deal, 250_000)


async def test_a_held_deal_is_told_with_what_to_do_and_status_0(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, good = books.deal(books.account(Billing_Email__c=None)), books.deal()
    done = await bill(monkeypatch, held, good)
    assert done.exit_code == 0, done.output
    remedy = "Fill in the Account's billing e-mail, or the e-mail of the deal's primary contact."
    assert f"What to do:\n  {remedy}\n    {held}\n" in done.output
    assert "Nothing was touched. Bill it with: o2c bill" in done.output
