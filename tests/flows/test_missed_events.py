"""What webhooks lost is found: by listing events, or by reading every object; whatever is killed in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import stripe

from emulators.run import running
from emulators.stripe.service import StripeService
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.coalesce import coalesce
from order_to_cash.domain.sync.handled import SCANNED
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.stripe_gateway import StripeGateway
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.inbox_tables import InboxRow
from order_to_cash.ledger.ledger import Ledger
from tasks.company import Company
from tasks.missed_events import LEASE, Missed, missed_events
from tests.emulators.stripe_second_story import Acts


class Scene:
    """An emulated Stripe, a ledger, and a company that knows only those two."""

    def __init__(self, service: StripeService, url: str, ledger: Ledger, gateway: StripeGateway) -> None:
        self.service = service
        self.url = url
        self.ledger = ledger
        self.v1 = stripe.StripeClient("sk_test_scene", base_addresses={"api": url}).v1
        self.company = Company(
            name="o2c",
            environment=Environment.EMULATOR,
            rules=cast(BillingRules, None),
            stripe=gateway,
            salesforce=cast(Any, None),
            slack=None,
            ledger=ledger,
            clock=service.clock,
            record_url="",
        )

    async def look(self) -> Missed:
        found = await missed_events(self.company)
        assert found is not None
        return found

    def pass_time(self, **duration: float) -> None:
        self.service.clock.advance(timedelta(**duration).total_seconds())

    def customers(self, count: int = 1) -> list[str]:
        return [self.v1.customers.create({"name": f"C{number}"}).id for number in range(count)]

    def inbox(self, source: EventSource | None = None) -> list[InboxRow]:
        rows = self.ledger.inbox.find(EventFilter(), 10_000)
        return [row for row in rows if source is None or row.source == source]

    async def long_ago(self) -> None:
        """There was a look, so long ago that Stripe lists no event of that time."""
        await self.look()
        self.pass_time(days=35)

    async def newest(self) -> list[StripeEvent]:
        """The events of the last hour."""
        since = self.service.clock.now() - timedelta(hours=1)
        return [event async for event in self.company.stripe.events_since(since)]

    def pages(self, path: str) -> int:
        """How many pages of a list were asked for since the last time."""
        asked = len(self.service.journal.select(method="GET", path=path))
        self.service.journal.clear()
        return asked


@pytest.fixture
def ledger_at(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def emulator() -> Iterator[tuple[StripeService, str]]:
    service = StripeService()
    with running(service) as urls:
        yield service, urls["stripe"]


@pytest.fixture
async def scene(emulator: tuple[StripeService, str], ledger_at: str) -> AsyncIterator[Scene]:
    service, url = emulator
    gateway = StripeGateway(
        api_key="sk_test_scene",
        environment=Environment.EMULATOR,
        audit=NoAudit(),
        api_base=url,
        requests_per_second=500,
        retry=RetryPolicy(max_attempts=1),
    )
    with Ledger.open(ledger_at, clock=service.clock, environment=Environment.EMULATOR) as ledger:
        ledger.migrate()
        yield Scene(service, url, ledger, gateway)
    await gateway.aclose()


async def test_the_first_look_reads_what_was_billed_and_tells_of_nothing(scene: Scene) -> None:
    (customer,) = scene.customers()
    product = scene.v1.products.create({"name": "Seat"}).id
    scene.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 100})
    invoice = scene.v1.invoices.create({"customer": customer})
    scene.pass_time(days=40)
    found = await scene.look()
    assert found == Missed(listed=0, scanned=1)  # customers and products come with what was billed
    rows = scene.inbox()
    assert {row.source for row in rows} == {EventSource.SCAN}
    assert {row.object_id for row in rows} == {invoice.id}
    claims = scene.ledger.inbox.claim("test")
    made = coalesce([claim.event for claim in claims], {})
    read = [state.key.id for state in made.states] + [key.id for key in made.refetch]
    assert read == [invoice.id]
    assert made.signals == ()
    assert (made.ignored, dict(made.unreadable)) == ((), {})
    assert {claim.event.partition for claim in claims if claim.event.object_type == "invoice"} == {customer}
    scene.pages("")
    assert await scene.look() == Missed()
    assert scene.pages("^/v1/invoices") == 0


async def test_lost_events_are_listed_and_make_a_gap(scene: Scene) -> None:
    await scene.look()
    scene.pass_time(minutes=30)
    lost = scene.customers(3)
    scene.v1.customers.update(lost[0], {"name": "New"})
    scene.pass_time(minutes=30)
    (fresh,) = scene.customers()
    found = await scene.look()
    assert found.listed == 4
    assert found.gap is not None
    assert (found.gap.events, found.gap.types) == (4, {"customer.created": 3, "customer.updated": 1})
    assert found.gap.since <= found.gap.until < scene.service.clock.now() - timedelta(minutes=29)
    rows = scene.inbox(EventSource.LIST)
    assert {row.object_id for row in rows} == set(lost)
    assert {row.type for row in rows} == {"customer.created", "customer.updated"}
    assert await scene.look() == Missed()  # a webhook may still bring the fresh one
    scene.pass_time(minutes=6)
    assert (await scene.look()).listed == 1
    assert fresh in {row.object_id for row in scene.inbox(EventSource.LIST)}
    scene.pass_time(hours=1)
    assert await scene.look() == Missed()


async def test_what_webhooks_brought_is_no_gap(scene: Scene) -> None:
    await scene.look()
    scene.customers(2)
    scene.ledger.inbox.store(await scene.newest(), EventSource.WEBHOOK)
    scene.pass_time(hours=1)
    assert await scene.look() == Missed()
    assert {row.source for row in scene.inbox()} == {EventSource.WEBHOOK}


async def test_an_event_that_is_lost_before_newer_ones_is_found(scene: Scene) -> None:
    """The newest event in the inbox says nothing of older ones."""
    await scene.look()
    (lost,) = scene.customers()
    scene.pass_time(hours=2)
    scene.customers()
    scene.ledger.inbox.store(await scene.newest(), EventSource.WEBHOOK)
    found = await scene.look()
    assert found.gap is not None
    assert [row.object_id for row in scene.inbox(EventSource.LIST)] == [lost]


async def test_types_that_change_nothing_are_not_stored(scene: Scene) -> None:
    await scene.look()
    (customer,) = scene.customers()
    scene.v1.invoice_items.create({"customer": customer, "amount": 100, "currency": "usd"})
    scene.pass_time(minutes=6)
    await scene.look()
    assert {row.type for row in scene.inbox(EventSource.LIST)} == {"customer.created"}


async def test_a_listing_that_breaks_off_goes_on(scene: Scene) -> None:
    await scene.look()
    for _ in range(4):
        scene.customers()
        scene.pass_time(hours=8)
    scene.service.faults.add(method="GET", path="/events$", nth=[4, 5, 6, 7, 8], status=503)
    with pytest.raises(Unavailable):
        await scene.look()
    some = len(scene.inbox())
    assert 0 < some < 4
    scene.service.faults.clear()
    scene.pages("")
    found = await scene.look()
    assert found.listed == 4 - some
    assert scene.pages("/events$") < 7


async def test_a_scan_that_breaks_off_goes_on(scene: Scene) -> None:
    await scene.long_ago()
    customers = scene.customers(250)
    scene.v1.products.create({"name": "Seat"})
    scene.service.faults.add(method="GET", path="/customers$", nth=3, status=503)
    with pytest.raises(Unavailable):
        await scene.look()
    assert len(scene.inbox()) == 201
    scene.v1.customers.create({"name": "Later"})
    scene.service.faults.clear()
    scene.pages("")
    found = await scene.look()
    assert (found.scanned, found.listed) == (50, 0)
    assert scene.pages("^/v1/(customers|products)$") == 1
    rows = scene.inbox(EventSource.SCAN)
    assert {row.object_id for row in rows if row.object_type == "customer"} == set(customers)
    assert {row.type for row in rows} == {SCANNED}


async def test_a_scan_goes_on_although_its_last_object_was_deleted(scene: Scene) -> None:
    await scene.long_ago()
    customers = scene.customers(150)
    scene.service.faults.add(method="GET", path="/customers$", nth=2, status=503)
    with pytest.raises(Unavailable):
        await scene.look()
    scene.service.faults.clear()
    scene.v1.customers.delete(customers[50])
    await scene.look()
    assert {row.object_id for row in scene.inbox(EventSource.SCAN)} == set(customers)


async def test_longer_ago_than_events_are_kept_all_is_read_again(scene: Scene) -> None:
    await scene.look()
    (early,) = scene.customers()
    scene.pass_time(days=35)
    (late,) = scene.customers()
    scene.pass_time(hours=1)
    found = await scene.look()
    assert found.scanned == 2
    assert found.listed == 1
    assert found.gap is not None
    assert found.gap.events == 1
    assert {row.object_id for row in scene.inbox(EventSource.SCAN)} == {early, late}
    assert [row.object_id for row in scene.inbox(EventSource.LIST)] == [late]
    assert await scene.look() == Missed()


async def test_one_process_at_a_time(scene: Scene) -> None:
    scene.ledger.leases.take(LEASE, "another")
    assert await missed_events(scene.company) is None
    scene.pass_time(minutes=5)
    assert await missed_events(scene.company) == Missed()


async def test_a_clock_that_is_ahead_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.look()

    class Ahead:
        def now(self) -> Any:
            return scene.service.clock.now() + timedelta(hours=9)

    monkeypatch.setattr(scene.company, "clock", Ahead())
    await scene.look()
    monkeypatch.undo()
    scene.customers()
    scene.pass_time(minutes=6)
    assert (await scene.look()).listed == 1


async def test_a_burst_is_listed_completely(scene: Scene) -> None:
    await scene.look()
    Acts(scene.url)("burst", count=400, customers=3)
    scene.pass_time(minutes=6)
    found = await scene.look()
    handled = [
        event["id"]
        for event in scene.service.world.all("event")
        if event["type"] not in {"payment_intent.created", "invoiceitem.created"}
    ]
    assert {row.event_id for row in scene.inbox(EventSource.LIST)} == set(handled)
    assert found.listed == len(handled)
