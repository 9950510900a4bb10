"""A ledger that is lost, or older than what was done: Stripe is asked, nothing is billed or mailed again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from order_to_cash.cli.look_out import LookOut
from order_to_cash.gateways import clock
from order_to_cash.ledger.operations import Operations
from tasks.company import kept_open
from tests.flows.running import codes, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def billed_with_backup(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> list[str]:
    """Two deals billed to their end, and `backup.db`: the ledger as it was just before `step` of one was begun."""
    deals = [world.deal(), world.deal()]
    begin = Operations.begin

    def copied(self: Operations, claim: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if name == step:
            with (
                closing(sqlite3.connect(world.home / "ledger.db")) as source,
                closing(sqlite3.connect(world.home / "backup.db")) as target,
            ):
                source.backup(target)
        return begin(self, claim, name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Operations, "begin", copied)
        assert (await run(*deals)).in_words == "2 billed"
    return deals


def use(world: World, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """From now on the ledger is this file."""
    monkeypatch.setenv("O2C_LEDGER_URL", f"sqlite:///{world.home / file}")


@pytest.mark.parametrize("step", ["draft", "finalize", "send"])
async def test_a_ledger_restored_from_a_backup_bills_and_mails_nothing_again(
    books: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    deals = await billed_with_backup(books, monkeypatch, step)
    books.update("Opportunity", deals[0], Stripe_Invoice_Id__c=None)
    books.pass_time(hours=48)
    use(books, monkeypatch, "backup.db")
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with kept_open("o2c") as company:
        look_out = LookOut(company)
        await run()
        for _ in range(2):
            due = await look_out.due()
            await run(*due)
            await look_out.handled(due, [])
            books.pass_time(hours=2)
        for deal in deals:
            books.assert_billed_once(deal, 250_000)
        assert await look_out.due() == []


@pytest.mark.parametrize("hours", [1, 48])
async def test_a_lost_ledger_finds_the_invoice_also_at_the_customer_that_the_account_had_before(
    books: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    other = books.seeder.stripe("customers", name="Another payer", email="payer@another.example")["id"]
    account = books.account()
    deal = books.deal(account)
    await run(deal)
    (invoice,) = books.invoices(deal)
    books.update("Opportunity", deal, Stripe_Invoice_Id__c=None)
    books.update("Account", account, Stripe_Customer_Id__c=other)
    books.pass_time(hours=hours)
    use(books, monkeypatch, "new.db")
    for _ in range(2):
        await run()
        books.pass_time(hours=hours)
    assert books.assert_billed_once(deal, 250_000)["id"] == invoice["id"]


async def test_a_key_that_stripe_knows_for_other_parameters_is_never_replaced_by_a_new_one(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = books.seeder.stripe("customers", name="Another payer", email="payer@another.example")["id"]
    account = books.account()
    deal = books.deal(account)
    await run(deal)
    (invoice,) = books.invoices(deal)
    books.update("Opportunity", deal, Stripe_Invoice_Id__c=None)
    books.update("Account", account, Stripe_Customer_Id__c=other)
    # Nothing in Stripe says any more whose customer it was.
    books.seeder.stripe(f"customers/{invoice['customer']}", metadata={"salesforce_account_id": ""})
    books.pass_time(hours=1)
    use(books, monkeypatch, "new.db")
    summary = await run()
    assert codes(summary, deal) == ["idempotency_mismatch"]
    for _ in range(2):
        books.pass_time(hours=12)
        await run()
    assert books.assert_billed_once(deal, 250_000)["id"] == invoice["id"]
