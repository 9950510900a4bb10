"""Two batches write one record at the same time: the newest state stays, whoever comes last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flows import apply_stripe_events as flow
from order_to_cash.ledger.inbox_claims import ClaimedEvent, Lane
from tasks import sync_outcomes, sync_rollups
from tasks.sync_anew import write_anew
from tasks.sync_calls import upsert
from tasks.sync_claims import handing_over
from tasks.sync_outcomes import LEASE_SECONDS, SyncSummary
from tasks.sync_writes import write_rows
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def test_what_several_batches_bring_along_alike_is_written_anew_by_none(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of four runs at once finds a product that nobody has shown yet: a new price list, or the first day."""
    first, *others = [sync.customer(card="pm_card_visa") for _ in range(4)]
    await sync.bring()
    sync.subscription(first)
    [item] = sync.get("subscriptions", customer=first)["data"][0]["items"]["data"]
    for customer in others:
        sync.stripe("subscriptions", customer=customer, items=[{"price": item["price"]["id"], "quantity": 1}])
    told = [event for event in sync.fresh() if event.type == "customer.subscription.created"]
    sync.receive(told)
    with ledger() as opened:
        held = [opened.inbox.claim("a drain", 1, LEASE_SECONDS, tuple(Lane), 1) for _ in told]

    all_have_read, anew = asyncio.Barrier(len(told)), list[Any]()

    async def together(company: Any, batch: Any, count: int) -> None:
        await all_have_read.wait()
        await write_rows(company, batch, count)

    async def noted(company: Any, batch: Any, keys: Any) -> None:
        anew.append(keys)
        await write_anew(company, batch, keys)

    monkeypatch.setattr(flow, "write_rows", together)
    monkeypatch.setattr(sync_outcomes, "write_anew", noted)

    async def applied(claims: list[ClaimedEvent]) -> SyncSummary | None:
        with handing_over(claims):
            return await flow.summary_of(await flow.apply_stripe_events(return_state=True))

    summaries = await asyncio.gather(*map(applied, held))
    assert [one.done for one in summaries if one is not None] == [1, 1, 1, 1]
    assert anew == []
    assert len(sync.records("Stripe_Subscription__c")) == len(told)


@pytest.mark.parametrize("slow", ["write_rows", "conclude"])
async def test_a_state_read_before_and_written_after_a_newer_one(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """An invoice's payment brings its charge along, as it was read; meanwhile another drain shows it refunded."""
    customer = sync.customer(card="pm_card_visa")
    sync.stripe(f"invoices/{sync.invoice(customer)}/pay")
    charge = sync.get("charges", customer=customer)["data"][0]["id"]
    sync.receive([event for event in sync.fresh() if event.type == "invoice_payment.paid"])
    step = getattr(flow, slow)
    shown: list[Any] = []

    async def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(flow, slow, step)
        sync.stripe("refunds", charge=charge, amount=7_500)
        sync.receive([event for event in sync.fresh() if event.type == "charge.refunded"])
        await sync.apply()
        shown.append(sync.record("Stripe_Payment__c")["Amount_Refunded__c"])
        return await step(*arguments)

    monkeypatch.setattr(flow, slow, overtaken)
    assert (await sync.apply()).parked == ()
    shown.append(sync.record("Stripe_Payment__c")["Amount_Refunded__c"])
    assert shown == [75, 75]
    before = sync.picture()
    sync.replay()
    await sync.apply()
    assert sync.picture() == before


async def test_two_payers_of_one_account_are_rolled_up_together(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the Account's records and writing their sum another drain adds a subscription."""
    account = sync.world.account()
    customers = [
        sync.customer(known=False, card="pm_card_visa", metadata={"salesforce_account_id": account})
        for _ in range(2)
    ]
    await sync.bring()
    sync.subscription(customers[0], unit_amount=5_000, quantity=2)
    sync.receive()
    shown: list[Any] = []

    async def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(sync_rollups, "upsert", upsert)
        sync.subscription(customers[1], unit_amount=5_000, quantity=1)
        sync.receive()
        await sync.apply()
        shown.append(sync.world.record("Account", account)["Stripe_MRR__c"])
        return await upsert(*arguments)

    monkeypatch.setattr(sync_rollups, "upsert", overtaken)
    assert (await sync.apply()).parked == ()
    shown.append(sync.world.record("Account", account)["Stripe_MRR__c"])
    assert shown == [150, 150]
