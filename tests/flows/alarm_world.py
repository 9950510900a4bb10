"""Ladders with their alarms at a Prefect server, their real steps at the emulators, and a drain that looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType

from flows.dunning_ladder import dunning_ladder, summary_of
from order_to_cash.cli.ladder_watch import LadderWatch
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.ledger.ladder_records import Ladder, LadderFilter
from tasks.company import Company, kept_open
from tasks.dunning_alarms import TAG
from tasks.dunning_progress import ClimbSummary
from tests.flows.running import set_dunning
from tests.flows.sync_world import Sync
from tests.world import World

DECLINED = "pm_card_chargeCustomerFail"


@dataclass
class Chasing:
    """A company whose payments fail, its events, its ladders and their alarms."""

    sync: Sync
    company: Company

    @property
    def world(self) -> World:
        return self.sync.world

    def failed(self, customer: str = "", amount: int = 10_000) -> str:
        """An invoice that Stripe could not charge; nobody was told yet."""
        made = self.sync.invoice(customer or self.sync.customer(card=DECLINED), amount, final=False)
        self.sync.stripe(f"invoices/{made}/finalize", auto_advance=True)
        self.world.pass_time(hours=2)
        return made

    def ladder_customer(self, invoice: str) -> str:
        return str(self.sync.get(f"invoices/{invoice}")["customer"])

    def pay(self, invoice: str) -> None:
        self.sync.stripe(f"invoices/{invoice}/pay", paid_out_of_band=True)

    async def look(self) -> None:
        """What the drain does: events are applied, then ladders that are due are taken."""
        await self.sync.bring()
        await self.take()

    async def take(self) -> None:
        await LadderWatch(self.company, asyncio.Event()).run_once()

    async def rung(self, invoice: str, generation: int) -> tuple[str, str, ClimbSummary | None]:
        """An alarm rings: the run's message and name, and what it did."""
        state = await dunning_ladder(invoice, generation, return_state=True)
        assert state.state_details.flow_run_id is not None
        run = await self.run(str(state.state_details.flow_run_id))
        return state.message or "", run.name, await summary_of(state)

    def ladder(self, invoice: str) -> Ladder:
        found = self.company.ledger.ladders.get(invoice)
        assert found is not None
        return found

    def ladders(self) -> list[Ladder]:
        return self.company.ledger.ladders.find(LadderFilter(), 10_000)

    async def wait_for(self, **duration: float) -> None:
        """Let time pass, with a look whenever a ladder asks for one."""
        until = self.company.clock.now() + timedelta(**duration)
        while True:
            await self.look()
            now = self.company.clock.now()
            due = [one.due_at for one in self.ladders() if one.due_at is not None]
            following = min([*due, until])
            if following >= until:
                break
            self.world.pass_time(seconds=max((following - now).total_seconds(), 0) + 1)
        self.world.pass_time(seconds=max((until - self.company.clock.now()).total_seconds(), 0))
        await self.look()

    # Prefect

    async def run(self, run_id: str) -> FlowRun:
        async with get_client() as client:
            return await client.read_flow_run(UUID(run_id))

    async def alarms(self, invoice: str, *, waiting: bool = True) -> list[FlowRun]:
        """Its runs in Prefect; those that still wait, by default."""
        wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"invoice:{invoice}"]))
        async with get_client() as client:
            runs = await client.read_flow_runs(flow_run_filter=wanted)
        return [one for one in runs if not waiting or (one.state and one.state.type is StateType.SCHEDULED)]

    async def cancelled(self, run_id: str) -> bool:
        state = (await self.run(run_id)).state
        return state is not None and state.type in {StateType.CANCELLED, StateType.CANCELLING}

    def rings_at(self, ladder: Ladder) -> datetime:
        """When that is by the machine's clock, which Prefect goes by."""
        assert ladder.due_at is not None
        return ladder.due_at + (SystemClock().now() - self.company.clock.now())


async def deployed(client: PrefectClient) -> None:
    """The deployment that alarms are runs of; no worker takes them."""
    flow_id = await client.create_flow_from_name("dunning-ladder")
    await client.create_deployment(
        flow_id,
        "dunning-ladder",
        entrypoint="flows.dunning_ladder.dunning_ladder",
        parameters={"invoice": "", "generation": 0, "company": "o2c"},
    )


async def _without_alarms(client: PrefectClient) -> None:
    """Those of other tests belong to ledgers that are gone."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[TAG]))
    for run in await client.read_flow_runs(flow_run_filter=wanted):
        await client.delete_flow_run(run.id)


@asynccontextmanager
async def chasing(books: World) -> AsyncIterator[Chasing]:
    """The blocks of `books` are saved, and this process keeps the company open, as the drain does."""
    books.settings("stripe", payment_retry_seconds=[])
    await set_dunning(enabled=True)
    async with get_client() as client:
        await deployed(client)
        await _without_alarms(client)
    async with kept_open("o2c") as company:
        yield Chasing(Sync(books), company)


def texts(records: list[dict[str, Any]]) -> list[str]:
    """What Tasks or Cases are called, oldest first."""
    return [str(one["Subject"]) for one in records]
