"""Real processes that do the same thing at the same moment."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource
from order_to_cash.ledger.intents import OperationState
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.quarantine import Held
from tests.ledger.events import event

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def opportunity(number: int) -> str:
    return f"00600000000{number:04}AAA"


def opened(url: str) -> Ledger:
    return Ledger.open(url, clock=FixedClock(NOW), environment=Environment.EMULATOR)


def migrate(run: str, url: str) -> str:
    with opened(url) as ledger:
        ledger.migrate()
        ledger.bind(Environment.EMULATOR, "acct_1", "00D000000000001AAA")
    return run


def take(ledger: Ledger, run: str, number: int) -> Claim:
    return ledger.obligations.claim(
        opportunity_id=opportunity(number),
        account_id="001000000000001AAA",
        plan_digest="plan-a",
        amount=Money(100, "eur"),
        run_id=run,
    )


def claim_each(run: str, url: str, deals: int) -> list[str]:
    """Claim every deal and keep the claims; the deals that this process won."""
    won = []
    with opened(url) as ledger:
        for number in range(deals):
            try:
                won.append(take(ledger, run, number).key)
            except ClaimedElsewhere as error:
                if error.ids["held_by"] == run:
                    raise AssertionError("held by this very run") from error
    return won


def work(run: str, url: str, deals: int) -> list[str]:
    """Work on all deals until they are closed, with everything a run writes; the steps that were fresh."""
    fresh: list[str] = []
    with opened(url) as ledger:
        left = set(range(deals))
        while left:
            for number in sorted(left):
                try:
                    if finish_one(ledger, take(ledger, run, number), fresh):
                        left.discard(number)
                except (ClaimedElsewhere, ClaimLost):
                    continue
            hold(ledger, run, deals)
    return fresh


def drain(run: str, url: str, events: int) -> list[tuple[str, str, float, float]]:
    """Store the same events as the others, then claim and finish until none is left.

    For each event: its id, its partition, and from when to when this process held it. The monotonic clock is one
    for all processes of a machine.
    """
    held: list[tuple[str, str, float, float]] = []
    with opened(url) as ledger:
        numbers = (
            range(events) if run == "run-0" else reversed(range(events))
        )  # who shares them must not deadlock
        ledger.inbox.store([event(number, f"cus_{number % 9}") for number in numbers], EventSource.LIST)
        while any(ledger.inbox.counts().values()):
            claims = ledger.inbox.claim(run, 7)
            since = time.monotonic()
            outcomes = [EventOutcome.done(claimed) for claimed in claims]
            until = time.monotonic()
            held += [(one.event.event_id, one.event.partition, since, until) for one in claims]
            assert ledger.inbox.finish(outcomes) == len(claims)
    return held


def finish_one(ledger: Ledger, claim: Claim, fresh: list[str]) -> bool:
    for step in ("draft", "finalize"):
        audit_id = ledger.audit.begin(CallIntent("stripe", "POST", "/v1/invoices", actor=claim.run_id))
        operation = ledger.operations.begin(claim, step, {})
        if operation.state is OperationState.FRESH:
            fresh.append(operation.key)
        ledger.operations.succeed(claim, step, {"invoice_id": f"in_{claim.opportunity_id}"})
        ledger.audit.finish(audit_id, CallOutcome(200))
    ledger.obligations.finalized(claim, invoice_id=f"in_{claim.opportunity_id}", url="")
    ledger.obligations.closed(claim)
    return True


def hold(ledger: Ledger, run: str, deals: int) -> None:
    """Write the same rows as the others, each process in an order of its own."""
    numbers = range(deals) if run == "run-0" else reversed(range(deals))
    reasons = [Held("Opportunity", opportunity(n), "code", "", "", "", "", run) for n in numbers]
    ledger.quarantine.put_many(reasons)
    ledger.links.put_many([("invoice", f"in_{n}", "Opportunity", opportunity(n)) for n in numbers])
    ledger.audit.seal()


def _serve(pipe: Any, barrier: Any) -> None:
    while True:
        function, arguments = pipe.recv()
        if function is None:
            return
        barrier.wait(60)
        try:
            pipe.send((function(*arguments), None))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            pipe.send((None, f"{type(error).__name__}: {error}"))


class Racers:
    """Processes that wait for something to do together; spawned, so that they inherit nothing."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(count)  # kept: it vanishes with its last reference here
        self._pipes = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._barrier), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, function: Callable[..., Any], *arguments: object) -> Sequence[Any]:
        """What each returned from ``function("run-<n>", *arguments)``."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((function, (f"run-{number}", *arguments)))
        answers = [pipe.recv() for pipe in self._pipes]
        failed = [error for _, error in answers if error]
        assert not failed, failed
        return [result for result, _ in answers]

    def stop(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send((None, ()))
            process.join(10)
            pipe.close()
