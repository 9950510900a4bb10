"""Ladders against a model: whatever workers, deaths, clocks and people do, each ladder stands where it ought to."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderFilter, StepOutcome
from tests.ledger.ladder_model import CUSTOMERS, LEASE, STEPS, Model, Modelled
from tests.ledger.ladder_support import VERSION, asleep, new
from tests.ledger.quick import quick_ledger
from tests.ledger.support import MovableClock

INVOICES = st.sampled_from(sorted(CUSTOMERS))
SUBJECTS = st.sampled_from(sorted({*CUSTOMERS, *CUSTOMERS.values()}))
SPANS = st.sampled_from([timedelta(0), timedelta(seconds=40), timedelta(hours=1)])
MAYBE = st.none() | SPANS
DATA = st.data()


class LadderMachine(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = MovableClock()
        self.ledger = quick_ledger(self.template, self.folder.name, self.clock)
        self.ledger.ladders.keep_policy(VERSION, {}, "default")
        self.model = Model()
        self.claims: list[ClaimedLadder] = []
        self.runs = 0

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def pool(self, data: st.DataObject) -> st.SearchStrategy[ClaimedLadder]:
        """Claims that are not lost, and now and then those of any time."""
        mine = [claim for claim in self.claims if self.model.still(claim)]
        return st.sampled_from(self.claims if data.draw(st.integers(0, 4)) == 4 else mine or self.claims)

    def one(self, data: st.DataObject) -> ClaimedLadder:
        return data.draw(self.pool(data))

    def some(self, data: st.DataObject) -> list[ClaimedLadder]:
        return data.draw(st.lists(self.pool(data), min_size=1, max_size=3, unique_by=_invoice))

    @initialize(invoice_ids=st.sets(INVOICES, min_size=1))
    def begin_with(self, invoice_ids: set[str]) -> None:
        for invoice_id in invoice_ids:
            self.open(invoice_id, timedelta(0))

    @rule(invoice_id=INVOICES, later=SPANS)
    def open(self, invoice_id: str, later: timedelta) -> None:
        due = self.clock.now() + later
        opened = self.ledger.ladders.open([new(invoice_id, CUSTOMERS[invoice_id], due)])
        assert opened == {invoice_id} - set(self.model.ladders)
        if opened:
            self.model.ladders[invoice_id] = Modelled(CUSTOMERS[invoice_id], due)

    @rule(subject=SUBJECTS, later=MAYBE)
    def wake(self, subject: str, later: timedelta | None) -> None:
        at = None if later is None else self.clock.now() + later
        invoices, customers = ([], [subject]) if subject in CUSTOMERS.values() else ([subject], [])
        woken = self.ledger.ladders.wake(invoices, customers, at)
        assert woken == self.model.wake(subject, at or self.clock.now())

    @rule(customers=st.integers(1, 2), early=SPANS, named=st.none() | INVOICES)
    def claim(self, customers: int, early: timedelta, named: str | None) -> None:
        now, before = self.clock.now(), self.clock.now() + early
        asked = self.model.asked(before, named)
        free = {one.customer for one in asked.values()} - self.model.held(now)
        names = None if named is None else [named]
        claims = self.ledger.ladders.claim("worker", customers=customers, before=before, invoice_ids=names)
        taken = {claim.ladder.customer_id for claim in claims}
        assert taken <= free
        assert len(taken) == min(customers, len(free))
        first = {who: min(one.due or now for one in asked.values() if one.customer == who) for who in free}
        assert named or all(first[one] <= first[other] for one in taken for other in free - taken)
        assert {claim.ladder.invoice_id for claim in claims} == {
            invoice_id
            for invoice_id, one in self.model.ladders.items()
            if one.customer in taken and not one.ended
        }
        for claim in claims:
            assert claim.due == (claim.ladder.invoice_id in asked)
            self.model.take(claim, now)
        self.claims += claims

    @precondition(lambda self: self.claims)
    @rule(data=DATA)
    def begin(self, data: st.DataObject) -> None:
        claim = self.one(data)
        one = self.model.of(claim)
        if not self.model.still(claim):
            with pytest.raises(ClaimLost):
                self.ledger.ladders.begin_step(claim, one.undecided, "run")
        elif key := one.undecided:
            self.ledger.ladders.begin_step(claim, key, "run")
            one.decide(StepState.BEGUN)

    @precondition(lambda self: self.claims)
    @rule(data=DATA, contact=st.booleans())
    def finish(self, data: st.DataObject, contact: bool) -> None:
        claim = self.one(data)
        one = self.model.of(claim)
        state = StepState.DONE if one.begun else StepState.PASSED
        contacted = self.clock.now() if contact and one.begun else None
        outcome = StepOutcome(claim=claim, key=one.undecided, state=state, contacted_at=contacted)
        if not self.model.still(claim):
            assert set(self.ledger.ladders.finish_steps([outcome])) == {_invoice(claim)}
        elif one.undecided:
            assert self.ledger.ladders.finish_steps([outcome]) == {}
            one.decide(state)
            one.contacted = contacted or one.contacted

    @precondition(lambda self: self.claims)
    @rule(data=DATA, wrong=st.sampled_from(STEPS))
    def take_a_wrong_step(self, data: st.DataObject, wrong: str) -> None:
        """One that was decided, or beside one that is begun."""
        claim = self.one(data)
        one = self.model.of(claim)
        decided = wrong in {key for key, state in one.steps if state is not StepState.BEGUN}
        if self.model.still(claim) and (decided or (one.begun and wrong != one.undecided)):
            with pytest.raises(ValueError, match=wrong):
                self.ledger.ladders.begin_step(claim, wrong, "run")

    @precondition(lambda self: self.claims)
    @rule(data=DATA, later=MAYBE)
    def settle(self, data: st.DataObject, later: timedelta | None) -> None:
        batch = self.some(data)
        due = None if later is None else self.clock.now() + later
        lost = self.ledger.ladders.settle(
            [asleep(claim, due, self.model.of(claim).undecided) for claim in batch]
        )
        assert set(lost) == {_invoice(claim) for claim in batch if not self.model.still(claim)}
        for claim in filter(self.model.still, batch):
            self.model.of(claim).settle(claim, due)
        self.model.free(batch)

    @precondition(lambda self: self.claims)
    @rule(data=DATA)
    def end(self, data: st.DataObject) -> None:
        claim = self.one(data)
        lost = self.ledger.ladders.end([(claim, EndReason.PAID)])
        assert (not lost) == self.model.still(claim)
        if not lost:
            self.model.of(claim).end()
        self.model.free([claim])

    @precondition(lambda self: self.claims)
    @rule(data=DATA)
    def release(self, data: st.DataObject) -> None:
        batch = self.some(data)
        self.ledger.ladders.release(batch)
        self.model.free(batch)

    @precondition(lambda self: self.claims)
    @rule(data=DATA)
    def renew(self, data: st.DataObject) -> None:
        batch = self.some(data)
        assert self.ledger.ladders.renew(batch) == sum(map(self.model.still, batch))
        for claim in filter(self.model.still, batch):
            self.model.leases[self.model.of(claim).customer] = (claim.token, self.clock.now() + LEASE)

    @rule(subject=SUBJECTS, span=MAYBE)
    def hold(self, subject: str, span: timedelta | None) -> None:
        until = None if span is None else self.clock.now() + span
        held = self.ledger.ladders.hold(**_named(subject), until=until, reason="", by="Ada")
        assert held == self.model.wake(subject, self.clock.now())
        self.model.holds[subject] = until

    @rule(subject=SUBJECTS)
    def resume(self, subject: str) -> None:
        held = subject in self.model.in_force(self.clock.now())
        assert self.ledger.ladders.resume(**_named(subject), by="Ben") == held
        if held:
            self.model.wake(subject, self.clock.now())
            del self.model.holds[subject]

    @rule()
    def arm(self) -> None:
        wanted = self.ledger.ladders.alarms_wanted(10)
        assert {one.invoice_id: one.generation for one in wanted} == self.model.unarmed(self.clock.now())
        for alarm in wanted[:1]:
            self.runs += 1
            assert self.ledger.ladders.alarm_set(alarm.invoice_id, alarm.generation, f"run-{self.runs}")
            self.model.ladders[alarm.invoice_id].alarm = (alarm.generation, f"run-{self.runs}")

    @rule(seconds=st.sampled_from([5, 60, 120, 3600, 5 * 86_400, -3600]))
    def jump(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @invariant()
    def every_ladder_stands_where_it_ought_to(self) -> None:
        found = {one.invoice_id: one for one in self.ledger.ladders.find(LadderFilter())}
        ladders = self.model.ladders
        assert set(found) == set(ladders)
        for ladder in found.values():
            self.model.stands(ladder, self.clock.now())
            assert [step.key for step in ladder.steps] == list(STEPS[: len(ladder.steps)])
        assert sum(self.ledger.ladders.counts().values()) == sum(not one.ended for one in ladders.values())

    @invariant()
    def what_is_due_and_what_is_armed_is_told(self) -> None:
        now, ladders = self.clock.now(), self.model.ladders
        held = self.model.held(now)
        due = [one.due for one in self.model.asked(now, None).values() if one.customer not in held]
        told = self.ledger.ladders.due()
        assert (told.count, told.oldest) == (len(due), min(filter(None, due), default=None))
        armed = {
            one.alarm[1]: invoice_id
            for invoice_id, one in ladders.items()
            if one.due is not None and one.alarm[0] == one.generation
        }
        assert self.ledger.ladders.alarmed([f"run-{number + 1}" for number in range(self.runs)]) == armed

    @invariant()
    def a_customer_has_one_claimant(self) -> None:
        holders = {(one.customer, one.token) for one in self.model.ladders.values() if one.token}
        assert len(holders) == len({customer for customer, _ in holders})


def _invoice(claim: ClaimedLadder) -> str:
    return claim.ladder.invoice_id


def _named(subject: str) -> dict[str, Any]:
    return {"customer_id" if subject.startswith("cus_") else "invoice_id": subject}


def test_whatever_happens_each_ladder_stands_where_it_ought_to(sqlite_ledger: Path) -> None:
    LadderMachine.template = sqlite_ledger
    run_state_machine_as_test(
        LadderMachine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
