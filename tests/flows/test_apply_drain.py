"""The drain's watch over the inbox: what waits is taken up by itself, several batches at once, within the share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import apply_stripe_events as flow
from flows.apply_stripe_events import apply_stripe_events
from order_to_cash.cli.drain import _nudged
from order_to_cash.cli.inbox_watch import InboxWatch
from order_to_cash.domain.audit import CallIntent
from order_to_cash.domain.linger import LONGEST_SECONDS, SHORTEST_SECONDS, Lane
from tasks.company import Company, kept_open
from tasks.sync_pace import Pace
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect
SHARE = Decimal("0.5")
PATIENCE_SECONDS = 60.0


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


@pytest.fixture
async def company(sync: Sync) -> AsyncIterator[Company]:
    async with kept_open("o2c") as opened:
        yield opened


async def until_idle(company: Company) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        # what is waited for is written by threads, which set no event
        while any((await asyncio.to_thread(company.ledger.inbox.counts)).values()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_what_arrives_is_applied_by_itself(sync: Sync, company: Company) -> None:
    stop = asyncio.Event()
    watch = InboxWatch(company, Pace(company, SHARE), stop)
    watching = asyncio.create_task(watch.run())
    customers = [sync.customer() for _ in range(3)]
    for _ in range(2):
        for customer in customers:
            sync.invoice(customer)
        sync.receive()
        await until_idle(company)
    stop.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await watching
    assert len(sync.records("Stripe_Invoice__c")) == 6
    assert watch.events > 6
    assert {row.state for row in sync.rows()} <= {"done", "ignored"}


async def test_a_run_whose_result_prefect_lost_holds_up_nothing(
    sync: Sync, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(**given: Any) -> State[Any]:
        await apply_stripe_events(**given)
        return Completed()

    monkeypatch.setattr(flow, "apply_stripe_events", lost)
    sync.invoice(sync.customer())
    sync.receive()
    watch = InboxWatch(company, Pace(company, SHARE), asyncio.Event())
    await watch.run_once()
    assert len(sync.records("Stripe_Invoice__c")) == 1
    assert {row.state for row in sync.rows()} <= {"done", "ignored"}
    assert await watch.finish(), "nor does it count as an error, after which the drain would pause"


async def test_an_outage_of_salesforce_costs_time_and_nothing_else(sync: Sync, company: Company) -> None:
    stop = asyncio.Event()
    watch = InboxWatch(company, Pace(company, SHARE), stop)
    sync.invoice(sync.customer())
    sync.receive()
    for method, path in (("PATCH", ""), ("POST", "/composite$")):  # rows of one kind, and of several
        sync.world.fault("salesforce", method=method, path=path, status=503)
    await watch.run_once()
    assert sync.records("Stripe_Invoice__c") == []
    assert "retry" in {row.state for row in sync.rows()}
    sync.world.no_faults()
    sync.world.pass_time(minutes=2)
    await asyncio.sleep(1.1)  # the emulators' clock is read once a second
    await watch.run_once()
    assert len(sync.records("Stripe_Invoice__c")) == 1
    assert sync.parked() == {}


async def test_the_share_is_counted_over_all_that_is_in_the_audit(sync: Sync, company: Company) -> None:
    sync.world.settings("salesforce", daily_api_limit=1_000)
    await asyncio.to_thread(company.salesforce.query, "SELECT Id FROM Account")
    assert await Pace(company, SHARE).linger_seconds() == SHORTEST_SECONDS
    used = Pace(company, SHARE)
    assert await used.lanes() == tuple(Lane)
    assert await used.look_out_seconds(10) == 10
    for _ in range(120):  # another process of the same ledger: more than a full bucket of 100
        company.ledger.audit.begin(CallIntent(system="salesforce", method="GET", path="/query"))
    assert await used.linger_seconds() >= LONGEST_SECONDS
    assert await used.lanes() == (Lane.LIVE,)
    assert await used.look_out_seconds(10) == LONGEST_SECONDS
    # A restart knows it too.
    assert await Pace(company, SHARE).linger_seconds() >= LONGEST_SECONDS
    sync.world.pass_time(hours=25)
    await asyncio.sleep(1.1)  # the emulators' clock is read once a second
    assert await Pace(company, SHARE).linger_seconds() == SHORTEST_SECONDS


async def test_a_run_of_the_deployment_keeps_to_the_share_as_well(sync: Sync, company: Company) -> None:
    """It takes nothing up when the share is used up; what waits is applied once more calls may be made."""
    sync.world.settings("salesforce", daily_api_limit=1_000)
    await asyncio.to_thread(company.salesforce.query, "SELECT Id FROM Account")
    sync.invoice(sync.customer())
    sync.receive()
    for _ in range(120):
        company.ledger.audit.begin(CallIntent(system="salesforce", method="GET", path="/query"))
    sync.world.forget_calls()
    state = await apply_stripe_events(return_state=True)
    assert "share of Salesforce calls is used up" in (state.message or "")
    assert sync.world.calls("salesforce", "PATCH") + sync.world.calls("salesforce", "POST", "composite") == []
    assert {row.state for row in sync.rows()} == {"pending"}
    sync.world.pass_time(hours=25)
    await asyncio.sleep(1.1)  # the emulators' clock is read once a second
    assert (await sync.apply()).done > 1
    assert len(sync.records("Stripe_Invoice__c")) == 1


async def test_a_nudge_is_taken_once(company: Company) -> None:
    assert not await _nudged(company)
    company.ledger.nudges.put("00D000000000001AAA", "Opportunity", ["006000000000001AAA"])
    assert await _nudged(company)
    assert not await _nudged(company)


async def test_two_drains_share_the_work(sync: Sync, company: Company) -> None:
    """Two watches over one inbox: each event is applied by one of them."""
    customers = [sync.customer() for _ in range(6)]
    for customer in customers:
        sync.invoice(customer)
    stop = asyncio.Event()
    watches = [InboxWatch(company, Pace(company, SHARE), stop) for _ in range(2)]
    running = [asyncio.create_task(watch.run()) for watch in watches]
    total = sync.receive()
    await until_idle(company)
    stop.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*running)
    ignored = sum(row.state == "ignored" for row in sync.rows())
    assert sum(watch.events for watch in watches) == total - ignored
    assert len(sync.records("Stripe_Invoice__c")) == 6
    assert {row.attempts for row in sync.rows()} == {1}
