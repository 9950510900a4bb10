"""Payments, people, policies, clocks and dying workers against ladders: whatever races, what must hold holds.

Events, sweep, claims, rounds and decisions are the real ones, on a real ledger; what they read is made up, and whoever
takes a step judges it first. No effect after closing; steps strictly increase; every open unpaid invoice in scope has a
ladder; while a worker lives, no ladder is overdue by more than the sweep's interval.
"""

from __future__ import annotations

from collections.abc import Callable
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
    rule,
    run_state_machine_as_test,
)

from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import O2CError, RecordRejected, Unavailable
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from tests.domain.dunning.ladders import policies
from tests.flows.races_worker import Worker
from tests.flows.races_world import Bill
from tests.ledger.support import MovableClock

CUSTOMERS = ("cus_A", "cus_B", "cus_C")
SOME = st.integers(0, 30)
HEARD = st.sampled_from([True, True, False])
# How an invoice is no more to be chased, or changes, and the event that tells of it; nobody tells what a person does.
ENDS = {
    "paid": "invoice.paid",
    "void": "invoice.voided",
    "uncollectible": "invoice.marked_uncollectible",
    "gone": "invoice.deleted",
    "canceled": "customer.subscription.deleted",
    "deleted": "customer.deleted",
    "written off": "",
}
CHANGES = {
    "paid in part": "invoice.updated",
    "credited": "credit_note.created",
    "fails again": "invoice.payment_failed",
    "retry moves": "invoice.updated",
    "pays by debit": "payment_intent.processing",
    "another card": "payment_method.attached",
}
SPANS = st.sampled_from([timedelta(minutes=1), timedelta(hours=1), timedelta(hours=9), timedelta(hours=25)])


class Races(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.worker = Worker(self.template)
        self.clock, self.books, self.judges = self.worker.clock, self.worker.books, self.worker.judges

    def teardown(self) -> None:
        try:
            self.worker.come_to_rest()
        finally:
            self.worker.close()

    @invariant()
    def each_stands_as_its_invoice_does(self) -> None:
        self.worker.each_stands_as_its_invoice_does()

    # What happens in Stripe

    @initialize()
    def begin(self) -> None:
        self.fail(0, False, True)
        self.look()

    @rule(who=SOME, subscribed=st.booleans(), heard=HEARD)
    def fail(self, who: int, subscribed: bool, heard: bool) -> None:
        """A new invoice could not be charged."""
        now = self.clock.now()
        made = self._bill(who, tried_at=now, next_attempt=now + timedelta(days=3))
        made.subscription = "past_due" if subscribed else ""
        self._tell(heard, "invoice.payment_failed", made)

    @rule(who=SOME, due=SPANS)
    def send(self, who: int, due: timedelta) -> None:
        """A new invoice is sent; nobody tells when its due date has passed."""
        self._bill(who, due_at=self.clock.now() + due)

    @rule(which=SOME, heard=HEARD, how=st.sampled_from(["paid"] * 3 + sorted(ENDS)))
    def close(self, which: int, heard: bool, how: str) -> None:
        """Nothing is owed any more, or nothing is to be asked for: of what a person writes off nobody tells."""
        for bill in self._open(which):
            if how in {"paid", "void", "uncollectible"}:
                bill.status, bill.owed = how, 0 if how == "paid" else bill.owed
            bill.gone, bill.written_off = how == "gone", how == "written off"
            bill.subscription = "canceled" if how == "canceled" else bill.subscription
            if how == "deleted":
                self.books.deleted.add(bill.customer)
            if ENDS[how]:
                self._tell(heard, ENDS[how], bill)

    @rule(which=SOME, heard=HEARD, what=st.sampled_from(sorted(CHANGES)), hours=st.integers(1, 20 * 24))
    def change(self, which: int, heard: bool, what: str, hours: int) -> None:
        """Partly paid or credited, a bank debit, another card, a retry that fails or moves: it stays open."""
        now = self.clock.now()
        for bill in self._open(which):
            if what in {"paid in part", "credited"}:
                bill.owed = max(bill.owed // 2, 1)
            elif what == "fails again" and bill.tried_at is not None:
                bill.attempts, bill.next_attempt = bill.attempts + 1, now + timedelta(hours=hours)
            elif what == "retry moves":
                bill.next_attempt = now + timedelta(hours=hours)
            bill.under_way = what == "pays by debit"
            self._tell(heard, CHANGES[what], bill)

    @rule(which=SOME, heard=HEARD)
    def refund(self, which: int, heard: bool) -> None:
        """Money goes back; what was paid stays paid."""
        for bill in self._any(which):
            self._tell(heard, "charge.refunded", bill)

    # What people do

    @rule(
        which=SOME,
        what=st.sampled_from(["hold", "hold", "resume", "resume", "by the Account"]),
        span=st.none() | SPANS,
        customer=st.booleans(),
    )
    def have_a_word(self, which: int, what: str, span: timedelta | None, customer: bool) -> None:
        until, ladders = None if span is None else self.clock.now() + span, self.worker.ladders
        for bill in self._any(which):
            if what == "by the Account":
                self.books.on_hold ^= {bill.customer}
            elif what == "hold":
                ladders.hold(**_subject(bill, customer), until=until, reason="", by="Ada")
            else:
                ladders.resume(**_subject(bill, customer), by="Ben")

    @rule(policy=st.none() | st.just(default_policy()) | policies())
    def change_policy(self, policy: DunningPolicy | None) -> None:
        self.worker.company.dunning = policy

    # What goes wrong, and when

    @rule(which=SOME, what=st.sampled_from(["away", "back", "fails", "refused", "killed", "killed"]))
    def break_something(self, which: int, what: str) -> None:
        """Vendors that do not answer, effects that fail, a process that dies within the next steps."""
        if what == "killed":
            self.judges.kill = True
        elif what in {"away", "back"}:
            self.books.down = what == "away"
        else:
            error: O2CError = RecordRejected("No.") if what == "refused" else Unavailable("Not now.")
            self.judges.errors |= {bill.id: [error] * (which % 4) for bill in self._open(which)}

    @rule(which=SOME, heard=HEARD, how=st.sampled_from(["paid", "void", "hold", "news"]))
    def while_the_next_steps_are_taken(self, which: int, heard: bool, how: str) -> None:
        happenings: dict[str, Callable[[], None]] = {
            "hold": lambda: self.have_a_word(which, "hold", None, False),
            "news": lambda: self.change(which, True, "fails again", 50),
        }
        self.judges.meanwhile = happenings.get(how) or (lambda: self.close(which, heard, how))

    @rule(who=SOME, how=st.sampled_from(["paid", "gone", "pays by debit"]), heard=HEARD)
    def be_late_while_it_is_paid(self, who: int, how: str, heard: bool) -> None:
        """Several steps are due when the worker comes back; the customer pays during the first."""
        self.fail(who, False, True)
        last = len(self.books.open()) - 1
        self.clock.at += timedelta(days=5)
        paid = how != "pays by debit"
        self.judges.meanwhile = lambda: (
            self.close(last, heard, how) if paid else self.change(last, heard, how, 1)
        )
        self.look()

    @rule(days=st.sampled_from([5, 16]), hours=st.sampled_from([-1, 0, 6]))
    def jump(self, days: int, hours: int) -> None:
        """The worker is down for days, or the clock was wrong."""
        self.clock.at += timedelta(hours=hours) if hours < 0 else timedelta(days=days, hours=hours)
        if hours < 0:  # what was woken is due by the hour that is to come again
            self.judges.contacts.clear()
            self.worker.told_over.clear()

    @rule()
    def look(self) -> None:
        """The sweep, and the drain as often as anything is due; then nothing is."""
        self.worker.look()

    @rule(span=SPANS)
    def live(self, span: timedelta) -> None:
        """The worker looks every five minutes; looks at which nothing can be due are left out."""
        self.worker.live(span)

    @rule(days=st.sampled_from([2, 4]))
    def live_for_days(self, days: int) -> None:
        self.worker.live(timedelta(days=days))

    def _bill(self, who: int, **told: Any) -> Bill:
        left = [one for one in CUSTOMERS if one not in self.books.deleted]
        customers = left or [f"cus_{len(self.books.bills)}"]
        made = Bill(f"in_{len(self.books.bills)}", customers[who % len(customers)], **told)
        self.books.bills[made.id] = made
        return made

    def _open(self, which: int) -> list[Bill]:
        found = self.books.open()
        return [found[which % len(found)]] if found else []

    def _any(self, which: int) -> list[Bill]:
        found = list(self.books.bills.values())
        return [found[which % len(found)]]

    def _tell(self, heard: bool, kind: str, bill: Bill) -> None:
        """Unheard: the event is lost, or nobody is there."""
        if heard:
            self.worker.hear(kind, bill)


def _subject(bill: Bill, customer: bool) -> dict[str, str]:
    return {"customer_id": bill.customer} if customer else {"invoice_id": bill.id}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("races") / "migrated.db"
    with Ledger.open(f"sqlite:///{path}", clock=MovableClock(), environment=Environment.EMULATOR) as ledger:
        ledger.migrate()
    return path


def test_whatever_races_what_must_hold_holds(migrated: Path) -> None:
    Races.template = migrated
    run_state_machine_as_test(
        Races,
        settings=settings(
            max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
