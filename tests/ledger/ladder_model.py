"""What ought to be true of ladders, for the machine of `test_ladders_model`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.ledger.ladder_records import ClaimedLadder, Ladder

STEPS = ("z_first", "mail", "call", "a_last")
CUSTOMERS = {f"in_{number}": f"cus_{number % 2}" for number in range(4)}
LEASE = timedelta(seconds=120)


@dataclass
class Modelled:
    """One ladder."""

    customer: str
    due: datetime | None
    next_step: str = ""
    generation: int = 1
    token: str = ""
    ended: bool = False
    steps: list[tuple[str, StepState]] = field(default_factory=list)
    contacted: datetime | None = None
    alarm: tuple[int, str] = (0, "")

    @property
    def undecided(self) -> str:
        """The step that comes: the one that was begun, or the first that was not."""
        if self.begun:
            return self.steps[-1][0]
        return STEPS[len(self.steps)] if len(self.steps) < len(STEPS) else ""

    @property
    def begun(self) -> bool:
        return bool(self.steps) and self.steps[-1][1] is StepState.BEGUN

    def decide(self, state: StepState) -> None:
        key = self.undecided
        self.steps = [*(self.steps[:-1] if self.begun else self.steps), (key, state)]

    def settle(self, claim: ClaimedLadder, due: datetime | None) -> None:
        woken = self.generation != claim.ladder.generation
        times = [at for at in (due, self.due if woken else None) if at is not None]
        moved = (min(times, default=None), self.undecided) != (self.due, self.next_step)
        self.due, self.next_step = min(times, default=None), self.undecided
        self.generation += moved

    def end(self) -> None:
        self.ended, self.due, self.next_step, self.generation = True, None, "", self.generation + 1


@dataclass
class Model:
    """All of them. `leases`: customer → token and end; `holds`: invoice or customer → end."""

    ladders: dict[str, Modelled] = field(default_factory=dict)
    leases: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    holds: dict[str, datetime | None] = field(default_factory=dict)

    def of(self, claim: ClaimedLadder) -> Modelled:
        return self.ladders[claim.ladder.invoice_id]

    def still(self, claim: ClaimedLadder) -> bool:
        """Whether the claim is not lost."""
        return self.of(claim).token == claim.token

    def held(self, now: datetime) -> set[str]:
        return {customer for customer, (_, until) in self.leases.items() if until > now}

    def in_force(self, now: datetime) -> dict[str, datetime | None]:
        return {subject: until for subject, until in self.holds.items() if until is None or until > now}

    def asked(self, before: datetime, named: str | None) -> dict[str, Modelled]:
        """The ladders that a claim is about."""
        return {
            invoice_id: one
            for invoice_id, one in self.ladders.items()
            if not one.ended
            and ((one.due is not None and one.due <= before) if named is None else invoice_id == named)
        }

    def wake(self, subject: str, at: datetime) -> int:
        about = [
            one
            for invoice_id, one in self.ladders.items()
            if subject in {invoice_id, one.customer} and not one.ended
        ]
        for one in about:
            one.due = at if one.due is None else min(one.due, at)
            one.generation += 1
        return len(about)

    def take(self, claim: ClaimedLadder, now: datetime) -> None:
        one = self.of(claim)
        self.stands(claim.ladder, now)
        contacts = [other.contacted for other in self.ladders.values() if other.customer == one.customer]
        assert claim.last_contact_at == max(filter(None, contacts), default=None)
        one.token = claim.token
        self.leases[one.customer] = (claim.token, now + LEASE)

    def free(self, batch: list[ClaimedLadder]) -> None:
        for claim in filter(self.still, batch):
            self.of(claim).token = ""
        for customer, (token, _) in list(self.leases.items()):
            if token not in {one.token for one in self.ladders.values() if one.customer == customer}:
                del self.leases[customer]

    def unarmed(self, now: datetime) -> dict[str, int]:
        return {
            invoice_id: one.generation
            for invoice_id, one in self.ladders.items()
            if one.due is not None
            and one.due > now
            and one.alarm[0] != one.generation
            and one.customer not in self.held(now)
        }

    def stands(self, ladder: Ladder, now: datetime) -> None:
        one = self.ladders[ladder.invoice_id]
        assert [(step.key, step.state) for step in ladder.steps] == one.steps
        assert (ladder.due_at, ladder.next_step, ladder.generation) == (
            one.due,
            one.next_step,
            one.generation,
        )
        assert (ladder.state.ended is not None) == (ladder.ended_at is not None) == one.ended
        held = self.in_force(now)
        ends = [held[subject] for subject in (ladder.invoice_id, one.customer) if subject in held]
        assert (ladder.hold is not None) == bool(ends)
        if ladder.hold is not None:
            assert ladder.hold.until == (None if None in ends else max(filter(None, ends)))
