"""Stripe's objects and events as they are read: whole, with their moment, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_to_cash.domain.errors import RecordGone, Unavailable
from order_to_cash.domain.events import decode_event
from order_to_cash.domain.sync.fetching import EXPAND
from order_to_cash.domain.sync.shapes import Fetched, ObjectKey
from order_to_cash.gateways.stripe_gateway import StripeGateway
from tests.gateways.conftest import World
from tests.gateways.test_stripe_gateway import draft

Make = Callable[..., StripeGateway]
TWO_HOURS = timedelta(hours=2)


async def customers(gateway: StripeGateway, count: int) -> list[str]:
    made = [await gateway.create_customer({"name": f"C{n}"}, f"o2c:customer:{n}") for n in range(count)]
    return [one.customer_id for one in made]


async def test_an_object_comes_with_the_moment_since_when_it_holds(
    stripe_world: World, stripe_gateway: Make
) -> None:
    stripe_world.service.clock.advance(3600 * 24 * 400)
    gateway = stripe_gateway()
    (customer,) = await customers(gateway, 1)
    before = stripe_world.service.clock.now()
    fetched = await gateway.fetch("customer", customer)
    assert fetched is not None
    assert fetched.body["name"] == "C0"
    assert before - timedelta(seconds=2) < fetched.at <= before
    assert fetched.at.microsecond == 0


async def test_a_slow_answer_holds_since_before_it_was_asked_for(
    stripe_world: World, stripe_gateway: Make
) -> None:
    gateway = stripe_gateway()
    (customer,) = await customers(gateway, 1)
    stripe_world.service.faults.add(method="GET", delay_seconds=1.1, after_effect=True)
    before = stripe_world.service.clock.now()
    fetched = await gateway.fetch("customer", customer)
    assert fetched is not None
    assert fetched.at <= before


async def test_an_answer_without_a_time_is_none(stripe_world: World, stripe_gateway: Make) -> None:
    body = {"id": "cus_1", "object": "customer"}
    stripe_world.service.faults.add(status=200, response=body, headers={"date": "yesterday"})
    with pytest.raises(Unavailable, match="no time"):
        await stripe_gateway().fetch("customer", "cus_1")


async def test_what_is_not_there_is_none_and_what_is_deleted_says_so(stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway)
    assert await gateway.fetch("invoice", "in_never") is None
    await gateway._client.v1.customers.delete_async(invoice.customer_id)
    gone = await gateway.fetch("customer", invoice.customer_id)
    assert gone is not None
    assert gone.body == {"id": invoice.customer_id, "object": "customer", "deleted": True}
    with pytest.raises(ValueError, match="not read"):
        await gateway.fetch("payout", "po_1")


async def test_an_invoice_is_read_with_all_its_lines_and_payments(stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway, lines=120)
    await gateway.finalize_invoice(invoice.invoice_id, "o2c:finalize:1")
    fetched = await gateway.fetch("invoice", invoice.invoice_id)
    assert fetched is not None
    assert len(fetched.body["lines"]["data"]) == 120
    assert fetched.body["lines"]["has_more"] is False
    (payment,) = fetched.body["payments"]["data"]
    intent = payment["payment"]["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    (listed,) = await gateway.invoice_payments(invoice.invoice_id)
    assert listed["payment"] == {"type": "payment_intent", "payment_intent": intent["id"]}
    assert await gateway.invoice_payments(payment_intent_id=intent["id"]) == [listed]


async def test_what_is_asked_for_is_expanded_and_nothing_else_is_read(
    stripe_world: World, stripe_gateway: Make
) -> None:
    gateway = stripe_gateway()
    invoice = await draft(gateway, lines=120)
    await gateway.finalize_invoice(invoice.invoice_id, "o2c:finalize:1")
    stripe_world.service.journal.clear()
    paths = ("payments", "payments.data.payment.payment_intent", "customer")
    fetched = await gateway.fetch("invoice", invoice.invoice_id, paths)
    assert fetched is not None
    assert fetched.body["customer"]["id"] == invoice.customer_id
    (payment,) = fetched.body["payments"]["data"]
    assert payment["payment"]["payment_intent"]["status"] == "requires_payment_method"
    assert fetched.body["lines"]["has_more"] is True
    (plain,) = (await gateway.fetch_many([ObjectKey("invoice", invoice.invoice_id)], ())).values()
    assert isinstance(plain, Fetched)
    assert plain.body["customer"] == invoice.customer_id
    assert len(stripe_world.service.journal.select(method="GET")) == 2


async def test_many_are_read_at_once_and_one_failure_stops_no_other(
    stripe_world: World, stripe_gateway: Make
) -> None:
    gateway = stripe_gateway()
    good, bad = await customers(gateway, 2)
    stripe_world.service.faults.add(path=f"/{bad}$", status=503)
    stripe_world.service.journal.clear()
    keys = [ObjectKey("customer", one) for one in (good, bad, "cus_never", good)]
    found = await gateway.fetch_many(keys)
    fetched = found[keys[0]]
    assert isinstance(fetched, Fetched)
    assert fetched.body["id"] == good
    assert isinstance(found[keys[1]], Unavailable)
    assert found[keys[2]] is None
    assert len(found) == 3
    assert len(stripe_world.service.journal.select(path=f"/{good}$")) == 1


async def test_objects_are_listed_by_when_they_were_made(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    (old,) = await customers(gateway, 1)
    stripe_world.service.clock.advance(TWO_HOURS.total_seconds())
    middle = stripe_world.service.clock.now() - timedelta(hours=1)
    new = await gateway.create_customer({"name": "New"}, "o2c:customer:new")

    async def listed(**bounds: datetime) -> list[str]:
        return [one.body["id"] async for one in gateway.list_objects("customer", **bounds)]

    assert await listed() == [new.customer_id, old]
    assert await listed(created_gte=middle) == [new.customer_id]
    assert await listed(created_lt=middle) == [old]


async def test_events_are_listed_newest_first_page_by_page(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    ids = await customers(gateway, 105)
    since = stripe_world.service.clock.now() - TWO_HOURS
    listed = [event async for event in gateway.events_since(since)]
    assert [event.object_id for event in listed] == ids[::-1]
    assert {(event.type, event.object_type, event.partition == event.object_id) for event in listed} == {
        ("customer.created", "customer", True)
    }
    assert all(decode_event(event.body) == event for event in listed)
    assert len(stripe_world.service.journal.select(method="GET", path="/events$")) == 2
    types = ["customer.updated", "customer.deleted"]
    assert [event async for event in gateway.events_since(since, types)] == []
    with pytest.raises(ValueError, match="at most 20"):
        _ = [event async for event in gateway.events_since(since, [str(n) for n in range(21)])]


async def test_one_event_comes_as_stripe_sends_it(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    await customers(gateway, 1)
    since = datetime(2020, 1, 1, tzinfo=UTC)
    (listed,) = [event async for event in gateway.events_since(since)]
    event = await gateway.event(listed.event_id)
    sent: Any = stripe_world.service.journal.entries[-1].raw_response
    assert event.body == sent
    assert (event.event_id, event.object_id) == (listed.event_id, listed.object_id)
    assert json.loads(event.body) == json.loads(listed.body)
    with pytest.raises(RecordGone):
        await gateway.event("evt_never")


async def test_lists_that_are_cut_are_read_with_what_is_expanded_in_them(
    stripe_world: World, stripe_gateway: Make
) -> None:
    def listed(rows: list[dict[str, Any]], more: bool = False) -> dict[str, Any]:
        return {"object": "list", "data": rows, "has_more": more, "url": "/"}

    rest = [{"id": f"inpay_{number}", "object": "invoice_payment"} for number in range(3)]
    cut = {"id": "in_1", "object": "invoice", "lines": listed([]), "payments": listed(rest[:1], more=True)}
    faults = stripe_world.service.faults
    faults.add(path="/invoices/in_1$", status=200, response=cut)
    faults.add(path="/invoice_payments$", status=200, response=listed(rest))
    fetched = await stripe_gateway().fetch("invoice", "in_1")
    assert fetched is not None
    assert fetched.body["payments"] == listed(rest)
    (first, second) = stripe_world.service.journal.entries[-2:]
    assert set(first.query.values()) == set(EXPAND["invoice"])
    assert second.query["invoice"] == "in_1"
    assert "data.payment.payment_intent" in second.query.values()


@pytest.mark.parametrize("snapshots", [True, False])
async def test_a_thin_event_comes_as_its_snapshot_where_stripe_names_one(
    stripe_world: World, stripe_gateway: Make, snapshots: bool
) -> None:
    stripe_world.service.settings.patch({"thin_snapshots": snapshots})
    gateway = stripe_gateway()
    await gateway._client.v2.core.event_destinations.create_async(
        {
            "name": "thin",
            "event_payload": "thin",
            "enabled_events": ["*"],
            "type": "webhook_endpoint",
            "webhook_endpoint": {"url": "http://127.0.0.1:9/thin"},
        },
        {"idempotency_key": "o2c:thin"},
    )
    (customer,) = await customers(gateway, 1)
    service: Any = stripe_world.service
    (thin,) = service.world.all("v2.core.event")
    event = await gateway.event(thin["id"], thin=True)
    assert (event.object_type, event.object_id) == ("customer", customer)
    assert event.thin is not snapshots
    assert event.type == ("customer.created" if snapshots else "v1.customer.created")


async def test_an_endpoint_is_made_and_corrected(stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    made = await gateway.create_webhook_endpoint("https://acme.example/stripe", {"invoice.paid"})
    assert made.secret.get_secret_value().startswith("whsec_")
    assert made.api_version == gateway.api_version
    (listed,) = await gateway.webhook_endpoints()
    assert (listed.secret.get_secret_value(), listed.enabled) == ("", True)
    assert listed.lacks(["invoice.paid", "charge.failed"]) == ["charge.failed"]
    for _ in range(2):
        await gateway._client.v1.webhook_endpoints.update_async(
            made.endpoint_id, {"disabled": True}, {"idempotency_key": f"o2c:{_}"}
        )
        assert not (await gateway.webhook_endpoints())[0].enabled
        mended = await gateway.update_webhook_endpoint(listed, ["charge.failed", "invoice.paid"])
        assert (mended.enabled, mended.lacks(["charge.failed"])) == (True, [])
    await gateway._client.v1.webhook_endpoints.delete_async(made.endpoint_id)
    again = await gateway.create_webhook_endpoint("https://acme.example/stripe", {"invoice.paid"})
    assert again.endpoint_id != made.endpoint_id
