"""Whatever runs, kills, zombies and edits do: one deal, at most one finalized invoice, stale tokens dead.

A small world stands in for Stripe: drafts by obligation key, finalized by obligation key. A run follows the
rules that `Claim` and `Operations` document; it may die between any two steps, and a call that it has sent
may arrive at any later time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, RuleRefused
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.intents import Operation, OperationState
from tests.ledger.quick import quick_ledger
from tests.ledger.support import OPPORTUNITY, MovableClock, claim_deal

RUNS = st.sampled_from(["run-1", "run-2", "run-3"])
PLANS = st.sampled_from(["plan-a", "plan-b"])
DIES = st.integers(min_value=0, max_value=12)  # after so many steps; most runs live


class RunDied(Exception):  # noqa: N818  # not an error: a kill
    """The run was killed."""


class OneDeal(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = MovableClock()
        self.ledger = quick_ledger(self.template, self.folder.name, self.clock)
        self.claims: list[Claim] = []
        self.holder: tuple[str, str] | None = None  # token and run that hold the deal now
        self.fence: dict[str, int] = {}
        self.drafts: set[str] = set()
        self.finalized: set[str] = set()
        self.in_flight: list[str] = []  # finalize calls that were sent and have not arrived

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(run=RUNS, plan=PLANS, dies=DIES)
    def bill(self, run: str, plan: str, dies: int) -> None:
        """A run bills the deal as its plan says, and may be killed."""
        self.steps_left = dies if dies < 8 else 1000
        elsewhere = self.held_by_another(run)
        try:
            claim = claim_deal(self.ledger, run, plan)
        except ClaimedElsewhere:
            assert elsewhere
            return
        assert not elsewhere
        assert claim.fence == self.fence.get(claim.key, 0) + 1
        self.fence[claim.key] = claim.fence
        self.claims.append(claim)
        self.holder = (claim.token, run)
        try:
            self.follow(claim)
        except RunDied:
            return
        self.ledger.obligations.release(claim)
        self.holder = None

    def held_by_another(self, run: str) -> bool:
        row = self.ledger.obligations.latest(OPPORTUNITY)
        if row is None or self.holder is None or row.claim_expires_at is None:
            return False
        return self.holder[1] != run and row.claim_expires_at > self.clock.now()

    def follow(self, claim: Claim) -> None:
        if claim.already_finalized:
            assert claim.key in self.finalized
            return
        if claim.undecided:
            self.decide(claim)
            return
        for stray in claim.strays:
            self.delete_draft(stray.key)
            self.ledger.obligations.discarded(claim, stray)
            self.step()
        draft = self.ledger.operations.begin(claim, "draft", {})
        self.step()
        if draft.state is not OperationState.DONE:
            self.drafts.add(claim.key)
            self.step()
            self.ledger.operations.succeed(claim, "draft", {"invoice_id": f"in_{claim.generation}"})
        elif claim.key not in self.drafts | self.finalized:
            self.ledger.obligations.start_over(claim)
            return
        self.finalize(claim)

    def finalize(self, claim: Claim) -> None:
        operation = self.ledger.operations.begin(claim, "finalize", {}, point_of_no_return=True)
        self.step()
        if operation.state is OperationState.REFUSED:
            self.ledger.obligations.start_over(claim)
            return
        if operation.state is not OperationState.DONE:
            self.send_finalize(claim, operation)
            self.ledger.operations.succeed(claim, "finalize", {})
            self.step()
        self.ledger.obligations.finalized(claim, invoice_id=f"in_{claim.generation}", url="")
        self.step()
        self.ledger.obligations.closed(claim)
        assert self.drafts <= {claim.key}, "a draft was left behind"

    def send_finalize(self, claim: Claim, operation: Operation) -> None:
        if operation.state is OperationState.UNKNOWN and claim.key in self.finalized:
            return
        self.in_flight.append(claim.key)
        self.step()
        self.arrive(claim.key)
        self.step()

    def decide(self, claim: Claim) -> None:
        """The plan changed, and an earlier run may have finalized: look it up."""
        self.step()
        if claim.key in self.finalized:
            self.ledger.obligations.finalized(claim, invoice_id=f"in_{claim.generation}", url="")
        else:
            self.delete_draft(claim.key)
            self.step()
            self.ledger.operations.refuse(claim, "finalize", RuleRefused("still a draft"))

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise RunDied

    def delete_draft(self, key: str) -> None:
        assert key not in self.finalized
        self.drafts.discard(key)

    def arrive(self, key: str) -> None:
        """Stripe finalizes a draft that is there; of one that was deleted nothing comes."""
        if key in self.drafts:
            self.finalized.add(key)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_late_call_arrives(self, data: st.DataObject) -> None:
        self.arrive(self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1))))

    @rule(seconds=st.sampled_from([1, 60, 121, 24 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def a_zombie_writes(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        if self.holder is not None and claim.token == self.holder[0]:
            self.ledger.obligations.renew(claim)
            return
        for write in (
            lambda: self.ledger.obligations.renew(claim),
            lambda: self.ledger.operations.begin(claim, "finalize", {}, point_of_no_return=True),
            lambda: self.ledger.operations.succeed(claim, "draft", {}),
        ):
            with pytest.raises(ClaimLost):
                write()

    @invariant()
    def one_invoice_at_most(self) -> None:
        assert len(self.finalized) <= 1

    @invariant()
    def what_is_recorded_as_finalized_is(self) -> None:
        latest = self.ledger.obligations.latest(OPPORTUNITY)
        if latest is not None and latest.state in {"finalized", "closed"}:
            assert self.finalized == {latest.key}


def test_one_deal_has_one_invoice(sqlite_ledger: Path) -> None:
    OneDeal.template = sqlite_ledger
    run_state_machine_as_test(
        OneDeal,
        settings=settings(
            max_examples=80,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
