"""The inbox against a model: whatever drains, deaths, clocks and replays do, each event is where it ought to be."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventOutcome, EventSource, Lane
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.inbox_suspects import APART_FROM, PARKED_AFTER
from tests.ledger.events import event
from tests.ledger.quick import quick_ledger
from tests.ledger.support import MovableClock

DOWN = Unavailable("Salesforce did not answer.", code="salesforce_down")
CUSTOMERS = st.sampled_from(["cus_a", "cus_b"])
SOURCES = st.sampled_from([EventSource.WEBHOOK, EventSource.LIST])
CLOSED = {EventState.PARKED, EventState.DONE, EventState.IGNORED}


@dataclass
class Modelled:
    """What ought to be true of one event. `due`: from when on it may be taken."""

    partition: str
    lane: Lane
    state: EventState
    due: datetime | None
    token: str = ""
    attempts: int = 0
    replays: int = 0
    retries: int = 0  # in all its life

    @property
    def suspected(self) -> bool:
        return self.state is EventState.CLAIMED and self.attempts >= APART_FROM


@dataclass
class Model:
    events: dict[str, Modelled] = field(default_factory=dict)

    def held(self, now: datetime) -> set[str]:
        return {
            one.partition
            for one in self.events.values()
            if one.state is EventState.CLAIMED and one.due is not None and one.due > now
        }

    def free(self, now: datetime) -> set[str]:
        held = self.held(now)
        return {
            event_id
            for event_id, one in self.events.items()
            if one.due is not None and one.due <= now and one.partition not in held
        }

    def suspects(self, now: datetime, limit: int) -> list[str]:
        """Whose turn it is apart, first those who were tried least; what died too often is parked on the way."""
        if any(
            one.suspected and one.attempts > APART_FROM and one.due is not None and one.due > now
            for one in self.events.values()
        ):
            return []
        turns = [event_id for event_id in self.free(now) if self.events[event_id].suspected]
        group: list[str] = []
        for event_id in sorted(turns, key=self.turn):
            one = self.events[event_id]
            deaths = one.attempts - one.retries
            if deaths >= PARKED_AFTER:
                one.state, one.due, one.token = EventState.PARKED, None, ""
                continue
            limit = min(limit, 1 if deaths > 4 else 10)
            if len(group) >= limit:
                break
            group.append(event_id)
        return group

    def turn(self, event_id: str) -> tuple[int, datetime, int]:
        """Tried least, waiting longest, oldest: events are created in the order of their numbers."""
        one = self.events[event_id]
        assert one.due is not None
        return one.attempts, one.due, int(event_id.removeprefix("evt_"))


class InboxMachine(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = MovableClock()
        self.ledger = quick_ledger(self.template, self.folder.name, self.clock)
        self.model = Model()
        self.batches: list[list[ClaimedEvent]] = []

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(number=st.integers(0, 6), customer=CUSTOMERS, source=SOURCES)
    def store(self, number: int, customer: str, source: EventSource) -> None:
        new = self.ledger.inbox.store([event(number, customer)], source)
        assert new == (f"evt_{number}" not in self.model.events)
        if new:
            lane, now = Lane.of(source), self.clock.now()
            self.model.events[f"evt_{number}"] = Modelled(customer, lane, EventState.PENDING, now)

    @rule(limit=st.integers(1, 3), lease=st.sampled_from([10, 60]))
    def claim(self, limit: int, lease: int) -> None:
        now = self.clock.now()
        free = {one for one in self.model.free(now) if not self.model.events[one].suspected}
        suspects = [] if free else self.model.suspects(now, limit)
        claims = self.ledger.inbox.claim("drain", limit, lease)
        ids = [claimed.event.event_id for claimed in claims]
        if suspects:
            assert ids == suspects
            free = set(ids)
        assert len(ids) == len(set(ids)) == min(limit, len(free))
        assert set(ids) <= free
        lanes = [self.model.events[event_id].lane for event_id in ids]
        assert lanes == sorted(lanes)
        skipped = [self.model.events[event_id] for event_id in free - set(ids)]
        for claimed in claims:
            one = self.model.events[claimed.event.event_id]
            assert not any((other.lane, other.due) < (one.lane, one.due) for other in skipped), "oldest first"
            one.attempts += 1
            assert (claimed.attempts, claimed.replays) == (one.attempts, one.replays)
        for claimed in claims:
            one = self.model.events[claimed.event.event_id]
            one.state, one.due, one.token = EventState.CLAIMED, now + timedelta(seconds=lease), claimed.token
        self.batches += [claims] if claims else []

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Some of a batch, perhaps late, perhaps for the second time."""
        now = self.clock.now()
        outcomes = []
        expected = 0
        for claimed in data.draw(st.sampled_from(self.batches)):
            made = data.draw(st.sampled_from(["done", "ignored", "parked", "retry", "released", "later"]))
            if made == "later":
                continue
            again = now + timedelta(seconds=5)
            outcome = {
                "done": EventOutcome.done(claimed),
                "ignored": EventOutcome.ignored(claimed),
                "parked": EventOutcome.parked(claimed, DOWN),
                "retry": EventOutcome.retry(claimed, DOWN, again),
                "released": EventOutcome.released(claimed),
            }[made]
            outcomes.append(outcome)
            one = self.model.events[claimed.event.event_id]
            if one.token == claimed.token:
                expected += 1
                one.state, one.token = outcome.state, ""
                one.due = {"retry": again, "released": claimed.received_at}.get(made)
                one.attempts -= made == "released"
                one.retries += made == "retry"
        assert self.ledger.inbox.finish(outcomes) == expected

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        now = self.clock.now()
        batch = data.draw(st.sampled_from(self.batches))
        mine = [
            one
            for one in (self.model.events[claimed.event.event_id] for claimed in batch)
            if one.token == batch[0].token and one.due is not None and one.due > now
        ]
        assert self.ledger.inbox.renew(batch, 30) == len(mine)
        for one in mine:
            one.due = now + timedelta(seconds=30)

    @rule(cap=st.integers(1, 3), dry_run=st.booleans())
    def reopen(self, cap: int, dry_run: bool) -> None:
        closed = [event_id for event_id, one in self.model.events.items() if one.state in CLOSED]
        oldest = sorted(closed, key=lambda event_id: int(event_id.removeprefix("evt_")))[:cap]
        reopened = self.ledger.inbox.reopen(EventFilter(), cap, dry_run=dry_run)
        assert [row.event_id for row in reopened.events] == oldest
        assert reopened.left == len(closed) - len(oldest)
        assert reopened.waiting == len(self.model.events) - len(closed)
        for event_id in () if dry_run else oldest:
            one = self.model.events[event_id]
            one.state, one.due, one.lane = EventState.PENDING, self.clock.now(), Lane.CATCH_UP
            one.attempts, one.replays = 0, one.replays + 1

    @rule(seconds=st.sampled_from([1, 5, 10, 60]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @invariant()
    def no_two_live_claims_share_a_partition(self) -> None:
        now = self.clock.now()
        holders = {
            (one.partition, one.token)
            for one in self.model.events.values()
            if one.state is EventState.CLAIMED and one.due is not None and one.due > now
        }
        assert len(holders) == len({partition for partition, _ in holders})

    @invariant()
    def every_event_stands_where_it_ought_to(self) -> None:
        rows = {row.event_id: (row.state, row.due_at) for row in self.ledger.inbox.find(EventFilter())}
        assert rows == {event_id: (one.state, one.due) for event_id, one in self.model.events.items()}
        counts = self.ledger.inbox.counts()
        assert sum(counts.values()) == sum(
            one.state not in {EventState.DONE, EventState.IGNORED} for one in self.model.events.values()
        )
        now = self.clock.now()
        due = [one.due for one in self.model.events.values() if one.due is not None and one.due <= now]
        assert self.ledger.inbox.oldest_waiting() == min(due, default=None)


def test_whatever_happens_each_event_is_where_it_ought_to_be(sqlite_ledger: Path) -> None:
    InboxMachine.template = sqlite_ledger
    run_state_machine_as_test(
        InboxMachine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
