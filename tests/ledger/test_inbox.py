"""An event is stored once, claimed by one drain at a time, and ends in the state that its outcome says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from order_to_cash.domain.errors import RuleRefused, Unavailable
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventOutcome, EventSource, EventState, Lane
from order_to_cash.ledger.inbox_search import history_of
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.events import event, ids, stored
from tests.ledger.support import START, MovableClock

DOWN = Unavailable("Salesforce did not answer.", code="salesforce_down", remedy="Wait.")
RULE = RuleRefused(
    "A validation rule refused it.", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", remedy="Change it."
)


def state_of(ledger: Ledger, event_id: str) -> str:
    row = ledger.inbox.get(event_id)
    assert row is not None
    return row.state


def test_an_event_is_stored_once_and_comes_out_as_it_went_in(ledger: Ledger) -> None:
    first, thin = event(1), replace(event(2), thin=True, object_id="", livemode=True, account_id="acct_9")
    assert ledger.inbox.store([first, thin, first], EventSource.WEBHOOK) == 2
    assert ledger.inbox.store([first, event(3)], EventSource.LIST) == 1
    assert ledger.inbox.store([], EventSource.WEBHOOK) == 0
    claims = {claimed.event.event_id: claimed for claimed in ledger.inbox.claim("drain-1")}
    assert claims["evt_1"].event == first
    assert claims["evt_2"].event == thin
    assert (claims["evt_1"].source, claims["evt_3"].source) == (EventSource.WEBHOOK, EventSource.LIST)
    assert (claims["evt_1"].attempts, claims["evt_1"].replays) == (1, 0)
    assert claims["evt_1"].received_at == START
    assert claims["evt_1"].lease_until == START + timedelta(seconds=120)


def test_one_id_of_two_accounts_or_modes_is_two_events(ledger: Ledger) -> None:
    of_other = replace(event(1), account_id="acct_9", partition="cus_other")
    live = replace(event(1), livemode=True, partition="cus_live", body=b"live")
    assert ledger.inbox.store([event(1), of_other, live], EventSource.WEBHOOK) == 3
    assert Counter(claimed.event.body for claimed in ledger.inbox.claim("drain-1")) == {
        event(1).body: 2,
        b"live": 1,
    }


def test_a_second_delivery_changes_nothing_whatever_the_state(ledger: Ledger) -> None:
    stored(ledger, event(1))
    ledger.inbox.finish([EventOutcome.done(claimed) for claimed in ledger.inbox.claim("drain-1")])
    assert ledger.inbox.store([event(1)], EventSource.WEBHOOK) == 0
    assert state_of(ledger, "evt_1") == EventState.DONE
    assert ledger.inbox.claim("drain-1") == []


def test_live_events_come_first_and_each_lane_oldest_first(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, event(1), event(2), source=EventSource.LIST)
    clock.advance(seconds=1)
    stored(ledger, event(9), event(3), event(20))
    clock.advance(seconds=1)
    stored(ledger, event(0))
    assert ids(ledger.inbox.claim("drain-1", 2)) == ["evt_3", "evt_9"]
    assert ids(ledger.inbox.claim("drain-1", lanes=[Lane.CATCH_UP])) == ["evt_1", "evt_2"]
    assert ids(ledger.inbox.claim("drain-1")) == ["evt_20", "evt_0"]


def test_two_claims_share_no_partition_and_no_event(ledger: Ledger) -> None:
    stored(ledger, event(1, "cus_a"), event(2, "cus_b"), event(3, "cus_a"))
    first = ledger.inbox.claim("drain-1", 1)
    assert ids(first) == ["evt_1"]
    assert ids(ledger.inbox.claim("drain-2")) == ["evt_2"]
    assert ledger.inbox.claim("drain-1") == [], "its own claims in flight count too"
    assert ledger.inbox.finish([EventOutcome.done(first[0])]) == 1
    assert ids(ledger.inbox.claim("drain-2")) == ["evt_3"]


def test_an_expired_lease_is_taken_over_and_the_late_one_is_fenced_out(
    ledger: Ledger, clock: MovableClock
) -> None:
    stored(ledger, event(1, "cus_a"), event(2, "cus_b"))
    late = ledger.inbox.claim("drain-1", lease_seconds=120)
    clock.advance(seconds=119)
    assert ledger.inbox.claim("drain-2") == []
    clock.advance(seconds=1)
    taken = ledger.inbox.claim("drain-2", 1)
    assert [(claimed.event.event_id, claimed.attempts) for claimed in taken] == [("evt_1", 2)]
    assert ledger.inbox.renew(late) == 0
    outcomes = [EventOutcome.parked(late[0], RULE), EventOutcome.done(late[1])]
    assert ledger.inbox.finish(outcomes) == 1, "evt_2 was nobody else's, so its late outcome counts"
    assert state_of(ledger, "evt_1") == EventState.CLAIMED
    assert ledger.inbox.finish([EventOutcome.done(taken[0])]) == 1
    assert ledger.inbox.finish([EventOutcome.retry(taken[0], DOWN, clock.now())]) == 0
    assert state_of(ledger, "evt_1") == EventState.DONE


def test_a_renewed_claim_is_not_taken_over(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, event(1), event(2))
    claims = ledger.inbox.claim("drain-1")
    ledger.inbox.finish([EventOutcome.done(claims[0])])
    clock.advance(seconds=100)
    assert ledger.inbox.renew(claims) == 1, "what is finished is not held any more"
    clock.advance(seconds=100)
    assert ledger.inbox.claim("drain-2") == []
    clock.advance(seconds=20)
    assert ids(ledger.inbox.claim("drain-2")) == ["evt_2"]


def test_a_claim_that_has_ended_is_not_renewed(ledger: Ledger, clock: MovableClock) -> None:
    """Another claim may hold its partition by now, with another event."""
    stored(ledger, event(1, "cus_a"))
    late = ledger.inbox.claim("drain-1", lease_seconds=120)
    stored(ledger, event(2, "cus_a"))
    clock.advance(seconds=120)
    taken = ledger.inbox.claim("drain-2", 1)
    assert ids(taken) == ["evt_2"]
    assert ledger.inbox.renew(late) == 0
    assert ledger.inbox.claim("drain-3") == []
    assert ledger.inbox.finish([EventOutcome.done(claimed) for claimed in late + taken]) == 2


def test_what_killed_its_drain_waits_behind_what_came_meanwhile(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, event(1))
    ledger.inbox.claim("drain-1", lease_seconds=120)
    clock.advance(seconds=60)
    stored(ledger, event(2))
    clock.advance(seconds=60)
    assert ids(ledger.inbox.claim("drain-2")) == ["evt_2", "evt_1"]


def test_a_retry_waits_for_its_time(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, event(1))
    (claimed,) = ledger.inbox.claim("drain-1")
    ledger.inbox.finish([EventOutcome.retry(claimed, DOWN, clock.now() + timedelta(seconds=30))])
    assert ledger.inbox.oldest_waiting() is None
    clock.advance(seconds=29)
    assert ledger.inbox.claim("drain-1") == []
    clock.advance(seconds=1)
    assert ledger.inbox.oldest_waiting() == clock.now()
    (again,) = ledger.inbox.claim("drain-1")
    assert again.attempts == 2
    ledger.inbox.finish([EventOutcome.done(again)])
    row = ledger.inbox.get("evt_1")
    assert row is not None
    assert (row.state, row.code, row.reason, row.remedy) == ("done", "", "", "")
    assert [(turn.state, turn.why) for turn in history_of(row)] == [
        ("received", "webhook"),
        ("retry", "salesforce_down"),
        ("done", ""),
    ]


def test_a_parked_event_says_why_and_holds_nobody_up(ledger: Ledger) -> None:
    stored(ledger, event(1, "cus_a"), event(2, "cus_a"))
    (poisoned,) = ledger.inbox.claim("drain-1", 1)
    ledger.inbox.finish([EventOutcome.parked(poisoned, RULE)])
    row = ledger.inbox.get("evt_1")
    assert row is not None
    assert (row.state, row.code, row.reason, row.remedy) == ("parked", RULE.code, RULE.message, RULE.remedy)
    assert (row.due_at, row.finished_at) == (None, None)
    assert ids(ledger.inbox.claim("drain-1")) == ["evt_2"]


def test_what_was_not_tried_goes_back_uncounted(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, event(1))
    clock.advance(seconds=5)
    stored(ledger, event(2))
    claims = ledger.inbox.claim("drain-1")
    ledger.inbox.finish([EventOutcome.released(claimed) for claimed in claims])
    assert [(one.event.event_id, one.attempts) for one in ledger.inbox.claim("drain-2")] == [
        ("evt_1", 1),
        ("evt_2", 1),
    ]


def test_outcomes_of_many_kinds_and_claims_in_one_call(ledger: Ledger, clock: MovableClock) -> None:
    stored(ledger, *(event(number) for number in range(40)))
    claims = ledger.inbox.claim("drain-1", 20) + ledger.inbox.claim("drain-2", 20)
    due = clock.now() + timedelta(seconds=1)

    def outcome(number: int, claimed: ClaimedEvent) -> EventOutcome:
        return [
            EventOutcome.done(claimed),
            EventOutcome.ignored(claimed),
            EventOutcome.parked(claimed, RULE),
            EventOutcome.retry(claimed, DOWN, due),
        ][number % 4]

    assert ledger.inbox.finish([outcome(*pair) for pair in enumerate(claims)]) == 40
    assert ledger.inbox.counts() == {"pending": 0, "claimed": 0, "retry": 10, "parked": 10}
    found = Counter(state_of(ledger, claimed.event.event_id) for claimed in claims)
    assert found == {"done": 10, "ignored": 10, "parked": 10, "retry": 10}


def test_an_outcome_that_is_none_is_refused(ledger: Ledger) -> None:
    stored(ledger, event(1))
    (claimed,) = ledger.inbox.claim("drain-1")
    for broken in (EventOutcome(claimed, EventState.RETRY), EventOutcome(claimed, EventState.CLAIMED)):
        with pytest.raises(ValueError, match="no outcome"):
            ledger.inbox.finish([broken])
    assert state_of(ledger, "evt_1") == EventState.CLAIMED


def test_how_much_waits_and_since_when(ledger: Ledger, clock: MovableClock) -> None:
    assert ledger.inbox.oldest_waiting() is None
    assert ledger.inbox.newest_created() is None
    assert ledger.inbox.counts() == dict.fromkeys(["pending", "claimed", "retry", "parked"], 0)
    stored(ledger, event(5), source=EventSource.LIST)
    clock.advance(seconds=3)
    stored(ledger, event(1), event(2))
    assert ledger.inbox.oldest_waiting() == START
    assert ledger.inbox.newest_created() == START + timedelta(seconds=5)
    ledger.inbox.claim("drain-1", lanes=[Lane.CATCH_UP])
    assert ledger.inbox.oldest_waiting() == clock.now()
    assert ledger.inbox.counts() == {"pending": 2, "claimed": 1, "retry": 0, "parked": 0}
    ledger.inbox.claim("drain-1")
    assert ledger.inbox.oldest_waiting() is None
