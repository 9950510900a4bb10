"""Ladders in a ledger that commands are asked about; its clock is moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import Result

from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStatus, NewLadder, Settled, Subject
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask
from tests.ledger.support import ACCOUNT, START, MovableClock

Command = Callable[..., Result]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
POLICY = default_policy()
ACME = Subject(
    account_name="Acme Ltd",
    account_id=ACCOUNT,
    invoice_number="ACME-0001",
    amount_remaining=Money(120_000, "usd"),
    next_payment_attempt=START + 3 * DAY,
)


def clock_of_commands(monkeypatch: pytest.MonkeyPatch) -> MovableClock:
    """The clock that commands ask, to be moved."""
    movable = MovableClock()
    commands_ask(monkeypatch, movable)
    return movable


@contextmanager
def ledger_at(clock: MovableClock) -> Iterator[Ledger]:
    """The ledger of this process's settings; it knows the default policy."""
    from order_to_cash.cli.wiring import open_ledger

    with open_ledger(load_settings(), clock) as opened:
        opened.ladders.keep_policy(POLICY.version, POLICY.model_dump(mode="json"), POLICY.name)
        yield opened


def begin(ledger: Ledger, invoice: str, customer: str = "cus_acme", **other: Any) -> ClaimedLadder:
    """A ladder that began and is claimed, to be settled."""
    given = {
        "invoice_id": invoice,
        "customer_id": customer,
        "collection_method": CollectionMethod.CHARGE_AUTOMATICALLY,
        "policy_version": POLICY.version,
        "due_at": START,
        "first_failed_at": START,
    }
    assert ledger.ladders.open([NewLadder(**{**given, **other})]) == {invoice}
    return claim(ledger, invoice)


def claim(ledger: Ledger, invoice: str) -> ClaimedLadder:
    claims = ledger.ladders.claim("test", customers=1, invoice_ids={invoice})
    ledger.ladders.release([one for one in claims if one.ladder.invoice_id != invoice])
    return next(one for one in claims if one.ladder.invoice_id == invoice)


def settle(ledger: Ledger, claimed: ClaimedLadder, **other: Any) -> None:
    given = {
        "claim": claimed,
        "status": LadderStatus.WAITING,
        "next_step": "customer-mail",
        "due_at": START + DAY,
        "subject": ACME,
    }
    assert ledger.ladders.settle([Settled(**{**given, **other})]) == {}


def asleep(ledger: Ledger, invoice: str, customer: str = "cus_acme", **other: Any) -> None:
    """A ladder whose first step was taken, and that sleeps."""
    claimed = begin(ledger, invoice, customer)
    take(ledger, claimed, "first-failure")
    settle(ledger, claimed, **other)


def take(ledger: Ledger, claimed: ClaimedLadder, key: str, contacted_at: datetime | None = None) -> None:
    ledger.ladders.begin_step(claimed, key, "run-1")
    ledger.ladders.finish_step(claimed, key, state=StepState.DONE, contacted_at=contacted_at)


def with_three(ledger: Ledger) -> Ledger:
    """One sleeps, one of the same customer failed, one of another rests."""
    asleep(ledger, "in_1")
    asleep(
        ledger,
        "in_2",
        due_at=START + HOUR,
        failures=2,
        code="salesforce_down",
        reason="Salesforce did not answer.",
    )
    other = replace(ACME, account_name="Zeta GmbH", account_id="", invoice_number="", amount_remaining=None)
    asleep(
        ledger,
        "in_3",
        "cus_zeta",
        status=LadderStatus.RESTING,
        next_step="",
        due_at=START + 2 * DAY,
        subject=other,
    )
    return ledger


def listed(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [line.split()[2] for line in done.stdout.splitlines() if line.startswith("2026")]


def plain(output: str) -> str:
    return " ".join(output.replace("│", " ").split())
