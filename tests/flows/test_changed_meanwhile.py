"""What people do in Salesforce while, and after, a deal is billed."""

from __future__ import annotations

import asyncio
from asyncio import gather
from typing import Any

import pytest

from tasks.outcomes import DealStatus
from tests.flows.running import codes, held, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def test_an_account_merged_between_billing_and_write_back_hands_over_to_its_successor(
    books: World,
) -> None:
    loser, master = books.account(), books.account()
    deal = books.deal(loser)
    books.fault("stripe", method="POST", path="/send$", delay_seconds=1.0)
    merging = _when_finalized(books, "merge", {"master": master, "losers": [loser]})
    summary, _ = await gather(run(deal), merging)
    assert summary.in_words == "1 billed"
    invoice = books.assert_billed_once(deal, 250_000)
    assert books.record("Account", master)["Stripe_Customer_Id__c"] == invoice["customer"]
    # The merge has moved the deal: the sweep does not take that for an edit.
    assert (await run()).outcomes == ()
    assert held() == {}


async def test_an_account_deleted_between_billing_and_write_back_is_left_to_a_person(books: World) -> None:
    account = books.account()
    deal, other = books.deal(account), books.deal()
    books.fault("stripe", method="POST", path="/send$", delay_seconds=1.0)
    deleting = _when_finalized(books, "delete", {"ids": [account], "cascade": True})
    summary, _ = await gather(run(deal, other), deleting)
    books.assert_billed_once(other, 250_000)
    assert [one["status"] for one in books.invoices(deal)] == ["open"]
    assert outcome_of(summary, deal).status is DealStatus.BILLED
    assert "Salesforce was not told" in outcome_of(summary, deal).problems[0].message
    assert set(held()) == {deal}


async def test_deals_edited_after_billing_are_noticed_and_never_billed_again(books: World) -> None:
    edited, renamed, untouched, lost = (books.deal() for _ in range(4))
    await run(edited, renamed, untouched, lost)
    _add_a_line(books, edited)
    books.update("Opportunity", renamed, Name="Another name")
    books.update("Opportunity", lost, StageName="Closed Lost")
    books.forget_calls()
    summary = await run(edited, renamed)
    assert codes(summary, edited) == ["edited_after_billing"]
    assert codes(summary, renamed) == ["already_billed"]
    assert "2,500.00 USD were billed" in outcome_of(summary, edited).problems[0].message
    assert held() == {edited: {"edited_after_billing"}}
    assert len(books.slack_texts()) == 1
    # The sweep finds by itself what nobody named; who was told is not told again.
    sweep = await run()
    assert {one.opportunity_id for one in sweep.outcomes} == {edited, lost}
    assert held() == {edited: {"edited_after_billing"}, lost: {"edited_after_billing"}}
    assert len(books.slack_texts()) == 2
    assert books.effects("stripe", "invoice", "created") == []
    # Taken back, it is what was billed again.
    books.update("Opportunity", lost, StageName="Closed Won")
    await run()
    assert held() == {edited: {"edited_after_billing"}}


async def test_the_sweep_asks_once_for_touched_deals_and_goes_on_from_there(books: World) -> None:
    deal = books.deal()
    await run(deal)
    books.pass_time(hours=1)
    await run()
    books.pass_time(hours=1)
    books.forget_calls()
    await run()
    asked = [call.query["q"] for call in books.calls("salesforce", path="/query")]
    about_billed = [soql for soql in asked if "Stripe_Invoice_Id__c != null" in soql]
    assert len(about_billed) == 1
    assert len(asked) <= 3
    assert books.calls("stripe", "POST") == []


async def test_a_mass_touch_of_old_deals_bills_nothing(books: World) -> None:
    from order_to_cash.cli.look_out import LookOut
    from tasks.company import kept_open

    account = books.account()
    old = {"type": "Opportunity", "AccountId": account, "StageName": "Closed Won", "raw": True}
    old |= {"CloseDate": "2024-05-01", "Pricebook2Id": "@standard_pricebook", "CurrencyIsoCode": "USD"}
    books.seeder.salesforce([{**old, "Name": f"Old deal {number}"} for number in range(5_000)])
    books.forget_calls()
    async with kept_open("o2c") as company:
        look_out = LookOut(company)
        assert await look_out.due() == []
        summary = await run()
    assert summary.outcomes == ()
    assert books.calls("stripe", "POST") == []
    assert len(books.calls("salesforce", path="/query")) <= 4


def _add_a_line(world: World, deal: str) -> None:
    row = {"OpportunityId": deal, "PricebookEntryId": world.entries["day"], "Quantity": 1, "UnitPrice": 1200}
    world.seeder.salesforce([{"type": "OpportunityLineItem", **row}])


async def _when_finalized(world: World, what: str, body: dict[str, Any]) -> None:
    """Do this in Salesforce as soon as an invoice is finalized."""
    while not world.effects("stripe", "invoice", "finalized"):  # noqa: ASYNC110 - a journal wakes nobody
        await asyncio.sleep(0.02)
    await asyncio.to_thread(world.control, "salesforce", what, body)
