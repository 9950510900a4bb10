"""The numbers that alerts are decided by, as the inbox gives them."""

from __future__ import annotations

from datetime import datetime, timedelta

from order_to_cash.domain.alerts import Calls
from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.errors import FieldRefused, Unavailable
from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource, EventState
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.vitals import ledger_vitals
from tests.ledger.support import START, MovableClock

HIDDEN = FieldRefused("Amount__c is hidden.", code="INVALID_FIELD", remedy="Grant it.")


def event(number: int, created: datetime = START) -> StripeEvent:
    return StripeEvent(
        event_id=f"evt_{number}",
        type="invoice.paid",
        account_id="",
        livemode=False,
        created=created,
        api_version="2025-01-01",
        object_type="invoice",
        object_id=f"in_{number}",
        partition=f"cus_{number}",
        thin=False,
        body=b"{}",
    )


def test_an_empty_inbox_is_well(ledger: Ledger, clock: MovableClock) -> None:
    vitals = ledger_vitals(ledger.database, clock.now())
    assert (vitals.waiting, vitals.oldest_waiting, vitals.parked, vitals.tried) == (0, None, 0, 0)
    assert (vitals.missed, vitals.quiet_since, vitals.first_parked) == (0, None, None)
    assert vitals.webhook_at is None


def test_what_waits_is_as_old_as_its_arrival_also_while_it_is_tried_again(
    ledger: Ledger, clock: MovableClock
) -> None:
    ledger.inbox.store([event(1), event(2)], EventSource.WEBHOOK)
    clock.advance(minutes=3)
    first, second = ledger.inbox.claim("drain")
    later = clock.now() + timedelta(hours=1)
    ledger.inbox.finish([EventOutcome.done(first), EventOutcome.retry(second, Unavailable("Down."), later)])
    vitals = ledger_vitals(ledger.database, clock.now())
    assert (vitals.waiting, vitals.oldest_waiting) == (1, START)
    assert (vitals.tried, vitals.failed) == (2, 1)


def test_what_is_parked_is_told_with_the_first_reason_and_lately_only_counted_as_failed(
    ledger: Ledger, clock: MovableClock
) -> None:
    ledger.inbox.store([event(1)], EventSource.WEBHOOK)
    [claimed] = ledger.inbox.claim("drain")
    clock.advance(minutes=1)
    ledger.inbox.finish([EventOutcome.parked(claimed, HIDDEN)])
    vitals = ledger_vitals(ledger.database, clock.now())
    assert vitals.first_parked is not None
    assert (vitals.first_parked.code, vitals.first_parked.reason) == ("INVALID_FIELD", "Amount__c is hidden.")
    assert vitals.first_parked.since == clock.now()
    assert (vitals.parked, vitals.tried, vitals.failed, vitals.waiting) == (1, 1, 1, 0)
    clock.advance(minutes=16)
    assert ledger_vitals(ledger.database, clock.now()).failed == 0


def test_what_was_reopened_waits_from_then_on(ledger: Ledger, clock: MovableClock) -> None:
    ledger.inbox.store([event(1)], EventSource.WEBHOOK)
    [claimed] = ledger.inbox.claim("drain")
    ledger.inbox.finish([EventOutcome.parked(claimed, HIDDEN)])
    clock.advance(days=20)
    ledger.inbox.reopen(EventFilter(states=(EventState.PARKED,)), cap=10)
    reopened = clock.now()
    clock.advance(minutes=50)
    vitals = ledger_vitals(ledger.database, clock.now())
    assert (vitals.waiting, vitals.oldest_waiting, vitals.parked) == (1, None, 0), (
        "it gives way to live events"
    )
    clock.advance(minutes=11)
    assert ledger_vitals(ledger.database, clock.now()).oldest_waiting == reopened


def test_what_is_tried_in_vain_is_told_with_its_reason_for_as_long_as_it_lasts(
    ledger: Ledger, clock: MovableClock
) -> None:
    """A retry that never succeeds is never parked: its age and its reason are what people see of it."""
    ledger.inbox.store([event(1), event(2)], EventSource.WEBHOOK)
    [first, second] = ledger.inbox.claim("drain")
    ledger.inbox.finish([EventOutcome.parked(first, HIDDEN), EventOutcome.done(second)])
    clock.advance(days=1)
    ledger.inbox.reopen(EventFilter(states=(EventState.PARKED,)), cap=10)
    reopened = clock.now()
    ledger.inbox.store([event(3)], EventSource.WEBHOOK)
    for hours in range(30):
        vitals = ledger_vitals(ledger.database, clock.now())
        since = reopened if hours else None
        assert (vitals.oldest_failed and vitals.oldest_failed.since) == since
        for claimed in ledger.inbox.claim("drain"):
            down = Unavailable(f"Down at try {claimed.attempts}.", remedy="Wait.")
            later = clock.now() + timedelta(minutes=59)
            failed = claimed.event.event_id == "evt_1"
            outcome = EventOutcome.retry(claimed, down, later) if failed else EventOutcome.done(claimed)
            ledger.inbox.finish([outcome])
        clock.advance(hours=1)
    vitals = ledger_vitals(ledger.database, clock.now())
    assert vitals.oldest_failed is not None
    assert (vitals.waiting, vitals.oldest_waiting, vitals.oldest_failed.since) == (1, reopened, reopened)
    assert (vitals.oldest_failed.reason, vitals.oldest_failed.remedy) == ("Down at try 30.", "Wait.")


def test_missed_is_what_a_webhook_should_have_brought(ledger: Ledger, clock: MovableClock) -> None:
    history = [event(number, START - timedelta(days=number)) for number in range(1, 20)]
    ledger.inbox.store(history, EventSource.LIST)
    assert ledger_vitals(ledger.database, clock.now()).missed == 0, "the first look back is no gap"

    ledger.inbox.store([event(100)], EventSource.WEBHOOK)
    clock.advance(hours=8)
    lost = event(101, clock.now() - timedelta(hours=1))
    on_its_way = event(102, clock.now() - timedelta(minutes=1))
    ledger.inbox.store([lost, on_its_way], EventSource.LIST)
    vitals = ledger_vitals(ledger.database, clock.now())
    assert (vitals.missed, vitals.missed_since) == (1, lost.created)
    assert vitals.quiet_since == START, "no webhook since, although there were events"
    assert vitals.webhook_at == START

    ledger.inbox.store([event(103, clock.now())], EventSource.WEBHOOK)
    assert ledger_vitals(ledger.database, clock.now()).quiet_since is None
    clock.advance(hours=3)
    assert ledger_vitals(ledger.database, clock.now()).missed == 0


def test_only_the_newest_arrivals_are_read_for_what_happened_lately(
    ledger: Ledger, clock: MovableClock
) -> None:
    from order_to_cash.ledger import vitals as module

    ledger.inbox.store([event(number) for number in range(30)], EventSource.WEBHOOK)
    claims = ledger.inbox.claim("drain")
    ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims])
    whole, module.NEWEST = module.NEWEST, 10
    try:
        assert ledger_vitals(ledger.database, clock.now()).tried == 10
    finally:
        module.NEWEST = whole


def test_calls_fail_when_the_vendor_refuses_or_does_not_answer(ledger: Ledger, clock: MovableClock) -> None:
    def call(system: str, status: int | None, error: str = "") -> None:
        intent = CallIntent(system=system, method="GET", path="/query", actor="test")
        outcome = CallOutcome(status=status, error=error, request_id="", duration_ms=1)
        ledger.audit.finish(ledger.audit.begin(intent), outcome)

    call("salesforce", 500, "long ago")
    clock.advance(minutes=6)
    for status in (200, 404, 402, 429, 200):
        call("stripe", status, "" if status == 200 else "declined")
    call("salesforce", None, "ConnectTimeout")
    call("salesforce", 401, "INVALID_SESSION_ID")
    call("slack", 500)
    found = {one.system: one for one in ledger_vitals(ledger.database, clock.now()).calls}
    assert found == {
        "stripe": Calls("stripe", 5, 0),
        "salesforce": Calls("salesforce", 2, 2, "401 INVALID_SESSION_ID"),
    }
