"""`o2c events show` names the records that an event's object was written to."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from order_to_cash.cli.app import app
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def shown(sync: Sync, kind: str) -> str:
    """What the command prints of the newest event of one type."""
    [newest, *_] = sync.rows(types=(kind,))
    done = await asyncio.to_thread(CliRunner().invoke, app, ["events", "show", newest.event_id])
    assert done.exit_code == 0, done.output
    return done.stdout


def lines(told: str) -> list[list[str]]:
    """The rows below the heading, without their moments."""
    return [line.split()[2:] for line in told.partition("from its arrival to its end:\n")[2].splitlines()[2:]]


async def test_the_records_stand_there_with_their_addresses(sync: Sync) -> None:
    customer = sync.customer(card="pm_card_visa")
    paid, other = sync.invoice(customer), sync.invoice(customer)
    sync.stripe(f"invoices/{paid}/pay")
    await sync.bring()
    told = await shown(sync, "invoice.paid")
    assert f"Written in Salesforce about {paid}" in told
    org = sync.world.urls["salesforce"]
    invoice = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=paid)
    [line] = [one for one in sync.records("Stripe_Invoice_Line__c") if one["Invoice__c"] == invoice["Id"]]
    payment = sync.record("Stripe_Payment__c")
    assert lines(told) == [
        ["Stripe_Invoice__c", "created", f"{org}/{invoice['Id']}"],
        ["Stripe_Invoice_Line__c", "created", f"{org}/{line['Id']}"],
        ["Stripe_Payment__c", "created", f"{org}/{payment['Id']}"],
    ]
    assert other not in told

    sync.world.pass_time(minutes=1)
    sync.stripe(f"invoices/{other}/pay")
    await sync.bring()
    later = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=other)
    assert ["Stripe_Invoice__c", "updated", f"{org}/{later['Id']}"] in lines(
        await shown(sync, "invoice.paid")
    )


async def test_what_is_known_no_longer_is_called_so(sync: Sync) -> None:
    sync.invoice(sync.customer())
    await sync.bring()
    sync.world.pass_time(days=91)
    with ledger() as opened:
        opened.audit.prune()
    assert "Written in Salesforce: not known any more, after 90 days." in await shown(
        sync, "invoice.finalized"
    )


async def test_an_event_that_changes_nothing_says_so(sync: Sync) -> None:
    invoice = sync.invoice(sync.customer())
    await sync.bring()
    sync.world.pass_time(seconds=1)
    assert sync.replay(types=("invoice.finalized",)) == 1
    with ledger() as opened, opened.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM ledger_audit")
    await sync.apply()
    assert f"Written in Salesforce: nothing that names {invoice}." in await shown(sync, "invoice.finalized")


async def test_what_was_refused_at_first_stands_there_too(sync: Sync) -> None:
    customer = sync.customer(card="pm_card_visa")
    paid = sync.invoice(customer)
    sync.stripe(f"invoices/{paid}/pay")
    sync.world.control(
        "salesforce", "row-faults", {"object": "Stripe_Payment__c", "code": "UNABLE_TO_LOCK_ROW"}
    )
    await sync.bring()
    sync.world.control("salesforce", "row-faults", method="DELETE")
    sync.world.pass_time(hours=1)
    await sync.apply()
    first, *_, last = lines(await shown(sync, "charge.succeeded"))
    assert first == ["Stripe_Payment__c", "refused,", "UNABLE_TO_LOCK_ROW"]
    assert last[:2] == ["Stripe_Payment__c", "created"]
