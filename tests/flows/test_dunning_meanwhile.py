"""Between reading a ladder and the contact: who is put on hold, or is about to pay, is not contacted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from emulators.seeding import form
from order_to_cash.gateways import clock
from tasks.dunning_facts import EXPANDED
from tests.flows.mails_world import STEP, Mails, mails_of, outcome_of
from tests.world import World


@pytest.fixture
async def mails(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mails]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with mails_of(world) as made:
        yield made


@pytest.mark.parametrize("meanwhile", ["held_meanwhile", "payment_under_way"])
async def test_it_is_not_contacted_and_its_step_stays_begun(mails: Mails, meanwhile: str) -> None:
    invoice = mails.chased()
    items = await mails.claimed(STEP, invoice)
    if meanwhile == "held_meanwhile":
        mails.company.ledger.ladders.hold(invoice_id=invoice, until=None, reason="promised", by="Ada")
    else:
        body = mails.facts.sync.get(f"invoices/{invoice}", **form({"expand": list(EXPANDED)}))
        body["payments"]["data"][0]["payment"]["payment_intent"]["status"] = "processing"
        mails.world.fault("stripe", method="GET", path=f"invoices/{invoice}", status=200, response=body)
    outcomes = await mails.act(items)
    assert outcome_of(outcomes, invoice) == ("", False, meanwhile)
    assert mails.inbox() == []
    mails.world.no_faults()
    mails.company.ledger.ladders.resume(invoice_id=invoice, by="Ada")
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == ("", True, "")
    assert len(mails.inbox()) == 1


async def test_a_hold_on_any_account_that_carries_the_customer_counts(mails: Mails) -> None:
    """Two of them do: nobody knows which is meant, and one says that the customer is to be left alone."""
    customer, invoice = mails.unpaid(Name="Acme Ltd")
    row = {"Name": "Acme Ltd (old)", "Stripe_Customer_Id__c": customer, "Dunning_Hold__c": True}
    mails.world.seeder.salesforce([{"type": "Account", "ref": "account", **row}], raw=True)
    mails.facts.open(invoice)
    item = await mails.facts.read_one(invoice)
    assert item.account.account_id == ""
    assert item.account.on_hold
    assert item.facts is not None
    assert item.facts.hold is not None
