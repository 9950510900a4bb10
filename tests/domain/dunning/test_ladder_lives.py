"""Whatever happens to a ladder, each step is decided once, in order, within its hours, and never after the end.

A life is any sequence of wakings: late, early, repeated, with a clock that jumps, with crashes in the middle of a step,
holds, moved attempts, partial payments and contacts by other ladders of the customer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from order_to_cash.domain.dunning.calendar import next_day
from order_to_cash.domain.dunning.decision import (
    Decision,
    Do,
    End,
    Held,
    Pass,
    ReadAgain,
    Rest,
    Sleep,
    next_step,
)
from order_to_cash.domain.dunning.due import anchored_at, stripes_end
from order_to_cash.domain.dunning.facts import (
    EndReason,
    Facts,
    Hold,
    InvoiceFacts,
    InvoiceStatus,
    StepState,
)
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import ActionKind, Anchor, Step
from order_to_cash.domain.money import Money
from tests.domain.dunning.ladders import DAY, START, ZONES, facts, invoice, policies, spans, state

Change = Callable[[Facts, datetime], Facts]


def _about(**other: object) -> Change:
    return lambda known, now: replace(known, invoice=replace(known.invoice, **other))  # type: ignore[arg-type]  # any field


def changes() -> st.SearchStrategy[Change]:
    """What may happen between two wakings and does not end the ladder."""
    return st.one_of(
        st.just(lambda known, now: known),
        spans(20 * 24).map(lambda after: _about(next_payment_attempt=START + after)),
        st.just(_about(next_payment_attempt=None)),
        st.just(_about(status=None)),
        st.just(_about(status=InvoiceStatus.OPEN)),
        st.just(_about(amount_remaining=None)),
        st.sampled_from([True, False]).map(lambda paying: _about(payment_under_way=paying)),
        st.integers(1, 1_000_000).map(lambda left: _about(amount_remaining=Money(left, "usd"))),
        st.integers(1, 9).map(lambda count: _about(attempt_count=count)),
        spans(30 * 24).map(lambda after: _about(subscription_ends_at=START + after)),
        spans(48).map(lambda span: lambda known, now: replace(known, hold=Hold(until=now + span))),
        st.just(lambda known, now: replace(known, hold=Hold())),
        st.just(lambda known, now: replace(known, hold=None)),
        st.just(lambda known, now: replace(known, last_contact_at=_later(known.last_contact_at, now))),
        st.sampled_from([None, *ZONES]).map(lambda zone: lambda known, now: replace(known, time_zone=zone)),
    )


def jumps() -> st.SearchStrategy[timedelta]:
    return st.one_of(
        spans(72),
        st.just(timedelta(0)),
        spans(5 * 24).map(lambda back: -back),
        st.integers(1, 40).map(lambda days: days * DAY),
    )


ENDS: dict[EndReason, Change] = {
    EndReason.PAID: _about(status=InvoiceStatus.PAID),
    EndReason.VOIDED: _about(status=InvoiceStatus.VOID),
    EndReason.UNCOLLECTIBLE: _about(status=InvoiceStatus.UNCOLLECTIBLE),
    EndReason.SUBSCRIPTION_CANCELED: _about(status=InvoiceStatus.OPEN, subscription_status="canceled"),
    EndReason.CUSTOMER_DELETED: _about(status=InvoiceStatus.OPEN, customer_deleted=True),
    EndReason.INVOICE_GONE: lambda known, now: replace(known, invoice=InvoiceFacts(gone=True)),
    EndReason.WRITTEN_OFF: lambda known, now: replace(
        known, written_off=True, invoice=invoice(status=InvoiceStatus.OPEN)
    ),
}


class Life:
    """One ladder, woken again and again; every decision is judged before it is carried out."""

    def __init__(self, policy: DunningPolicy, known: Facts) -> None:
        self.policy, self.facts, self.now = policy, known, START
        self.order: list[str] = []
        self.steps = policy.ladder(known.ladder.collection_method).steps

    def wake(self, *, crash: bool = False) -> Decision:
        decision = next_step(self.facts, self.policy, self.now)
        assert next_step(self.facts, self.policy, self.now) == decision
        match decision:
            case Do(step):
                self._may_be_done(step)
                if crash:
                    self._record(step, StepState.BEGUN)
                else:
                    self._decided(step, StepState.DONE)
                    if step.contacts_customer:
                        self.facts = replace(self.facts, last_contact_at=self.now)
            case Pass(step):
                self._decided(step, StepState.PASSED)
            case Sleep(until, step):
                assert until > self.now
                assert step.key == self.steps[len(self.order)].key
                woken = next_step(self.facts, self.policy, until)
                held = self.facts.hold
                paying = self.facts.invoice.payment_under_way and step.contacts_customer
                assert isinstance(woken, Do | Pass) or paying, (woken, held)
                assert isinstance(woken, Do | Pass | Sleep)
                assert woken.step is step
        return decision

    def _decided(self, step: Step, as_what: StepState) -> None:
        assert step is self.steps[len(self.order)]
        self.order.append(step.key)
        self._record(step, as_what)

    def _record(self, step: Step, as_what: StepState) -> None:
        self.facts = replace(self.facts, ladder=self.facts.ladder.recorded(step.key, as_what))

    def _may_be_done(self, step: Step) -> None:
        hours, now = self.policy.contact_hours, self.now
        hold = self.facts.hold
        assert hold is None or (hold.until is not None and hold.until <= now)
        assert self.facts.invoice.status is InvoiceStatus.OPEN
        customers = hours.zone(self.facts.time_zone)
        zone = customers if ActionKind.EMAIL in step.kinds else hours.zone()
        assert step.in_business_hours or not step.contacts_customer
        assert hours.are_open(now, zone) or not step.in_business_hours
        assert not (step.contacts_customer and self.facts.invoice.payment_under_way)
        last = self.facts.last_contact_at
        if step.contacts_customer and last is not None:
            assert now >= last + self.policy.quiet_period
            assert now >= next_day(last, customers)
        if step.anchor is Anchor.STRIPES_END:
            ladder = self.policy.ladder(self.facts.ladder.collection_method)
            due = stripes_end(self.facts, ladder) - ladder.lead_of(step)
            assert now >= due or (step.in_business_hours and now >= hours.last_open(due, zone))
        else:
            assert now >= anchored_at(self.facts) + step.delay

    def run_out(self) -> None:
        """Time goes on, Stripe answers, no payment comes: every step does."""
        self.now = max(self.now, self.facts.last_contact_at or self.now)
        told = replace(self.facts.invoice, status=InvoiceStatus.OPEN, payment_under_way=False)
        self.facts = replace(self.facts, hold=None, invoice=told)
        for _ in range(3 * len(self.steps) + 1):
            decision = self.wake()
            if isinstance(decision, Rest):
                break
            if isinstance(decision, Sleep):
                self.now = decision.until
        assert self.order == [step.key for step in self.steps]


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def begin(policy: DunningPolicy) -> Life:
    sent = policy.charged.steps[:1] and policy.charged.steps[0].key == "other"
    of_invoice = invoice(due_at=START if sent else None)
    return Life(policy, facts(state(policy, sent=bool(sent)), of_invoice))


LIVES = st.lists(st.tuples(jumps(), changes(), st.booleans()), max_size=25)


@settings(max_examples=120)
@given(policies(), LIVES)
def test_each_step_is_decided_once_in_order_and_none_is_lost(
    policy: DunningPolicy, wakings: list[tuple[timedelta, Change, bool]]
) -> None:
    life = begin(policy)
    for jump, change, crash in wakings:
        life.now += jump
        life.facts = change(life.facts, life.now)
        decision = life.wake(crash=crash)
        event(type(decision).__name__)
        assert not isinstance(decision, End)
        assert isinstance(decision, ReadAgain) == (life.facts.invoice.status is None)
    life.run_out()


@pytest.mark.parametrize("reason", EndReason)
@settings(max_examples=15)
@given(policies(), LIVES, LIVES)
def test_after_the_end_nothing_is_decided_any_more(
    reason: EndReason,
    policy: DunningPolicy,
    before: list[tuple[timedelta, Change, bool]],
    after: list[tuple[timedelta, Change, bool]],
) -> None:
    life = begin(policy)
    for jump, change, crash in before:
        life.now += jump
        life.facts = change(life.facts, life.now)
        life.wake(crash=crash)
    ends = ENDS.get(reason, _about(status=InvoiceStatus.DRAFT))
    life.facts = ends(life.facts, life.now)
    decision = life.wake()
    assert isinstance(decision, End)
    assert decision.reason is reason
    life.facts = replace(life.facts, ladder=replace(life.facts.ladder, ended=reason))
    for jump, change, _ in after:
        life.now += jump
        life.facts = change(life.facts, life.now)
        assert life.wake() == End(reason)


@settings(max_examples=60)
@given(policies(), st.lists(spans(25 * 24), min_size=1, max_size=8))
def test_a_schedule_that_moves_loses_no_step(policy: DunningPolicy, attempts: list[timedelta]) -> None:
    life = begin(policy)
    for attempt in attempts:
        life.facts = _about(next_payment_attempt=START + attempt)(life.facts, life.now)
        decision = life.wake()
        if isinstance(decision, Sleep):
            life.now = decision.until
    life.run_out()


@settings(max_examples=40)
@given(policies(), spans(30 * 24))
def test_a_hold_only_delays(policy: DunningPolicy, length: timedelta) -> None:
    life = begin(policy)
    until = START + length + timedelta(minutes=1)
    life.facts = replace(life.facts, hold=Hold(until=until, reason="asked by finance"))
    assert life.wake() == Held(until, "asked by finance")
    assert life.order == []
    life.now = until
    assert not isinstance(life.wake(), Held)
    life.run_out()
