"""What several processes do with the same ladders at the same moment; see `racing.Racers`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderFilter, StepOutcome
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.ladder_support import DAY, VERSION, asleep, new
from tests.ledger.racing import NOW, opened

STEPS = ("task", "mail", "call")


@dataclass(frozen=True)
class Held:
    """A ladder was this process's from `since` to `until`, by the monotonic clock, one for all of a machine."""

    customer_id: str
    invoice_id: str
    took: str  # the step
    since: float
    until: float


def climb(run: str, url: str, ladders: int) -> list[Held]:
    """Open the same ladders as the others, take a step of each at a time, wake and hold them, until all have ended."""
    held: list[Held] = []
    with opened(url) as ledger:
        numbers = list(range(ladders) if run == "run-0" else reversed(range(ladders)))
        ledger.ladders.keep_policy(VERSION, {}, "default")
        ledger.ladders.open([new(f"in_{number:03}", f"cus_{number % 7}", NOW) for number in numbers])
        while sum(ledger.ladders.counts().values()):
            claims = ledger.ladders.claim(run, customers=2, before=NOW + DAY)
            since = time.monotonic()
            disturb(ledger, numbers)
            assert ledger.ladders.renew(claims) == len(claims)
            taken = take_a_step(ledger, claims, run)
            until = time.monotonic()
            held += [
                Held(
                    claim.ladder.customer_id,
                    claim.ladder.invoice_id,
                    taken[claim.ladder.invoice_id],
                    since,
                    until,
                )
                for claim in claims
            ]
            let_go(ledger, claims)
    return held


def disturb(ledger: Ledger, numbers: list[int]) -> None:
    """Write the same rows as the others, each process in an order of its own."""
    ledger.ladders.wake([f"in_{number:03}" for number in numbers[:9]], [f"cus_{numbers[-1] % 7}"])
    ledger.ladders.hold(customer_id=f"cus_{numbers[0] % 7}", until=NOW + DAY, reason="", by="Ada")
    ledger.ladders.alarms_set([(f"in_{number:03}", 1, f"run-{number}") for number in numbers])
    ledger.ladders.find(LadderFilter(), 5)


def take_a_step(ledger: Ledger, claims: list[ClaimedLadder], run: str) -> dict[str, str]:
    steps = {claim.ladder.invoice_id: STEPS[len(claim.ladder.steps)] for claim in claims}
    key_of = [(claim, steps[claim.ladder.invoice_id]) for claim in reversed(claims)]
    assert ledger.ladders.begin_steps(key_of, run) == {}
    outcomes = [StepOutcome(claim=claim, key=key, state=StepState.DONE) for claim, key in key_of]
    assert ledger.ladders.finish_steps(outcomes) == {}
    return steps


def let_go(ledger: Ledger, claims: list[ClaimedLadder]) -> None:
    last = [claim for claim in claims if len(claim.ladder.steps) == len(STEPS) - 1]
    assert ledger.ladders.end([(claim, EndReason.PAID) for claim in last]) == {}
    rest = [claim for claim in claims if claim not in last]
    assert ledger.ladders.settle([asleep(claim, NOW + DAY) for claim in rest[1:]]) == {}
    ledger.ladders.release(rest[:1])
