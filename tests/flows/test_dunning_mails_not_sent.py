"""Mails that are not sent: later, by a person, or not at all, because the invoice is settled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.gateways import clock
from tests.flows.mails_world import STEP, Mails, mails_of, outcome_of
from tests.world import World

SENT, HANDED = ("", True, ""), ("by_hand", False, "")


@pytest.fixture
async def mails(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mails]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with mails_of(world) as made:
        yield made


# Surely not sent


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "RCPT", "status": 450},
        {"method": "RCPT", "drop": "before"},
        {"method": "DATA", "status": 451},
    ],
    ids=str,
)
async def test_what_was_surely_not_taken_is_sent_later(mails: Mails, fault: dict[str, Any]) -> None:
    invoice = mails.chased()
    mails.fault(**fault, times=1)
    note, contacted, code = outcome_of(await mails.mail(invoice, finish=False), invoice)
    assert (note, contacted) == ("", False)
    assert code.startswith("smtp_")
    assert mails.task()["Status"] == "Deferred"
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert len(mails.inbox()) == 1
    assert mails.task()["Status"] == "Completed"


async def test_a_server_that_stays_away_leaves_it_to_a_person_at_last(mails: Mails) -> None:
    invoice = mails.chased()
    mails.fault(method="RCPT", status=450)
    assert outcome_of(await mails.mail(invoice, finish=False), invoice)[2] == "smtp_450"
    mails.world.pass_time(hours=5)
    assert outcome_of(await mails.mail(invoice, run_id="run-2", finish=False), invoice) == HANDED
    task = mails.task()
    assert (task["Status"], task["Priority"]) == ("Not Started", "High")
    assert task["Subject"].startswith("Write to the billing contact: Emulator: your payment for invoice")
    assert "put the recipient off (450)" in task["Description"]
    mails.world.no_faults()
    mails.forget_effects()
    assert outcome_of(await mails.mail(invoice, run_id="run-3"), invoice) == HANDED
    assert mails.inbox() == []


async def test_a_refused_recipient_is_a_task_with_the_text(mails: Mails) -> None:
    csm = mails.facts.user("Dana")
    invoice = mails.chased(CSM__c=csm)
    mails.fault(method="RCPT", path="billing@acme.example", status=550)
    assert outcome_of(await mails.mail(invoice), invoice) == HANDED
    task = mails.task()
    assert (task["OwnerId"], task["Status"]) == (csm, "Not Started")
    for said in ("refused the recipient (550)", "did not go through", f"({invoice})", "billing@acme.example"):
        assert said in task["Description"]


@pytest.mark.parametrize("address", ["", "nobody"])
async def test_without_an_address_nothing_is_mailed(mails: Mails, address: str) -> None:
    sync = mails.facts.sync
    customer = sync.customer(known=False, card="pm_card_chargeCustomerFail", email="")
    row = {"Name": "Acme Ltd", "Stripe_Customer_Id__c": customer, "Billing_Email__c": address or None}
    mails.world.seeder.salesforce([{"type": "Account", "ref": "account", **row}], raw=True)
    invoice = mails.facts.failed(customer)
    mails.facts.open(invoice)
    assert outcome_of(await mails.mail(invoice), invoice) == HANDED
    assert mails.world.calls("mail") == []
    assert "Ask for one" in mails.task()["Description"] or "Correct it" in mails.task()["Description"]
    assert mails.world.calls("stripe", "POST", "billing_portal") == []


async def test_without_a_mail_server_the_csm_gets_the_draft(mails: Mails) -> None:
    mails.company.mail = None
    csm = mails.facts.user("Dana")
    invoice = mails.chased(CSM__c=csm)
    assert outcome_of(await mails.mail(invoice), invoice) == HANDED
    task = mails.task()
    assert task["OwnerId"] == csm
    for said in ("O2C_SMTP_HOST", "billing@acme.example", "did not go through", "What happens next:"):
        assert said in task["Description"]


async def test_a_customer_that_salesforce_does_not_know_is_written_to_all_the_same(mails: Mails) -> None:
    customer = mails.facts.sync.customer(
        known=False, card="pm_card_chargeCustomerFail", email="pay@acme.example"
    )
    invoice = mails.facts.failed(customer)
    mails.facts.open(invoice)
    assert outcome_of(await mails.mail(invoice, finish=False), invoice) == SENT
    mails.forget_effects()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert [message.recipients for message in mails.inbox()] == [("pay@acme.example",)]


async def test_where_nobody_would_see_a_task_slack_is_told(mails: Mails) -> None:
    customer = mails.facts.sync.customer(known=False, card="pm_card_chargeCustomerFail", email="")
    invoice = mails.facts.failed(customer)
    mails.facts.open(invoice)
    note, contacted, code = outcome_of(await mails.mail(invoice), invoice)
    assert (contacted, code) == (False, "")
    assert "no_account" in note
    assert "There is no e-mail address" in str(mails.posts())


# Never about what is paid


async def test_nothing_is_sent_about_an_invoice_that_is_paid_by_now(mails: Mails) -> None:
    invoice = mails.chased()
    items = await mails.claimed(STEP, invoice)
    mails.pay(invoice)
    assert outcome_of(await mails.act(items), invoice) == ("settled_meanwhile", False, "")
    assert mails.world.calls("mail") == []
    assert [key for key in mails.keys("Task") if "email" in key] == []


async def test_whoever_pays_in_the_last_moment_is_not_written_to(
    mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the Task and the mail."""
    from tasks import dunning_sending

    customer, first = mails.unpaid(Name="Acme Ltd", Billing_Email__c="billing@acme.example")
    second = mails.again(customer)
    mails.facts.open(first, second)
    announce, paying = dunning_sending._announce, [first]

    async def announced(*args: Any) -> Any:
        told = await announce(*args)
        for invoice in paying:
            mails.pay(invoice)
        return told

    monkeypatch.setattr(dunning_sending, "_announce", announced)
    await mails.mail(first, second)
    (message,) = mails.inbox()
    numbers = [mails.facts.sync.get(f"invoices/{invoice}")["number"] for invoice in (first, second)]
    assert numbers[0] not in message.body("plain")
    assert numbers[1] in message.body("plain")

    mails.world.pass_time(days=1)
    third = mails.again(customer)
    mails.facts.open(third)
    paying[:] = [third]
    assert outcome_of(await mails.mail(third), third) == ("settled_meanwhile", False, "")
    assert len(mails.inbox()) == 1
    last = mails.records("Task")[-1]
    assert (last["Status"], last["Subject"][:28]) == ("Completed", "Not sent, settled meanwhile:")


async def test_stripe_that_does_not_answer_sends_nothing(mails: Mails) -> None:
    invoice = mails.chased()
    items = await mails.claimed(STEP, invoice)
    mails.world.fault("stripe", path=f"invoices/{invoice}", status=500)
    assert outcome_of(await mails.act(items), invoice)[1:] == (False, "unavailable")
    assert mails.world.calls("mail") == []


async def test_salesforce_that_does_not_answer_sends_nothing(mails: Mails) -> None:
    invoice = mails.chased()
    items = await mails.claimed(STEP, invoice)
    mails.world.fault("salesforce", method="POST", path="composite/sobjects", status=503)
    assert outcome_of(await mails.act(items, finish=False), invoice)[2]
    assert mails.world.calls("mail") == []
    mails.world.no_faults()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert len(mails.inbox()) == 1


async def test_what_was_left_to_a_person_is_closed_with_the_ladder(mails: Mails) -> None:
    mails.company.mail = None
    invoice = mails.chased()
    await mails.mail(invoice)
    assert mails.task()["Status"] == "Not Started"
    mails.pay(invoice)
    await mails.end(EndReason.PAID, invoice)
    assert mails.task()["Status"] == "Completed"
