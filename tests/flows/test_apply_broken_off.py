"""A batch that breaks off after it wrote an older state over a newer one: the newer one is shown in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flows import apply_stripe_events as flow
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.sync.shapes import ObjectKey
from tasks import sync_outcomes
from tasks.sync_outcomes import SyncSummary
from tasks.sync_writes import write_rows
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


class Died(BaseException):
    """As a signal: nothing is tidied up."""


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def _dies(*_arguments: Any) -> None:
    raise Died


async def _breaks(*_arguments: Any) -> None:
    raise Unavailable("Salesforce is away.")


async def _fails(_company: Any, batch: Any, _count: int) -> None:
    for key in batch.states:
        batch.fail(key, Unavailable("The Account is locked."))


BREAKS = {
    "killed before it is written anew": (sync_outcomes, "write_anew", _dies),
    "killed before it is remembered": (flow, "conclude", _dies),
    "broken off after it was written": (flow, "roll_up", _breaks),
    "held by its roll-up": (flow, "roll_up", _fails),
}


async def _due(sync: Sync) -> None:
    """What was received may be taken up: the emulators' clock is read once a second."""
    sync.world.pass_time(seconds=5)
    await asyncio.sleep(1.1)


async def _in_time(sync: Sync) -> SyncSummary:
    await _due(sync)
    return await sync.apply()


@pytest.mark.parametrize("where", BREAKS)
async def test_the_newer_state_is_shown_in_the_end(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A charge as it was before its refund is about to be written; meanwhile another drain shows it refunded."""
    customer = sync.customer(card="pm_card_visa")
    sync.stripe(f"invoices/{sync.invoice(customer)}/pay")
    charge = sync.get("charges", customer=customer)["data"][0]["id"]
    events = sync.fresh()
    sync.receive([event for event in events if event.type in {"invoice.finalized", "customer.created"}])
    await _in_time(sync)
    sync.receive([event for event in events if event.type == "charge.succeeded"])
    module, name, broken = BREAKS[where]
    whole = getattr(module, name)
    shown: list[Any] = []
    await _due(sync)

    async def overtaken(company: Any, batch: Any, count: int) -> None:
        monkeypatch.setattr(flow, "write_rows", write_rows)
        assert ObjectKey("charge", charge) in batch.states
        sync.stripe("refunds", charge=charge, amount=7_500)
        # It names no customer, so another batch may work on it; it brings the charge along, as it is read then.
        sync.receive([event for event in events if event.type == "invoice_payment.paid"])
        assert (await _in_time(sync)).done == 1
        shown.append(sync.record("Stripe_Payment__c")["Amount_Refunded__c"])
        await write_rows(company, batch, count)
        shown.append(sync.record("Stripe_Payment__c")["Amount_Refunded__c"])
        monkeypatch.setattr(module, name, broken)

    monkeypatch.setattr(flow, "write_rows", overtaken)
    if broken is _dies:
        with pytest.raises(Died):
            await flow.apply_stripe_events()
    else:
        await sync.apply()
    assert shown == [75, 0], "the older state was written last"
    monkeypatch.setattr(module, name, whole)
    sync.world.pass_time(minutes=3)
    assert (await _in_time(sync)).parked == ()
    assert {row.state for row in sync.rows()} <= {"done", "ignored"}
    assert sync.record("Stripe_Payment__c")["Amount_Refunded__c"] == 75
