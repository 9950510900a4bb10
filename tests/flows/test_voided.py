"""Invoices that a person voids, before or after they are sent: billed anew only when a person says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from order_to_cash.gateways.stripe_gateway import StripeGateway
from tests.flows.running import codes, held, ledger, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect


def states(world: World, deal: str) -> dict[str, tuple[str, int, int]]:
    """Invoice id → its status, its total, how often it was mailed."""
    sent = world.effects("stripe", "invoice", "sent")
    return {one["id"]: (one["status"], one["total"], sent.count(one["id"])) for one in world.invoices(deal)}


def void(world: World, invoice_id: str) -> None:
    world.seeder.stripe(f"invoices/{invoice_id}/void")


async def assert_billed_anew(world: World, deal: str, old: str) -> None:
    """Beside the voided invoice there is one more, sent and written back; later sweeps leave it at that."""
    await run()
    by_id = states(world, deal)
    assert by_id.pop(old)[0] == "void"
    ((new, state),) = by_id.items()
    assert state == ("open", 250_000, 1)
    assert world.record("Opportunity", deal)["Stripe_Invoice_Id__c"] == new
    assert held() == {}
    with ledger() as opened:
        owed = opened.obligations.latest(deal)
    assert owed is not None
    assert (owed.generation, owed.state, owed.stripe_invoice_id) == (2, "closed", new)


@pytest.mark.parametrize("named", [True, False], ids=["named", "sweep"])
async def test_a_voided_invoice_that_is_cleared_in_salesforce_is_billed_anew(
    books: World, named: bool
) -> None:
    deal = books.deal()
    await run(deal)
    (old,) = states(books, deal)
    void(books, old)
    assert "1 billed" not in (await run(deal)).in_words
    books.update("Opportunity", deal, Stripe_Invoice_Id__c=None)
    books.pass_time(hours=1)
    summary = await run(*([deal] if named else []))
    assert summary.in_words == "1 billed"
    await assert_billed_anew(books, deal, old)


async def test_an_invoice_voided_before_salesforce_was_told_waits_for_a_person(books: World) -> None:
    deal = books.deal()
    books.fault("stripe", method="POST", path="/send$", drop="before")
    await run(deal)
    books.no_faults()
    books.forget_calls()
    (old,) = states(books, deal)
    void(books, old)
    for opportunity_ids in ([deal], [], [deal]):
        summary = await run(*opportunity_ids)
        assert codes(summary, deal) == ["invoice_voided"]
        assert "--approved-by" in outcome_of(summary, deal).problems[0].remedy
    assert states(books, deal) == {old: ("void", 250_000, 0)}
    assert held() == {deal: {"invoice_voided"}}
    (told,) = books.slack_texts()
    assert "sent: " not in told
    assert books.record("Opportunity", deal)["Stripe_Invoice_Id__c"] is None
    assert (await run(deal, approved_by="Finance desk")).in_words == "1 billed"
    await assert_billed_anew(books, deal, old)


async def test_what_a_person_adds_to_the_draft_at_the_last_moment_is_not_mailed(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = books.deal()
    finalize = StripeGateway.finalize_invoice

    async def meddled(self: StripeGateway, invoice_id: str, key: str) -> Any:
        line = {"amount": 7_700, "description": "One more thing"}
        await asyncio.to_thread(books.seeder.stripe, f"invoices/{invoice_id}/add_lines", lines=[line])
        return await finalize(self, invoice_id, key)

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "finalize_invoice", meddled)
        summary = await run(deal)
    assert codes(summary, deal) == ["total_mismatch"]
    assert "Void the invoice" in outcome_of(summary, deal).problems[0].remedy
    # An approver's name alone does not make it right.
    for approved_by in ("", "Finance desk"):
        assert codes(await run(deal, approved_by=approved_by), deal) == ["total_mismatch"]
    ((wrong, state),) = states(books, deal).items()
    assert state == ("open", 257_700, 0)
    assert held() == {deal: {"total_mismatch"}}
    assert len(books.slack_texts()) == 1
    assert books.record("Opportunity", deal)["Stripe_Invoice_Id__c"] is None
    void(books, wrong)
    assert (await run(deal, approved_by="Finance desk")).in_words == "1 billed"
    await assert_billed_anew(books, deal, wrong)
