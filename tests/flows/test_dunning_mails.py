"""Mails of ladders at the wire: at most once, never about what is paid, and a person where no mail can go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from order_to_cash.cli import ladder_preview
from order_to_cash.domain.errors import RecordGone
from order_to_cash.gateways import clock
from order_to_cash.settings import load_settings
from tests.flows.mails_world import Mails, mails_of, outcome_of
from tests.flows.steps_world import policy
from tests.world import World

SENT, HANDED, UNKNOWN = ("", True, ""), ("by_hand", False, ""), ("mail_unknown", True, "")


@pytest.fixture
async def mails(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mails]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with mails_of(world) as made:
        yield made


async def test_the_customer_is_written_to_once_and_the_account_shows_it(mails: Mails) -> None:
    csm = mails.facts.user("Dana")
    invoice = mails.chased(CSM__c=csm)
    assert outcome_of(await mails.mail(invoice), invoice) == SENT
    (message,) = mails.inbox()
    body = mails.facts.sync.get(f"invoices/{invoice}")
    assert message.recipients == ("billing@acme.example",)
    assert message.subject == f"Emulator: your payment for invoice {body['number']} did not go through"
    for said in (
        "Hello Acme Ltd",
        "$100.00 USD",
        "Your bank declined the payment.",
        body["hosted_invoice_url"],
    ):
        assert said in message.body("plain")
    assert "Update your payment method" in message.body("html")
    task = mails.task()
    assert (task["Status"], task["OwnerId"]) == ("Completed", csm)
    assert task["Subject"] == f"E-mail: {message.subject}"
    assert message.message_id in task["Description"]
    assert "billing@acme.example" in task["Description"]


async def test_the_button_leads_to_a_portal_session_that_colleagues_do_not_see(mails: Mails) -> None:
    invoice = mails.chased()
    await mails.mail(invoice)
    (message,) = mails.inbox()
    (asked,) = mails.world.calls("stripe", "POST", "billing_portal/sessions")
    url = asked.response["url"]
    assert url in message.body("plain")
    assert f'href="{url}"' in message.body("html")
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(url)).status_code == 200
    assert "/p/session/" not in str(mails.records("Task"))


@pytest.mark.parametrize("trouble", [{"portal_configured": False}, {"portal_down": True}], ids=str)
async def test_without_a_portal_the_button_leads_to_the_invoice(
    mails: Mails, trouble: dict[str, bool]
) -> None:
    invoice = mails.chased()
    if "portal_down" in trouble:
        mails.world.fault("stripe", path="billing_portal", status=500)
    else:
        mails.world.settings("stripe", **trouble)
    assert outcome_of(await mails.mail(invoice), invoice) == SENT
    (message,) = mails.inbox()
    page = mails.facts.sync.get(f"invoices/{invoice}")["hosted_invoice_url"]
    assert f'href="{page}"' in message.body("html")
    assert "/p/session/" not in message.body("plain")


async def test_several_invoices_of_one_customer_are_one_mail(mails: Mails) -> None:
    customer, first = mails.unpaid(Name="Acme Ltd", Billing_Email__c="billing@acme.example")
    second = mails.again(customer)
    mails.facts.open(first, second)
    outcomes = await mails.mail(first, second)
    assert outcome_of(outcomes, first) == outcome_of(outcomes, second) == SENT
    (message,) = mails.inbox()
    for invoice in (first, second):
        assert mails.facts.sync.get(f"invoices/{invoice}")["number"] in message.body("plain")
    assert "Together that is $200.00 USD." in message.body("plain")


async def test_a_step_that_is_taken_again_sends_nothing(mails: Mails) -> None:
    invoice = mails.chased()
    await mails.mail(invoice, finish=False)
    mails.expire_leases()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert len(mails.inbox()) == 1
    assert len(mails.world.calls("mail", "DATA")) == 1


async def test_the_same_is_so_when_the_ledger_forgot_it(mails: Mails) -> None:
    """Restored from a backup of before."""
    invoice = mails.chased()
    await mails.mail(invoice, finish=False)
    mails.forget_effects()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert len(mails.inbox()) == 1


async def test_and_when_the_step_comes_again_on_the_next_day(mails: Mails) -> None:
    """The key of a contact names its day; what the Task is about says that it was made."""
    invoice = mails.chased()
    await mails.mail(invoice, finish=False)
    mails.forget_effects()
    mails.forget_steps()
    mails.world.pass_time(days=1)
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert len(mails.inbox()) == 1
    assert mails.task()["Status"] == "Completed"


# Not known


@pytest.mark.parametrize("forgotten", [False, True], ids=["ledger knows", "ledger restored"])
@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_connection_lost_after_the_text_asks_a_person(
    mails: Mails, drop: str, forgotten: bool
) -> None:
    csm = mails.facts.user("Dana")
    invoice = mails.chased(CSM__c=csm)
    mails.fault(method="DATA", drop=drop)
    assert outcome_of(await mails.mail(invoice, finish=False), invoice) == UNKNOWN
    task = mails.task()
    assert (task["Status"], task["Priority"], task["OwnerId"]) == ("Not Started", "High", csm)
    assert task["Subject"].startswith("Find out whether this mail arrived: ")
    assert "It is not sent again." in task["Description"]
    mails.world.no_faults()
    if forgotten:
        mails.forget_effects()
    again = outcome_of(await mails.mail(invoice, run_id="run-2"), invoice)
    assert again == (HANDED if forgotten else UNKNOWN)
    assert len(mails.world.calls("mail", "DATA")) == 1
    assert len(mails.inbox()) == (drop == "after")


@pytest.mark.parametrize("forgotten", [False, True], ids=["ledger knows", "ledger restored"])
async def test_a_process_that_died_while_sending_asks_a_person(
    mails: Mails, monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    class KilledError(BaseException):
        """As a SIGKILL: nothing after it is done."""

    def killed(*_args: object) -> None:
        raise KilledError

    invoice = mails.chased()
    with monkeypatch.context() as patched:
        patched.setattr("tasks.dunning_sending._sort", killed)
        with pytest.raises(KilledError):
            await mails.mail(invoice)
    assert (len(mails.inbox()), mails.task()["Status"]) == (1, "In Progress")
    mails.company.ledger.ladders.release(mails.claims)
    mails.expire_leases()
    if forgotten:
        mails.forget_effects()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == UNKNOWN
    assert len(mails.inbox()) == 1
    assert mails.task()["Status"] == "Not Started"


async def test_that_it_left_is_known_even_when_salesforce_could_not_be_told(mails: Mails) -> None:
    invoice = mails.chased()
    mails.world.fault("salesforce", method="PATCH", path="composite/sobjects", status=503)
    assert outcome_of(await mails.mail(invoice, finish=False), invoice)[1:] == (False, "unavailable")
    mails.world.no_faults()
    assert outcome_of(await mails.mail(invoice, run_id="run-2"), invoice) == SENT
    assert (len(mails.inbox()), mails.task()["Status"]) == (1, "Completed")


# Words


async def test_a_broken_template_of_ones_own_stops_no_mail(mails: Mails, tmp_path: Path) -> None:
    (tmp_path / "payment_failed.txt.j2").write_text("Subject: x\n{{ letter.nothing }}", encoding="utf-8")
    mails.company.mail_templates = tmp_path
    invoice = mails.chased()
    assert outcome_of(await mails.mail(invoice), invoice) == SENT
    assert "did not go through" in mails.inbox()[0].subject


async def test_the_executive_sponsor_is_written_to(mails: Mails) -> None:
    csm, sponsor = mails.facts.user("Dana"), mails.facts.user("Robin")
    invoice = mails.chased(CSM__c=csm, Executive_Sponsor__c=sponsor)
    outcomes = await mails.take("executive", invoice)
    _, contacted, code = outcome_of(outcomes, invoice, "executive_alert")
    assert (contacted, code) == (False, ""), "the customer does not hear of it"
    (message,) = mails.inbox()
    assert message.recipients == ("robin@us.example",)
    for said in (
        "Hello Robin",
        "Acme Ltd has not paid $100.00 USD",
        "talk to Dana",
        "The bank declined the card",
    ):
        assert said in message.body("plain")
    (task,) = [row for row in mails.records("Task") if row["O2C_Key__c"].endswith(":executive_alert:mail")]
    assert task["Status"] == "Completed"
    assert mails.world.calls("stripe", "POST", "billing_portal") == []


async def test_an_executive_without_an_address_keeps_no_ladder_from_climbing(mails: Mails) -> None:
    csm = mails.facts.user("Dana")
    sponsor = mails.facts.user("Robin", Email="")
    invoice = mails.chased(CSM__c=csm, Executive_Sponsor__c=sponsor)
    note, _, code = outcome_of(await mails.take("executive", invoice), invoice, "executive_alert")
    assert (note, code) == ("by_hand", "")
    (task,) = [row for row in mails.records("Task") if row["O2C_Key__c"].endswith(":executive_alert:mail")]
    assert (task["OwnerId"], task["Status"]) == (csm, "Not Started")
    assert task["Subject"].startswith("Write to Robin: Acme Ltd")
    assert mails.posts()


async def test_several_alerts_of_a_step_reach_everybody_whom_it_names(mails: Mails) -> None:
    people = {"CSM__c": mails.facts.user("Dana"), "Executive_Sponsor__c": mails.facts.user("Robin")}
    given = {"Name": "Acme Ltd", "Billing_Email__c": "billing@acme.example", **people}
    _, invoice = mails.unpaid(**given)
    twice = [{"kind": "executive_alert", "owner": owner} for owner in ("csm", "executive_sponsor")]
    mails.facts.open(invoice, policy=policy(*twice))
    await mails.take("one", invoice)
    assert {message.recipients for message in mails.inbox()} == {("dana@us.example",), ("robin@us.example",)}


async def test_a_preview_reads_as_the_mail_and_sends_nothing(
    mails: Mails, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    invoice = mails.chased()
    mails.world.forget_calls()
    await asyncio.to_thread(ladder_preview.run, load_settings(), "", invoice, tmp_path / "mail.html")
    shown = capsys.readouterr().out
    assert mails.world.calls("mail") == []
    assert [one.path for one in mails.world.calls("stripe", "POST")] == []
    await mails.mail(invoice)
    (message,) = mails.inbox()
    assert f"Subject: {message.subject}" in shown
    assert "To:      billing@acme.example" in shown
    (asked,) = mails.world.calls("stripe", "POST", "billing_portal/sessions")
    lines = message.body("plain").replace(asked.response["url"], ladder_preview.PORTAL).split()
    assert " ".join(lines) in " ".join(shown.split())
    assert "Update your payment method" in (tmp_path / "mail.html").read_text(encoding="utf-8")
    await asyncio.to_thread(ladder_preview.run, load_settings(), "executive", invoice, None)
    assert "has not paid $100.00 USD" in capsys.readouterr().out
    with pytest.raises(RecordGone):
        await asyncio.to_thread(ladder_preview.run, load_settings(), "", "in_nowhere", None)
    mails.world.seeder.stripe(f"invoices/{invoice}/pay", paid_out_of_band=True)
    await asyncio.to_thread(ladder_preview.run, load_settings(), "", invoice, None)
    assert "This invoice is paid: no mail about it would leave." in capsys.readouterr().err
