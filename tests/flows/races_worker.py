"""A worker that may die, over real events, sweep, claims, rounds and ledger, in a company whose books are made up."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventSource
from order_to_cash.ledger.ladder_records import ClaimedLadder, Ladder, LadderFilter, LadderStatus
from order_to_cash.ledger.ladders import LEASE_SECONDS, Ladders
from tasks import dunning_acts, dunning_claims, dunning_hints, dunning_runs
from tasks.company import Company
from tasks.dunning_claims import Handed, claim_due, is_any_due
from tasks.dunning_hints import note_ladders
from tasks.dunning_runs import take_all
from tasks.dunning_sweep import open_missing, wake_peoples_word
from tasks.sync_batch import Batch
from tests.flows.races_world import MOMENT, Bill, Books, Judges, KilledError
from tests.ledger.quick import quick_ledger
from tests.ledger.support import MovableClock

SWEEP = timedelta(minutes=5)
MOST_LOOKS = 400


class Worker:
    """`template`: a migrated ledger. `close` it."""

    def __init__(self, template: Path) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = MovableClock()
        self.books = Books(self.clock)
        self.judges = Judges(self.books)
        ledger = quick_ledger(template, self.folder.name, self.clock)
        self.company = Company(
            name="o2c",
            environment=Environment.EMULATOR,
            rules=BillingRules(bill_deals_closed_on_or_after=date(2026, 1, 1)),
            stripe=self.books,  # type: ignore[arg-type]  # as much of it as ladders ask
            salesforce=self.books,  # type: ignore[arg-type]  # the same
            slack=None,
            ledger=ledger,
            clock=self.clock,
            record_url="",
            dunning=default_policy(),
        )
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(dunning_acts, "take_steps", self.judges.take_steps)
        self._patch.setattr(dunning_acts, "end_ladders", self.judges.end_ladders)
        self._patch.setattr(dunning_runs, "arm", _no_alarms)
        self._patch.setattr(dunning_claims, "release", self._release)
        self._patch.setattr(dunning_hints, "_note", dunning_hints._note.fn)
        self._loop = asyncio.Runner()
        self._ended: dict[str, Ladder] = {}
        self.told_over: set[str] = set()

    def close(self) -> None:
        self._loop.run(self.company.aclose())
        self._loop.close()
        self._patch.undo()
        self.folder.cleanup()

    @property
    def ladders(self) -> Ladders:
        return self.company.ledger.ladders

    def all(self) -> list[Ladder]:
        return self.ladders.find(LadderFilter(), 1_000)

    # What it does

    def look(self) -> None:
        """The sweep, and the drain as often as anything is due; then nothing is."""
        self._alive(self._sweep)
        for _ in range(3):
            if not self.ladders.due().count:
                break
            self._alive(self._take)
        self._nothing_is_left()

    def live(self, span: timedelta) -> None:
        """Looks every five minutes; looks at which nothing can be due are left out."""
        until = self.clock.now() + span
        self.look()
        while (following := self._next_look()) < until:
            self.clock.at = following
            oldest = self.ladders.due().oldest
            assert oldest is None or following - oldest <= SWEEP, f"due since {oldest}, now {following}"
            self.look()
        self.clock.at = max(until, self.clock.at)
        self.look()

    def come_to_rest(self) -> None:
        """All is well again, and nobody pays: each ladder takes all its steps. Then all pay, and each ends."""
        self.judges.errors.clear()
        self.judges.meanwhile, self.judges.kill = None, False
        self.books.down = False
        self.books.on_hold.clear()
        self.company.dunning = self.company.dunning or default_policy()
        for bill in self.books.bills.values():
            bill.under_way = False
            self.ladders.resume(invoice_id=bill.id, by="Ben")
            self.ladders.resume(customer_id=bill.customer, by="Ben")
        self.look()
        for _ in range(MOST_LOOKS):
            if all(one.status is not LadderStatus.WAITING for one in self.all()):
                break
            self.clock.at = self._next_look()
            self.look()
        standing = {one.invoice_id: one.status for one in self.all()}
        assert set(standing.values()) <= {LadderStatus.RESTING, LadderStatus.ENDED}, standing
        for bill in self.books.open():
            bill.status, bill.owed = "paid", 0
            self.hear("invoice.paid", bill)
        self.look()
        assert {one.status for one in self.all()} <= {LadderStatus.ENDED}

    def hear(self, kind: str, bill: Bill) -> None:
        """Stripe's event, as the drain applies it."""
        if self.books.over(bill):
            self.told_over.add(bill.id)
        now = self.clock.now()
        claim = ClaimedEvent(
            seq=self.books.told,
            event=self.books.event(kind, bill),
            source=EventSource.WEBHOOK,
            received_at=now,
            attempts=1,
            replays=0,
            token="",
            lease_until=now,
        )
        work = note_ladders(self.company, Batch(claims=[claim], run_id="run-1", now=now))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._loop.run(work)
            return
        work.close()  # within a run: as another process would write it
        self.ladders.wake(invoice_ids=[bill.id])

    def _alive(self, work: Callable[[], Any]) -> None:
        """When it is killed its lease runs out, and the next one comes."""
        try:
            self._loop.run(work())
        except KilledError:
            self.judges.killed = False
            self.clock.at += timedelta(seconds=LEASE_SECONDS) + MOMENT
            self._loop.run(work())
        assert self.judges.faults == []

    async def _sweep(self) -> None:
        with suppress(Unavailable):
            await open_missing.fn(self.company)
            await wake_peoples_word(self.company)
        await self._take()

    async def _take(self) -> None:
        async def due() -> list[ClaimedLadder]:
            return await claim_due(self.company)

        if await is_any_due(self.company):
            summary = await take_all(self.company, Handed(await due(), due), "run-1")
            unforeseen = [one for one in summary.failures if one.code == "ladder_unforeseen"]
            assert unforeseen == []

    async def _release(self, company: Company, claims: Sequence[ClaimedLadder]) -> None:
        """A process that was killed gives nothing back."""
        if not self.judges.killed:
            company.ledger.ladders.release(claims)

    def _next_look(self) -> datetime:
        """The first of the sweep's times at which something is due."""
        now = self.clock.now()
        times = [one.due_at for one in self.all() if one.due_at is not None]
        times += [bill.due_at for bill in self.books.bills.values() if bill.due_at and bill.due_at > now]
        sweeps = max((min(times, default=now + timedelta(days=99)) - now) // SWEEP, 0)
        return now + (sweeps + 1) * SWEEP

    # What must hold

    def _nothing_is_left(self) -> None:
        """Nothing is due, what is known to be over has ended, and each unpaid invoice has a ladder."""
        assert self.ladders.due().count == 0, self.all()
        if self.books.down:
            return
        for ladder in self.all():
            bill = self.books.bills[ladder.invoice_id]
            if (bill.id in self.told_over or bill.written_off) and not ladder.failures:
                assert ladder.ended_at is not None, f"it is over, and not ended: {bill}"
            if ladder.customer_id in self.books.on_hold and not ladder.failures:
                assert ladder.status in {LadderStatus.HELD, LadderStatus.RESTING, LadderStatus.ENDED}, ladder
        if self.company.dunning is None:
            return
        have = {one.invoice_id for one in self.all()}
        missing = [
            bill for bill in self.books.bills.values() if self.books.unpaid(bill) and bill.id not in have
        ]
        assert missing == []

    def each_stands_as_its_invoice_does(self) -> None:
        """An end is for good, and only where nothing is owed."""
        for ladder in self.all():
            bill = self.books.bills[ladder.invoice_id]
            assert (ladder.due_at is None) == (ladder.status is LadderStatus.ENDED), ladder
            if ladder.status is LadderStatus.ENDED:
                assert self.books.over(bill), f"ended while it is owed: {bill}"
                assert ladder.state.ended is self.judges.cleared[ladder.invoice_id]
                told = replace(ladder, hold=None)  # people may hold what is over
                assert self._ended.setdefault(ladder.invoice_id, told) == told, "moved after its end"


async def _no_alarms(company: Company, limit: int = 0) -> int:
    del company
    return 0
