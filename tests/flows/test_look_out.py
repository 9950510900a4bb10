"""What the drain sees every few seconds: what is new, what was corrected, what is left; and what it survives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from order_to_cash.cli import drain
from order_to_cash.cli.look_out import OVERLAP, WATERMARK, LookOut
from order_to_cash.gateways import clock
from order_to_cash.settings import load_settings
from tasks.company import kept_open
from tests.flows.running import held, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def test_each_deal_is_seen_once_and_the_overlap_is_not_worked_twice(books: World) -> None:
    async with kept_open("o2c") as company:
        look_out = LookOut(company)
        first = books.deal()
        assert await look_out.due() == [first]
        await look_out.handled([first], await drain._bill([first]))
        books.assert_billed_once(first, 250_000)
        mark = company.ledger.watermarks.get(WATERMARK)
        assert mark is not None
        held_back = books.deal(books.account(Billing_Email__c=None))
        assert await look_out.due() == [held_back]
        await look_out.handled([held_back], await drain._bill([held_back]))
        books.forget_calls()
        assert await look_out.due() == []
        (call,) = books.calls("salesforce", path="/query")
        assert f"SystemModstamp >= {(mark.modstamp - OVERLAP).strftime('%Y-%m-%dT%H')}" in call.query["q"]
        assert books.calls("stripe") == []


async def test_a_correction_of_the_account_is_seen_within_one_look(books: World) -> None:
    async with kept_open("o2c") as company:
        look_out = LookOut(company)
        account = books.account(Billing_Email__c=None)
        deal = books.deal(account)
        await drain._look(look_out, load_settings())
        assert held() == {deal: {"billing_email_missing"}}
        books.pass_time(hours=2)
        assert await look_out.due() == []
        books.update("Account", account, Billing_Email__c="billing@corrected.example")
        assert await look_out.due() == [deal]
        await drain._look(look_out, load_settings())
        books.assert_billed_once(deal, 250_000)
        assert held() == {}
        assert await look_out.due() == []


async def test_what_an_outage_left_rests_longer_each_time_and_is_finished(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with kept_open("o2c") as company:
        look_out, settings = LookOut(company), load_settings()
        deal = books.deal()
        books.fault("salesforce", method="PATCH", status=503)
        await drain._look(look_out, settings)
        assert await look_out.due() == []
        books.pass_time(seconds=31)
        assert await look_out.due() == [deal]
        await drain._look(look_out, settings)
        books.pass_time(seconds=31)
        assert await look_out.due() == []
        books.no_faults()
        books.pass_time(seconds=30)
        await drain._look(look_out, settings)
        books.assert_billed_once(deal, 250_000)
        books.pass_time(hours=2)
        assert await look_out.due() == []


async def test_no_outage_ends_the_drain(
    books: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def without_prefect(_: list[str]) -> list[str]:
        raise ConnectionError("All connection attempts failed")

    settings = load_settings()
    async with kept_open("o2c") as company:
        look_out, deal = LookOut(company), books.deal()
        books.fault("salesforce", path="/query", status=503)
        assert await drain._look(look_out, settings) == drain.AFTER_ERROR_SECONDS
        assert "Salesforce answered 503" in caplog.text
        books.no_faults()
        with monkeypatch.context() as patch:
            patch.setattr(drain, "_bill", without_prefect)
            assert await drain._look(look_out, settings) == drain.AFTER_ERROR_SECONDS
        assert await drain._look(look_out, settings) == settings.poll_seconds
    books.assert_billed_once(deal, 250_000)


async def test_a_fresh_drain_takes_up_what_a_killed_one_left(books: World) -> None:
    deal = books.deal()
    books.fault("salesforce", method="PATCH", status=503)
    await run(deal)
    books.no_faults()
    (invoice,) = books.invoices(deal)
    # Somebody else told Salesforce: the deal is no candidate any more, but still owed.
    books.update("Opportunity", deal, Stripe_Invoice_Id__c=invoice["id"])
    async with kept_open("o2c") as company:
        assert await LookOut(company).due() == [deal]


def test_one_look_from_the_command_line(books: World, prefect_server: None) -> None:
    from prefect.settings import PREFECT_API_URL

    deal = books.deal()
    environment = {**os.environ, "O2C_PREFECT_API_URL": str(PREFECT_API_URL.value()), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "order_to_cash.cli", "drain", "--once"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 billed" in done.stderr
    books.assert_billed_once(deal, 250_000)
