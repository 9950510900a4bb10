"""Drafts that an interrupted run left in Stripe: finished if they are right, else replaced; never left behind."""

from __future__ import annotations

from typing import Any

import pytest

from order_to_cash.cli.look_out import LookOut
from order_to_cash.gateways import clock
from order_to_cash.ledger import claims
from order_to_cash.ledger.operations import Operations
from tasks.company import kept_open
from tests.flows.running import codes, held, ledger, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def left_as_drafts(world: World, *deals: str) -> list[str]:
    """The ids of these deals' drafts: nothing could be finalized."""
    world.fault("stripe", method="POST", path="/finalize$", status=500)
    assert (await run(*deals)).in_words == f"{len(deals)} unfinished"
    world.no_faults()
    drafts = [one for deal in deals for one in world.invoices(deal)]
    assert [one["status"] for one in drafts] == ["draft"] * len(deals)
    return [one["id"] for one in drafts]


async def test_a_draft_that_is_not_right_any_more_is_replaced(books: World) -> None:
    customer = books.seeder.stripe("customers", name="Northern Mills", email="ap@northern-mills.example")[
        "id"
    ]
    repaid, fine = books.account(), books.account()
    changed, moved, untouched = books.deal(), books.deal(repaid), books.deal(fine)
    drafts = await left_as_drafts(books, changed, moved, untouched)
    line = {"amount": 500, "description": "Typed into the draft by hand"}
    books.seeder.stripe(f"invoices/{drafts[0]}/add_lines", lines=[line])
    books.update("Account", repaid, Stripe_Customer_Id__c=customer)
    assert (await run()).in_words == "3 billed"
    for deal in (changed, moved, untouched):
        books.assert_billed_once(deal, 250_000)
    assert sorted(books.effects("stripe", "invoice", "deleted")) == sorted(drafts[:2])
    assert books.invoices(moved)[0]["customer"] == customer
    assert books.invoices(untouched)[0]["id"] == drafts[2]


@pytest.mark.parametrize("by", ["drain", "sweep"])
async def test_a_deal_that_is_lost_or_deleted_meanwhile_leaves_no_draft_and_is_let_be(
    books: World, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    lost, deleted = books.deal(), books.deal()
    drafts = await left_as_drafts(books, lost, deleted)
    books.update("Opportunity", lost, StageName="Closed Lost")
    books.control("salesforce", "delete", {"ids": [deleted]})
    async with kept_open("o2c") as company:
        look_out = LookOut(company)
        due = await look_out.due()
        assert set(due) == {lost, deleted}
        await run(*(due if by == "drain" else ()))
        await look_out.handled(due, [])
        assert await look_out.due() == []
        assert company.ledger.obligations.unfinished() == []
        owed = company.ledger.obligations.latest_many([lost, deleted])
    assert {one.state for one in owed.values()} == {"superseded"}
    assert sorted(books.effects("stripe", "invoice", "deleted")) == sorted(drafts)
    assert books.invoices() == []
    assert held() == {}
    # Won after all, it is billed like any other.
    books.update("Opportunity", lost, StageName="Closed Won")
    assert (await run()).in_words == "1 billed"
    books.assert_billed_once(lost, 250_000)


async def test_a_run_whose_claim_was_taken_over_holds_nothing_and_alarms_nobody(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = books.deal()
    succeed = Operations.succeed

    def taken(self: Operations, claim: claims.Claim, step: str, outcome: Any) -> None:
        if step == "lines":
            raise claims.lost(claim, "a quicker run")
        succeed(self, claim, step, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(Operations, "succeed", taken)
        summary = await run(deal)
    assert (summary.in_words, codes(summary, deal)) == ("1 waiting", ["claim_lost"])
    assert held() == {}
    assert books.slack_texts() == []
    assert (await run()).in_words == "1 billed"
    books.assert_billed_once(deal, 250_000)


async def test_an_account_that_refuses_its_row_does_not_date_the_billing_anew_with_every_run(
    books: World,
) -> None:
    deal = books.deal(books.account(AccountNumber="no"))
    rule = {"object": "Account", "when": "AccountNumber = 'no'", "message": "Not this one."}
    books.control("salesforce", "validation-rules", rule)
    summary = await run(deal)
    assert "Not this one." in outcome_of(summary, deal).problems[0].message
    (invoice,) = books.invoices(deal)
    billed_at = books.record("Opportunity", deal)["Stripe_Billed_At__c"]
    assert billed_at is not None
    for _ in range(2):
        books.pass_time(hours=3)
        await run()
        record = books.record("Opportunity", deal)
        assert (record["Stripe_Billed_At__c"], record["Stripe_Invoice_Id__c"]) == (billed_at, invoice["id"])
    assert len(books.slack_texts()) == 2
    books.control("salesforce", "validation-rules", method="DELETE")
    await run()
    books.assert_billed_once(deal, 250_000)
    with ledger() as opened:
        assert opened.obligations.unfinished() == []
