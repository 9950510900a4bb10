"""A batch of events on its way to Salesforce: what is known of it by now, and what speaks against which part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from order_to_cash.domain.errors import O2CError, RecordRejected
from order_to_cash.domain.linger import Lane
from order_to_cash.domain.records import Problem
from order_to_cash.domain.sync.links import customer_of
from order_to_cash.domain.sync.shapes import (
    Applied,
    Links,
    ObjectKey,
    PriceEntry,
    Reaction,
    Row,
    Signal,
    State,
)
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventSource


@dataclass
class Batch:
    """Steps add to it, one after another. Nothing of it is kept: a later run begins from the inbox again.

    `claims`: of the events that have not ended yet. `accounts`: those whose card is looked at, as queried.
    `account_of`: customer → Account; `account_of_key` the same for objects that name no customer. `remembered`:
    customers whose Account only the ledger tells. `left`: customer → the Account that it was led away from, and
    whether by its metadata. `failures`: object → why its records are not as they should be; `event_failures` the same
    for an event that got no further.
    """

    claims: Sequence[ClaimedEvent]
    run_id: str
    now: datetime
    states: dict[ObjectKey, State] = field(default_factory=dict)
    waiting: dict[ObjectKey, tuple[str, ...]] = field(default_factory=dict)
    aside: dict[ObjectKey, State] = field(
        default_factory=dict
    )  # read to know what belongs together; not written
    links: Links = field(default_factory=Links)
    known: dict[ObjectKey, Applied | None] = field(
        default_factory=dict
    )  # what the ledger said of `states` when they were read
    signals: list[Signal] = field(default_factory=list)
    cards: tuple[str, ...] = ()
    accounts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    account_of: dict[str, str] = field(default_factory=dict)
    account_of_key: dict[ObjectKey, str] = field(default_factory=dict)
    remembered: set[str] = field(default_factory=set)
    left: dict[str, tuple[str, bool]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    prices: list[PriceEntry] = field(default_factory=list)
    landed: set[ObjectKey] = field(default_factory=set)  # of which records were written
    record_ids: dict[tuple[str, str], str] = field(default_factory=dict)  # (object, External ID's value) → Id
    touched_accounts: dict[str, set[ObjectKey]] = field(default_factory=dict)
    unchanged: dict[ObjectKey, Applied] = field(default_factory=dict)
    reactions: list[tuple[Signal, Reaction]] = field(default_factory=list)
    failures: dict[ObjectKey, O2CError] = field(default_factory=dict)
    event_failures: dict[str, O2CError] = field(default_factory=dict)
    customer_failures: dict[str, O2CError] = field(default_factory=dict)
    settled: bool = False  # the ledger knows what Salesforce shows of it
    calls: int = 0
    written: int = 0

    @property
    def lane(self) -> Lane:
        """Live when any of it is: nothing live waits behind what catches up."""
        live = any(claim.source is EventSource.WEBHOOK for claim in self.claims)
        return Lane.LIVE if live else Lane.CATCH_UP

    def history(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these customers, or guests' objects, of whom the batch tells only what a scan of all there is found.

        By what the scanned objects belong to: refunds and disputes name no customer.
        """
        told = {claim.event.event_id for claim in self.claims if claim.source is not EventSource.SCAN}
        if not told:
            return frozenset(names)
        scanned: set[str] = set()
        heard = {signal.customer_id for signal in self.signals}
        for key, event_ids in self.waiting.items():
            state = self.states.get(key)
            if state is not None:
                name = self.customer(state) or key.id
                (scanned if told.isdisjoint(event_ids) else heard).add(name)
        return frozenset(scanned - heard)

    def account(self, state: State) -> str:
        """The Account that the state belongs to; empty where none is known."""
        return self.account_of.get(self.customer(state)) or self.account_of_key.get(state.key, "")

    def without_signal(self) -> list[ClaimedEvent]:
        """The claims whose events nobody must hear of."""
        heard = {signal.event_id for signal in self.signals}
        return [claim for claim in self.claims if claim.event.event_id not in heard]

    def about(self, signal: Signal) -> State | None:
        """The object that the signal is about, where it is at hand."""
        return self.states.get(signal.source) or self.aside.get(signal.source)

    def about_signals(self) -> list[State]:
        """The objects of signals that name no customer."""
        found = (self.about(signal) for signal in self.signals if not signal.customer_id)
        return [state for state in found if state is not None]

    def account_for(self, signal: Signal) -> str:
        """The Account whose people must hear of it; empty where none is known."""
        state = None if signal.customer_id else self.about(signal)
        return self.account(state) if state is not None else self.account_of.get(signal.customer_id, "")

    def customer(self, state: State) -> str:
        """The customer that it belongs to, by itself or by what it pays; empty for a guest's."""
        return state.customer_id or customer_of(state, self.links)

    def lead(self, customer: str, account_id: str, *, by_name: bool) -> None:
        """The customer belongs to `account_id` from now on, as its metadata (`by_name`) or Salesforce says."""
        before = self.account_of[customer]
        self.account_of[customer] = account_id
        self.left[customer] = (before, by_name)
        keys = {key for key, state in self.states.items() if self.customer(state) == customer}
        for one in (before, account_id):
            self.touched_accounts.setdefault(one, set()).update(keys)

    def fail(self, key: ObjectKey, error: O2CError) -> None:
        """Hold what the object's events wait for. What another try may cure comes first: it leads on from there."""
        known = self.failures.get(key)
        if known is None or (error.retryable and not known.retryable):
            self.failures[key] = error

    def fail_event(self, event_id: str, error: O2CError) -> None:
        """As `fail`, for one event."""
        known = self.event_failures.get(event_id)
        if known is None or (error.retryable and not known.retryable):
            self.event_failures[event_id] = error

    def standing(self) -> list[State]:
        """The states against which nothing speaks yet."""
        return [state for key, state in self.states.items() if key not in self.failures]


def rejected(problem: Problem, **ids: str) -> RecordRejected:
    """A problem as the error that parks an event: it names the field."""
    about = f" (field {problem.field})" if problem.field and problem.field not in problem.message else ""
    return RecordRejected(
        f"{problem.message}{about}",
        code=problem.code,
        remedy=problem.remedy or "Correct it, then replay the event: o2c events replay.",
        ids={**ids, **({"field": problem.field} if problem.field else {})},
    )


def first_of(problems: Iterable[Problem]) -> Problem:
    """The one that is told; a record with several is corrected one after another."""
    return next(iter(problems))
