"""Stripe finalized, and no run could write it down: whatever becomes of the deal, its invoice is seen to first."""

from __future__ import annotations

import pytest

from order_to_cash.ledger.claims import ObligationState
from tests.flows.running import codes, held, ledger, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def finalized_unnoticed(world: World, count: int = 1) -> list[str]:
    """Deals whose invoices Stripe finalized, and nobody was told: every answer was lost; their ids."""
    deals = [world.deal() for _ in range(count)]
    world.fault("stripe", method="POST", path="/finalize$", drop="after")
    world.fault("stripe", method="GET", path="/v1/invoices/in_", drop="before")
    assert (await run(*deals)).in_words == f"{count} unfinished"
    world.no_faults()
    with ledger() as opened:
        owed = opened.obligations.latest_many(deals)
        assert {one.state for one in owed.values()} == {ObligationState.OPEN}
        assert len(opened.obligations.maybe_finalized([one.key for one in owed.values()])) == count
    assert len(world.effects("stripe", "invoice", "finalized")) == count
    assert world.effects("stripe", "invoice", "sent") == []
    return deals


def lost(world: World, deal: str) -> None:
    world.update("Opportunity", deal, StageName="Closed Lost")


def without_address(world: World, deal: str) -> None:
    world.update("Account", world.record("Opportunity", deal)["AccountId"], Billing_Email__c=None)


def repriced(world: World, deal: str) -> None:
    row = {"OpportunityId": deal, "PricebookEntryId": world.entries["day"], "Quantity": 1, "UnitPrice": 1200}
    world.seeder.salesforce([{"type": "OpportunityLineItem", **row}])


def untouched(_world: World, _deal: str) -> None:
    return


CHANGES = (lost, without_address, repriced, untouched)


@pytest.mark.parametrize("named", [True, False], ids=["named", "sweep"])
async def test_it_is_sent_and_written_back_whatever_was_done_to_the_deal(books: World, named: bool) -> None:
    deals = await finalized_unnoticed(books, len(CHANGES))
    changed = dict(zip(deals, CHANGES, strict=True))
    for deal, change in changed.items():
        change(books, deal)
    books.forget_calls()
    summary = await run(*(changed if named else ()))
    assert summary.in_words == f"{len(changed)} billed"
    sent = books.effects("stripe", "invoice", "sent")
    assert sorted(sent) == sorted(one["id"] for deal in changed for one in books.invoices(deal))
    assert books.effects("stripe", "invoice", "created") == []
    for deal in changed:
        (invoice,) = books.invoices(deal)
        assert (invoice["status"], invoice["total"]) == ("open", 250_000)
        assert books.record("Opportunity", deal)["Stripe_Invoice_Id__c"] == invoice["id"]
    # The next sweep compares each with what was billed, and tells the owners of those that differ.
    await run()
    edited = {deal for deal, change in changed.items() if change in {lost, repriced}}
    assert held() == {deal: {"edited_after_billing"} for deal in edited}
    with ledger() as opened:
        assert opened.obligations.unfinished() == []


async def test_a_deal_that_is_deleted_by_then_is_billed_all_the_same_and_told(books: World) -> None:
    [deal] = await finalized_unnoticed(books)
    books.control("salesforce", "delete", {"ids": [deal]})
    for hours in (0, 30):
        books.pass_time(hours=hours)
        await run()
    (invoice,) = books.invoices(deal)
    assert invoice["status"] == "open"
    assert books.effects("stripe", "invoice", "sent") == [invoice["id"]]
    assert set(held()) == {deal}
    assert len([text for text in books.slack_texts() if "2,500.00 USD" in text]) == 1
    with ledger() as opened:
        owed = opened.obligations.latest(deal)
    assert owed is not None
    assert owed.stripe_invoice_id == invoice["id"]


async def test_a_finalizing_that_never_reached_stripe_is_judged_like_any_other_deal(books: World) -> None:
    deal = books.deal()
    books.fault("stripe", method="POST", path="/finalize$", drop="before")
    books.fault("stripe", method="GET", path="/v1/invoices/in_", drop="before")
    assert (await run(deal)).in_words == "1 unfinished"
    books.no_faults()
    without_address(books, deal)
    summary = await run(deal)
    assert codes(summary, deal) == ["billing_email_missing"]
    assert books.effects("stripe", "invoice", "finalized") == []
    account = books.record("Opportunity", deal)["AccountId"]
    books.update("Account", account, Billing_Email__c="billing@found-again.example")
    assert (await run()).in_words == "1 billed"
    books.assert_billed_once(deal, 250_000)
