"""Invoices carry the exchange rate of the moment in which they were finalized (R71): judged by what the org shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from emulators.salesforce.standard import standard_objects
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


def euros(sync: Sync, customer: str, *, final: bool = True) -> str:
    invoice = str(sync.stripe("invoices", customer=customer, currency="eur")["id"])
    sync.stripe("invoiceitems", customer=customer, invoice=invoice, amount=10_000, currency="eur")
    if final:
        sync.stripe(f"invoices/{invoice}/finalize", auto_advance=False)
    return invoice


def set_rate(sync: Sync, code: str, rate: str) -> None:
    (row,) = [row for row in sync.records("CurrencyType") if row["IsoCode"] == code]
    sync.world.seeder.update("CurrencyType", [{"id": row["Id"], "ConversionRate": rate}])


def rate_of(sync: Sync, invoice: str) -> Decimal | None:
    """JSON's numbers are floats here; what is compared are their digits."""
    shown = sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=invoice)["Exchange_Rate__c"]
    return None if shown is None else Decimal(str(shown))


def questions(sync: Sync, sobject: str) -> int:
    calls = sync.world.calls("salesforce", "GET", "query")
    return len([call for call in calls if f"FROM {sobject}" in str(call.query)])


async def test_the_rate_stays_when_the_org_changes_it(sync: Sync) -> None:
    set_rate(sync, "EUR", "0.92")
    customer = sync.customer(card="pm_card_visa")
    draft, first = euros(sync, customer, final=False), euros(sync, customer)
    assert (await sync.bring()).parked == ()
    assert rate_of(sync, first) == Decimal("0.92")
    assert rate_of(sync, draft) is None
    assert questions(sync, "DatedConversionRate") == 1

    sync.world.pass_time(days=1)
    set_rate(sync, "EUR", "0.95")
    sync.stripe(f"invoices/{first}/pay")
    second = euros(sync, customer)
    assert (await sync.bring()).parked == ()
    assert sync.record("Stripe_Invoice__c", Stripe_Invoice_Id__c=first)["Status__c"] == "paid"
    assert rate_of(sync, first) == Decimal("0.92")
    assert rate_of(sync, second) == Decimal("0.95")


async def test_dated_rates_are_taken_by_the_day(sync: Sync) -> None:
    sync.world.services["salesforce"].org.schema.add(_dated())
    customer = sync.customer()
    old = euros(sync, customer)
    finalized_at = sync.get(f"invoices/{old}")["status_transitions"]["finalized_at"]
    today = datetime.fromtimestamp(finalized_at, UTC).date()
    for rate, start, following in (
        ("0.90", today - timedelta(days=30), today),
        ("0.91", today, today + timedelta(days=2)),
        ("0.97", today + timedelta(days=2), None),
    ):
        made = {"IsoCode": "EUR", "ConversionRate": rate, "StartDate": str(start)}
        made |= {"NextStartDate": str(following)} if following else {}
        sync.world.control("salesforce", "seed", {"records": [{"type": "DatedConversionRate", **made}]})
    sync.world.pass_time(days=3)
    new = euros(sync, customer)
    assert (await sync.bring()).parked == ()
    assert (rate_of(sync, old), rate_of(sync, new)) == (Decimal("0.91"), Decimal("0.97"))
    assert questions(sync, "CurrencyType") == 0


def _dated() -> Any:
    """As advanced currency management brings it."""
    return next(one for one in standard_objects(True, True) if one.name == "DatedConversionRate")


async def test_an_org_that_hides_its_rates_gets_its_invoices_all_the_same(
    sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = sync.world.services["salesforce"].org.schema.objects
    kept = hidden.pop("currencytype")
    invoice = euros(sync, sync.customer())
    sync.receive()
    summary = await sync.apply()
    hidden["currencytype"] = kept
    assert (summary.parked, summary.retried) == ((), 0)
    assert rate_of(sync, invoice) is None
    assert "without their exchange rate" in caplog.text


@pytest.mark.parametrize("multi_currency", [False])
async def test_an_org_with_one_currency_is_not_asked(sync: Sync) -> None:
    invoice = sync.invoice(sync.customer())
    assert (await sync.bring()).parked == ()
    assert rate_of(sync, invoice) is None
    assert questions(sync, "CurrencyType") == questions(sync, "DatedConversionRate") == 0
