"""Finding events, opening them again, and forgetting bodies that nobody needs any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from order_to_cash.domain.errors import RuleRefused
from order_to_cash.ledger.inbox_claims import LONGEST_HISTORY, EventOutcome, EventSource, EventState
from order_to_cash.ledger.inbox_search import EventFilter, Reopened, history_of
from order_to_cash.ledger.inbox_tables import InboxRow
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.events import event, ids, stored
from tests.ledger.support import START, MovableClock

RULE = RuleRefused("A validation rule refused it.", code="rule_refused", remedy="Change it.")


@pytest.fixture
def mixed(ledger: Ledger) -> Ledger:
    """evt_0 done, evt_1 parked, evt_2 ignored, evt_3 claimed, evt_4 to be retried, evt_5 pending."""
    kinds = [
        "invoice.paid",
        "invoice.created",
        "plan.created",
        "charge.failed",
        "invoice_x.y",
        "invoice.paid",
    ]
    stored(ledger, *(event(number, kind=kind) for number, kind in enumerate(kinds)))
    claims = ledger.inbox.claim("drain-1", 5)
    ledger.inbox.finish(
        [
            EventOutcome.done(claims[0]),
            EventOutcome.parked(claims[1], RULE),
            EventOutcome.ignored(claims[2]),
            EventOutcome.retry(claims[4], RULE, START + timedelta(minutes=5)),
        ]
    )
    return ledger


def row(ledger: Ledger, event_id: str) -> InboxRow:
    found = ledger.inbox.get(event_id)
    assert found is not None
    return found


def events_of(reopened: Reopened) -> list[str]:
    return [one.event_id for one in reopened.events]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (EventFilter(), [5, 4, 3, 2, 1, 0]),
        (EventFilter(states=(EventState.PARKED, EventState.RETRY)), [4, 1]),
        (EventFilter(types=("invoice.paid",)), [5, 0]),
        (EventFilter(types=("invoice.*",)), [5, 1, 0]),
        (EventFilter(types=("invoice_*", "plan.created")), [4, 2]),
        (EventFilter(since=START + timedelta(seconds=2), until=START + timedelta(seconds=4)), [3, 2]),
        (EventFilter(object_id="in_3"), [3]),
        (EventFilter(event_ids=("evt_4", "evt_0", "evt_none")), [4, 0]),
        (EventFilter(event_ids=("evt_4", "evt_0"), types=("invoice.paid",)), [0]),
        (EventFilter(object_id="in_none"), []),
    ],
)
def test_what_matches_is_found_newest_first(mixed: Ledger, wanted: EventFilter, numbers: list[int]) -> None:
    assert [found.event_id for found in mixed.inbox.find(wanted)] == [f"evt_{number}" for number in numbers]
    assert len(mixed.inbox.find(wanted, limit=1)) == min(1, len(numbers))


def test_an_event_that_never_came_is_none(ledger: Ledger) -> None:
    assert ledger.inbox.get("evt_none") is None
    assert ledger.inbox.body(1) is None


def test_the_body_is_what_stripe_sent(mixed: Ledger) -> None:
    assert mixed.inbox.body(row(mixed, "evt_1").seq) == event(1).body


def test_all_that_is_closed_is_opened_again(mixed: Ledger, clock: MovableClock) -> None:
    clock.advance(minutes=1)
    reopened = mixed.inbox.reopen(EventFilter())
    assert events_of(reopened) == ["evt_0", "evt_1", "evt_2"]
    assert (reopened.left, reopened.waiting, reopened.unknown, reopened.without_body) == (0, 3, (), ())
    assert [one.state for one in reopened.events] == ["done", "parked", "ignored"], "as they stood before"
    claims = {claimed.event.event_id: claimed for claimed in mixed.inbox.claim("drain-2")}
    assert set(claims) == {"evt_0", "evt_1", "evt_2", "evt_5"}
    assert (claims["evt_1"].attempts, claims["evt_1"].replays) == (1, 1)
    assert claims["evt_1"].source is EventSource.WEBHOOK, "the source is kept"
    mixed.inbox.finish([EventOutcome.done(claimed) for claimed in claims.values()])
    found = row(mixed, "evt_1")
    assert (found.state, found.code, found.reason, found.remedy, found.replays) == ("done", "", "", "", 1)
    assert [(turn.state, turn.why) for turn in history_of(found)] == [
        ("received", "webhook"),
        ("parked", "rule_refused"),
        ("pending", "replay"),
        ("done", ""),
    ]
    assert [turn.state for turn in history_of(row(mixed, "evt_0"))] == ["received", "done", "pending", "done"]


def test_a_dry_run_tells_the_same_and_changes_nothing(mixed: Ledger) -> None:
    before = [found.model_dump() for found in mixed.inbox.find(EventFilter())]
    wanted = EventFilter(types=("invoice.*",))
    planned = mixed.inbox.reopen(wanted, dry_run=True)
    assert [found.model_dump() for found in mixed.inbox.find(EventFilter())] == before
    done = mixed.inbox.reopen(wanted)
    assert events_of(planned) == events_of(done) == ["evt_0", "evt_1"]
    assert (planned.left, planned.waiting) == (done.left, done.waiting) == (0, 1)


def test_the_oldest_come_first_and_what_is_left_is_told(mixed: Ledger) -> None:
    assert mixed.inbox.reopen(EventFilter(), 2, dry_run=True).left == 1
    reopened = mixed.inbox.reopen(EventFilter(), 2)
    assert (events_of(reopened), reopened.left, reopened.waiting) == (["evt_0", "evt_1"], 1, 3)
    assert events_of(mixed.inbox.reopen(EventFilter(), 2)) == ["evt_2"]


def test_parked_ones_alone_are_opened(mixed: Ledger) -> None:
    parked = EventFilter(states=(EventState.PARKED,))
    for dry_run in (True, False):
        reopened = mixed.inbox.reopen(parked, dry_run=dry_run)
        assert (events_of(reopened), reopened.left, reopened.waiting) == (["evt_1"], 0, 0)
    assert mixed.inbox.reopen(parked).events == ()


def test_what_waits_or_is_applied_is_left_alone_and_what_is_unknown_is_named(mixed: Ledger) -> None:
    asked = EventFilter(event_ids=("evt_3", "evt_9", "evt_1", "evt_9", "evt_8"))
    reopened = mixed.inbox.reopen(asked)
    assert events_of(reopened) == ["evt_1"]
    assert (reopened.waiting, reopened.unknown) == (1, ("evt_9", "evt_8"))
    assert row(mixed, "evt_3").state == EventState.CLAIMED


def test_replaying_twice_opens_once(mixed: Ledger) -> None:
    assert len(mixed.inbox.reopen(EventFilter()).events) == 3
    assert mixed.inbox.reopen(EventFilter()).events == ()
    assert row(mixed, "evt_0").replays == 1


def test_a_long_history_stops_growing(ledger: Ledger) -> None:
    stored(ledger, event(1))
    for _ in range(100):
        ledger.inbox.finish([EventOutcome.parked(one, RULE) for one in ledger.inbox.claim("drain-1")])
        ledger.inbox.reopen(EventFilter())
    found = row(ledger, "evt_1")
    assert found.replays == 100
    assert LONGEST_HISTORY <= len(found.history) < LONGEST_HISTORY + 200


def test_bodies_of_old_finished_events_are_forgotten(mixed: Ledger, clock: MovableClock) -> None:
    clock.advance(days=90)
    assert mixed.inbox.prune() == 0, "the whole of 90 days"
    clock.advance(seconds=1)
    assert mixed.inbox.prune() == 2
    assert mixed.inbox.prune() == 0
    assert {found.event_id for found in mixed.inbox.find(EventFilter()) if mixed.inbox.body(found.seq)} == {
        "evt_1",
        "evt_3",
        "evt_4",
        "evt_5",
    }
    reopened = mixed.inbox.reopen(EventFilter())
    assert (events_of(reopened), reopened.without_body) == (["evt_1"], ("evt_0", "evt_2"))
    assert mixed.inbox.store([event(0)], EventSource.LIST) == 0
    assert sorted(ids(mixed.inbox.claim("drain-2"))) == ["evt_1", "evt_3", "evt_4", "evt_5"]
