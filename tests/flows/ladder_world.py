"""Ladders that are moved by the clock of the emulators, with steps that are only written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.ladder_records import Ladder, LadderStep
from tasks.company import Company
from tasks.dunning_claims import Handed, claim_due
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_progress import ClimbSummary
from tasks.dunning_runs import take_all
from tests.flows.facts_world import DECLINED, Facts, facts_of
from tests.world import World


@dataclass(frozen=True, slots=True)
class Took:
    """One step of one ladder, as it reached those who do it."""

    invoice: str
    step: str
    at: datetime
    batch: int


@dataclass
class NotedSteps:
    """Stands where steps are done and ladders cleared away, and writes down what comes.

    `errors`: invoice → errors that its next steps or endings meet, one each. `breaks`: invoices that break whatever
    batch they are in. `meanwhile`: called before a batch is done, as for a customer who pays right then.
    """

    took: list[Took] = field(default_factory=list)
    cleared: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[str, list[O2CError]] = field(default_factory=dict)
    breaks: set[str] = field(default_factory=set)
    meanwhile: Callable[[], None] = lambda: None
    batches: int = 0

    async def take_steps(
        self, company: Company, items: Sequence[LadderItem], run_id: str
    ) -> dict[str, list[ActionOutcome]]:
        del run_id
        self.meanwhile()
        if self.breaks & {item.invoice_id for item in items}:
            raise KeyError("a fault of ours")
        self.batches += 1
        outcomes = {}
        for item in items:
            assert isinstance(item.decision, Do)
            step = item.decision.step
            self.took.append(Took(item.invoice_id, step.key, company.clock.now(), self.batches))
            waiting = self.errors.get(item.invoice_id, [])
            error = waiting.pop(0) if waiting else None
            outcomes[item.invoice_id] = [
                ActionOutcome(
                    action,
                    f"ladder:{item.invoice_id}:{step.key}:{action.kind}",
                    error=error,
                    contacted=step.contacts_customer and error is None,
                )
                for action in step.actions
            ]
        return outcomes

    async def end_ladders(
        self, company: Company, items: Sequence[LadderItem], run_id: str
    ) -> dict[str, O2CError | None]:
        del company, run_id
        ended: dict[str, O2CError | None] = {}
        for item in items:
            waiting = self.errors.get(item.invoice_id, [])
            ended[item.invoice_id] = waiting.pop(0) if waiting else None
            if ended[item.invoice_id] is None:
                self.cleared.append((item.invoice_id, str(getattr(item.decision, "reason", ""))))
        return ended

    def steps_of(self, invoice: str) -> list[str]:
        return [one.step for one in self.took if one.invoice == invoice]


@dataclass
class Climbing:
    """A company whose ladders are moved by hand, without Prefect."""

    facts: Facts
    steps: NotedSteps

    @property
    def world(self) -> World:
        return self.facts.world

    @property
    def company(self) -> Company:
        return self.facts.company

    def failed(self, count: int = 1) -> list[str]:
        """Invoices of as many customers that Stripe could not charge, with their ladders."""
        made = [
            self.facts.sync.invoice(self.facts.sync.customer(card=DECLINED), final=False)
            for _ in range(count)
        ]
        self.charge(*made)
        return made

    def of_one_customer(self, count: int) -> list[str]:
        """The same for one customer."""
        customer = self.facts.sync.customer(card=DECLINED)
        made = [self.facts.sync.invoice(customer, final=False) for _ in range(count)]
        self.charge(*made)
        return made

    def charge(self, *invoices: str) -> None:
        for invoice in invoices:
            self.facts.sync.stripe(f"invoices/{invoice}/finalize", auto_advance=True)
        self.world.pass_time(hours=2)
        self.facts.open(*invoices)

    def pay(self, invoice: str) -> None:
        self.facts.sync.stripe(f"invoices/{invoice}/pay", paid_out_of_band=True)

    async def take(self) -> ClimbSummary:
        """What a drain does when it looks."""

        async def due() -> list[Any]:
            return await claim_due(self.company)

        return await take_all(self.company, Handed(await due(), due), "run-1")

    async def live(self, **duration: float) -> None:
        """Let time pass, with a look whenever a ladder asks for one."""
        until = self.company.clock.now() + timedelta(**duration)
        while True:
            await self.take()
            due = [one.due_at for one in self.ladders() if one.due_at is not None]
            now = self.company.clock.now()
            following = min([*due, until])
            if following >= until:
                break
            # A second more: whatever is due at that very moment is due then for certain.
            self.world.pass_time(seconds=max((following - now).total_seconds(), 0) + 1)
        self.world.pass_time(seconds=max((until - self.company.clock.now()).total_seconds(), 0))
        await self.take()

    def ladder(self, invoice: str) -> Ladder:
        found = self.company.ledger.ladders.get(invoice)
        assert found is not None
        return found

    def ladders(self) -> list[Ladder]:
        from order_to_cash.ledger.ladder_records import LadderFilter

        return self.company.ledger.ladders.find(LadderFilter(), 10_000)

    def journal(self, invoice: str) -> list[LadderStep]:
        return list(self.ladder(invoice).steps)


@asynccontextmanager
async def climbing(world: World, steps: NotedSteps) -> AsyncIterator[Climbing]:
    """The settings of this process point at `world`."""
    async with facts_of(world) as facts:
        yield Climbing(facts, steps)
