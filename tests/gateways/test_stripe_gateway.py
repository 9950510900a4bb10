"""The Stripe gateway against the emulator: what it asks for, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_to_cash.domain.errors import OutcomeUnknown, RecordGone, Refused
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import StripeInvoice
from order_to_cash.gateways.stripe_gateway import StripeGateway
from order_to_cash.gateways.stripe_records import customer_from, invoice_from, price_from
from tests.gateways.conftest import World

Make = Callable[..., StripeGateway]
KEY = "o2c:invoice:006000000000001AAA:1"


async def draft(gateway: StripeGateway, lines: int = 2) -> StripeInvoice:
    customer = await gateway.create_customer({"name": "Acme", "email": "ap@acme.example"}, f"{KEY}:customer")
    params = {
        "customer": customer.customer_id,
        "currency": "eur",
        "auto_advance": False,
        "collection_method": "send_invoice",
        "days_until_due": 30,
        "metadata": {"o2c_key": KEY},
    }
    invoice = await gateway.create_invoice(params, f"{KEY}:draft")
    given = [{"amount": 100 + number, "description": f"Line {number}"} for number in range(lines)]
    return await gateway.add_lines(invoice.invoice_id, given, f"{KEY}:lines")


async def test_an_invoice_from_draft_to_sent(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    since = stripe_world.service.clock.now() - timedelta(minutes=1)
    invoice = await draft(gateway)
    assert (invoice.status, invoice.total, invoice.line_count) == ("draft", Money(201, "eur"), 2)
    assert invoice.metadata == {"o2c_key": KEY}
    final = await gateway.finalize_invoice(invoice.invoice_id, f"{KEY}:finalize")
    assert (final.status, final.auto_advance) == ("open", True)
    assert "/i/" in final.hosted_invoice_url
    assert not await gateway.invoice_was_sent(invoice.invoice_id, since)
    await gateway.send_invoice(invoice.invoice_id, f"{KEY}:send")
    assert await gateway.invoice_was_sent(invoice.invoice_id, since)
    (listed,) = await gateway.list_invoices(final.customer_id, created_gte=since)
    assert listed.metadata == {"o2c_key": KEY}
    assert (await gateway.void_invoice(invoice.invoice_id)).status == "void"


async def test_more_lines_than_an_invoice_shows_are_counted(stripe_gateway: Make) -> None:
    invoice = await draft(stripe_gateway(), lines=120)
    assert invoice.line_count == 120


@pytest.mark.parametrize("idempotency", [True, False])
async def test_a_lost_answer_to_finalize_ends_in_one_finalized_invoice(
    stripe_world: World, stripe_gateway: Make, idempotency: bool
) -> None:
    stripe_world.service.settings.patch({"idempotency": idempotency})
    gateway = stripe_gateway()
    invoice = await draft(gateway)
    stripe_world.service.faults.add(path="/finalize$", nth=1, drop="after")
    final = await gateway.finalize_invoice(invoice.invoice_id, f"{KEY}:finalize")
    assert final.status == "open"
    assert len(stripe_world.service.journal.effects("invoice", "finalized")) == 1


async def test_a_finalization_that_never_arrives_is_unknown(
    stripe_world: World, stripe_gateway: Make
) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway)
    stripe_world.service.faults.add(path="/finalize$", drop="before")
    stripe_world.service.faults.add(method="GET", status=503)  # nor can it be looked up
    with pytest.raises(OutcomeUnknown):
        await gateway.finalize_invoice(invoice.invoice_id, f"{KEY}:finalize")


async def test_an_empty_draft_is_not_taken_for_a_final_one(stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway)
    await gateway.void_invoice((await gateway.finalize_invoice(invoice.invoice_id, f"{KEY}:f")).invoice_id)
    with pytest.raises(Refused):
        await gateway.finalize_invoice(invoice.invoice_id, f"{KEY}:f2")


async def test_deleting_a_draft_twice_is_fine(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway)
    stripe_world.service.faults.add(method="DELETE", nth=1, drop="after")
    await gateway.delete_draft(invoice.invoice_id)
    await gateway.delete_draft(invoice.invoice_id)
    with pytest.raises(RecordGone):
        await gateway.retrieve_invoice(invoice.invoice_id)


async def test_customers_page_by_page(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    for number in range(3):
        await gateway.create_customer({"name": f"C{number}"}, f"o2c:customer:{number}")
    stripe_world.service.journal.clear()
    gateway_pages = stripe_gateway()
    names = {customer.name for customer in await gateway_pages.list_customers()}
    assert names == {"C0", "C1", "C2"}
    changed = (await gateway.list_customers())[0]
    await gateway.update_customer(changed.customer_id, {"email": "new@acme.example"}, "o2c:update:1")
    (found,) = await gateway.list_customers(email="new@acme.example")
    assert found.customer_id == changed.customer_id
    assert (await gateway.retrieve_customer(found.customer_id)).email == "new@acme.example"


async def test_pages_are_followed(stripe_world: World, stripe_gateway: Make) -> None:
    def page(numbers: range, more: bool) -> dict[str, Any]:
        data = [{"id": f"cus_{number}", "object": "customer"} for number in numbers]
        return {"object": "list", "url": "/v1/customers", "data": data, "has_more": more}

    stripe_world.service.faults.add(nth=1, status=200, response=page(range(100), more=True))
    stripe_world.service.faults.add(nth=1, status=200, response=page(range(100, 130), more=False))
    customers = await stripe_gateway().list_customers()
    assert [customer.customer_id for customer in customers] == [f"cus_{number}" for number in range(130)]
    second = stripe_world.service.journal.entries[1]
    assert second.query["starting_after"] == "cus_99"


async def test_missing_permissions_of_a_restricted_key(stripe_world: World, stripe_gateway: Make) -> None:
    read = "charge checkout_session credit_note dispute payment_intent payment_method subscription webhook"
    granted = ["customer_write", "invoice_read", "plan_read", "product_read", "customer_portal_write"]
    granted += [f"{name}_read" for name in read.split()]
    stripe_world.service.settings.patch({"restricted_keys": {"rk_test_narrow": granted}})
    gateway = stripe_gateway(api_key="rk_test_narrow")
    assert await gateway.missing_permissions() == ["rak_invoice_write", "rak_event_read"]
    assert stripe_world.service.journal.effects() == []
    stripe_world.service.settings.patch(
        {"restricted_keys": {"rk_test_narrow": [*granted, "invoice_write", "event_read"]}}
    )
    assert await gateway.missing_permissions() == []


async def test_a_full_key_lacks_nothing_and_costs_no_call(stripe_world: World, stripe_gateway: Make) -> None:
    assert await stripe_gateway().missing_permissions() == []
    assert stripe_world.service.journal.entries == []


async def test_the_account(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    assert (await gateway.account_id()).startswith("acct_")
    await gateway.account_id()
    assert len(stripe_world.service.journal.entries) == 1


# Records


def test_a_price_in_several_currencies_with_its_product() -> None:
    raw = {
        "id": "price_1",
        "currency": "USD",
        "unit_amount": 1000,
        "currency_options": {
            "eur": {"unit_amount": 900},
            "jpy": {"unit_amount": None, "unit_amount_decimal": "0.5"},
        },
        "product": {"id": "prod_1", "name": "Seat", "active": True},
        "lookup_key": "seat",
        "type": "one_time",
    }
    price = price_from(raw)
    assert price.unit_amounts == {"usd": 1000, "eur": 900}
    assert (price.product_id, price.product_name, price.active) == ("prod_1", "Seat", True)
    assert not price.recurring


@pytest.mark.parametrize(
    ("raw", "recurring", "active"),
    [
        ({"recurring": {"interval": "month"}}, True, True),
        ({"type": "recurring"}, True, True),
        ({"active": False}, False, False),
        ({"product": {"id": "prod_1", "active": False}}, False, False),
    ],
)
def test_prices_that_cannot_be_billed_once(raw: dict[str, Any], recurring: bool, active: bool) -> None:
    price = price_from({"id": "price_1", **raw})
    assert (price.recurring, price.active) == (recurring, active)


def test_tax_apart_from_the_total() -> None:
    raw = {
        "id": "in_1",
        "customer": {"id": "cus_1"},
        "currency": "eur",
        "subtotal": 1000,
        "total": 1190,
        "total_excluding_tax": 1000,
        "total_taxes": [{"amount": 150}, {"amount": 40}],
        "created": 1_790_000_000,
    }
    invoice = invoice_from(raw)
    assert (invoice.tax, invoice.total_excluding_tax) == (Money(190, "eur"), Money(1000, "eur"))
    assert invoice.customer_id == "cus_1"
    assert invoice.created == datetime.fromtimestamp(1_790_000_000, UTC)
    assert invoice_from({**raw, "total_taxes": None}).tax == Money(190, "eur")


def test_records_of_answers_that_lack_fields() -> None:
    assert customer_from({"id": "cus_1", "deleted": True}).deleted
    invoice = invoice_from({"id": "in_1", "currency": "usd"})
    assert invoice.total == invoice.tax == Money(0, "usd")
    assert price_from({"id": "price_1"}).unit_amounts == {}
