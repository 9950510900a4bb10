"""Customers get one e-mail for an invoice, whoever sends it and whatever Stripe forgets to say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.conftest import Policy
from tests.flows.running import codes, run
from tests.world import World

pytestmark = pytest.mark.prefect

NO_EVENTS: dict[str, Any] = {"object": "list", "data": [], "has_more": False, "url": "/v1/events"}


def mailed_twice(world: World) -> list[str]:
    """The messages that tell the channel of invoices that went out twice."""
    posted = [entry.body for entry in world.calls("slack", path="chat.postMessage") if entry.effects]
    return [str(body["blocks"]) for body in posted if "e-mailed twice" in body["text"]]


async def test_where_stripe_mails_invoices_by_itself_nobody_else_does(books: World, policy: Policy) -> None:
    books.settings("stripe", email_finalized_invoices=True)
    await policy(stripe_emails_invoices="true")
    deals = [books.deal() for _ in range(2)]
    assert (await run(*deals)).in_words == "2 billed"
    for deal in deals:
        books.assert_billed_once(deal, 250_000)
    assert books.calls("stripe", "POST", "/send$") == []
    assert mailed_twice(books) == []


async def test_a_setting_that_mails_everything_twice_is_told_once_a_day(books: World) -> None:
    books.settings("stripe", email_finalized_invoices=True)
    await run(books.deal(), books.deal())
    (told,) = mailed_twice(books)
    assert "O2C_STRIPE_EMAILS_INVOICES=true" in told
    await run(books.deal())
    assert len(mailed_twice(books)) == 1
    books.pass_time(hours=25)
    await run(books.deal())
    assert len(mailed_twice(books)) == 2


async def test_invoices_that_nobody_mails_are_told_the_day_after(books: World, policy: Policy) -> None:
    await policy(stripe_emails_invoices="true")
    deal = books.deal()
    await run(deal)
    assert not [text for text in books.slack_texts() if "not e-mailed" in text]
    books.pass_time(hours=25)
    await run(books.deal())
    (told,) = [text for text in books.slack_texts() if "not e-mailed" in text]
    assert books.invoices(deal)[0]["id"] in told


async def test_mails_that_stripe_lists_late_are_noticed_the_day_after(books: World) -> None:
    books.settings("stripe", email_finalized_invoices=True)
    books.fault("stripe", method="GET", path="/v1/events", status=200, response=NO_EVENTS)
    deal = books.deal()
    await run(deal)
    books.no_faults()
    books.settings("stripe", email_finalized_invoices=False)
    assert mailed_twice(books) == []
    for _ in range(2):
        books.pass_time(hours=25)
        await run(books.deal())
    (told,) = mailed_twice(books)
    assert books.invoices(deal)[0]["id"] in told


async def test_without_that_setting_nobody_is_alarmed(books: World) -> None:
    for _ in range(2):
        await run(books.deal())
        books.pass_time(hours=25)
    assert mailed_twice(books) == []


async def test_a_mail_that_stripe_lists_late_is_not_sent_again(books: World) -> None:
    deal = books.deal()
    books.fault("stripe", method="POST", path="/send$", status=500, after_effect=True)
    books.fault("stripe", method="GET", path="/v1/events", status=200, response=NO_EVENTS)
    summary = await run(deal)
    assert summary.in_words == "1 unfinished"
    assert len(books.effects("stripe", "invoice", "sent")) == 1
    # The key still answers 500; that no event tells of the mail proves nothing so soon.
    books.control("stripe", "faults", method="DELETE")
    books.fault("stripe", method="GET", path="/v1/events", status=200, response=NO_EVENTS)
    books.pass_time(minutes=14)
    assert (await run(deal)).in_words == "1 unfinished"
    assert len(books.effects("stripe", "invoice", "sent")) == 1
    books.no_faults()
    assert (await run()).in_words == "1 billed"
    books.assert_billed_once(deal, 250_000)


async def test_a_mail_that_never_went_out_is_sent_after_a_quarter_of_an_hour(books: World) -> None:
    deal = books.deal()
    books.fault("stripe", method="POST", path="/send$", status=500)
    assert (await run(deal)).in_words == "1 unfinished"
    books.no_faults()
    books.pass_time(minutes=14)
    assert (await run(deal)).in_words == "1 unfinished"
    books.pass_time(minutes=2)
    assert (await run(deal)).in_words == "1 billed"
    books.assert_billed_once(deal, 250_000)


async def test_an_invoice_that_was_paid_before_it_was_mailed_is_not_mailed_any_more(books: World) -> None:
    deal = books.deal()
    books.fault("stripe", method="POST", path="/send$", drop="before")
    assert (await run(deal)).in_words == "1 unfinished"
    books.no_faults()
    (invoice,) = books.invoices(deal)
    books.seeder.stripe(f"invoices/{invoice['id']}/pay", paid_out_of_band=True)
    summary = await run(deal)
    assert (summary.in_words, codes(summary, deal)) == ("1 billed", [])
    assert books.effects("stripe", "invoice", "sent") == []
    assert books.record("Opportunity", deal)["Stripe_Invoice_Status__c"] == "paid"
