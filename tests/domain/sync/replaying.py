"""The way of events, simulated: what is remembered, what is read again, what Salesforce shows at last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.coalesce import coalesce
from order_to_cash.domain.sync.fetching import fetched_state
from order_to_cash.domain.sync.links import customer_of, links_of, needs_of
from order_to_cash.domain.sync.parents import parents_of
from order_to_cash.domain.sync.rows import merge_rows, rows_of
from order_to_cash.domain.sync.shapes import (
    Applied,
    Body,
    Context,
    Links,
    ObjectKey,
    ProductFacts,
    Row,
    State,
)
from tests.domain.sync.stripe_objects import ACCOUNT, DEAL, T0

Truth = Mapping[ObjectKey, Sequence[tuple[int, Body | None]]]
"""Object → what it was since which second, in the order in which it happened."""

NOW = datetime(2026, 10, 1, tzinfo=UTC)
Shown = dict[tuple[str, str, str], dict[str, Any]]


@dataclass
class Replay:
    """One run of the way over batches. `late`: Stripe is read after all has happened, not as it was meanwhile."""

    truth: Truth
    late: bool = False
    applied: dict[ObjectKey, Applied] = field(default_factory=dict)
    shown: Shown = field(default_factory=dict)
    signal_keys: set[str] = field(default_factory=set)
    fetches: int = 0
    now: int = T0

    def run(self, batches: Sequence[Sequence[StripeEvent]]) -> Replay:
        for batch in batches:
            self.now = max(self.now, *(int(event.created.timestamp()) for event in batch))
            self._batch(batch)
        return self

    def _batch(self, events: Sequence[StripeEvent]) -> None:
        seen = coalesce(events, self.applied)
        assert not seen.unreadable
        self.signal_keys |= {signal.key for signal in seen.signals}
        states = {state.key: state for state in seen.states}
        created = {event.event_id: event.created for event in events}
        for key, ids in seen.refetch.items():
            states[key] = self._read(key, max(created[one] for one in ids))
        links = self._links(states)
        self._parents(states, links)
        context = Context(
            synced_at=NOW,
            links=links,
            invoice_of_opportunity={DEAL: "in_1"},
            customer_of_account={ACCOUNT: ""},
            products={"prod_team": ProductFacts("01t000000000001AAA", "price_team")},
        )
        rows: list[Row] = []
        for state in states.values():
            mapped = rows_of(state, ACCOUNT, context)
            assert not mapped.problems, mapped.problems
            rows += mapped.rows
        for row in merge_rows(rows):
            self.shown.setdefault((row.sobject, row.external_id, row.value), {}).update(row.fields)
        for state in states.values():
            held = self.applied.get(state.key)
            if held is None or held.as_of <= state.as_of:
                self.applied[state.key] = Applied(state.as_of, state.fetched, state.digest)

    def _read(self, key: ObjectKey, newest: datetime) -> State:
        self.fetches += 1
        history = self.truth[key]
        known = [body for since, body in history if self.late or since <= self.now]
        at = history[-1][0] + 1 if self.late else self.now
        return fetched_state(
            key, known[-1] if known else None, max(newest, datetime.fromtimestamp(at, UTC)), ()
        )

    def _links(self, states: dict[ObjectKey, State]) -> Links:
        known = dict(states)
        for _ in range(3):
            links = links_of(known.values())
            needs = needs_of(known.values(), links)
            for key in needs.objects:
                if key not in known:
                    known[key] = self._read(key, datetime.fromtimestamp(T0, UTC))
            for intent in needs.invoice_payments_of:
                for key in self.truth:
                    body = self.truth[key][-1][1]
                    if (
                        key.type == "invoice_payment"
                        and body
                        and body["payment"].get("payment_intent") == intent
                    ):
                        known[key] = self._read(key, datetime.fromtimestamp(T0, UTC))
        links = links_of(known.values())
        assert all(customer_of(state, links) for state in states.values() if not state.deleted)
        return links

    def _parents(self, states: dict[ObjectKey, State], links: Links) -> None:
        fresh = list(states.values())
        while fresh:
            wanted = {parent for state in fresh for parent in parents_of(state, links)}
            missing = [
                key for key in wanted if key not in states and key not in self.applied and key in self.truth
            ]
            fresh = [self._read(key, datetime.fromtimestamp(T0, UTC)) for key in missing]
            states.update({state.key: state for state in fresh})
