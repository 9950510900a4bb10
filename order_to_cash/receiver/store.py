"""What the receiver asks of the ledger, and nothing more: to write two kinds of rows, and to say how it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.metrics import InboxState
from order_to_cash.receiver.salesforce import Nudge


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom the ledger belongs; ids are empty before they are known."""

    stripe_account_id: str
    salesforce_org_id: str


class Store(Protocol):
    """Every method blocks, is thread-safe, and raises Unavailable when the database does not answer."""

    def store_events(self, events: Sequence[StripeEvent]) -> None:
        """Commit them; one that is there already stays as it is."""

    def put_nudges(self, nudges: Sequence[Nudge]) -> None:
        """Commit them; those of one kind together."""

    def owner(self) -> Owner:
        """To whom the ledger belongs."""

    def is_current(self) -> bool:
        """Whether the tables are those of this version."""

    def inbox_state(self) -> InboxState:
        """What waits in the inbox."""


class LedgerStore:
    """The ledger behind that protocol."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def store_events(self, events: Sequence[StripeEvent]) -> None:
        self._ledger.inbox.store(events, EventSource.WEBHOOK)

    def put_nudges(self, nudges: Sequence[Nudge]) -> None:
        kinds: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for nudge in nudges:
            kinds[nudge.org_id, nudge.sobject].append(nudge.record_id)
        for (org_id, sobject), record_ids in kinds.items():
            self._ledger.nudges.put(org_id, sobject, record_ids)

    def owner(self) -> Owner:
        identity = self._ledger.identity()
        if identity is None:
            return Owner("", "")
        return Owner(identity.stripe_account_id, identity.salesforce_org_id)

    def is_current(self) -> bool:
        return self._ledger.is_current()

    def inbox_state(self) -> InboxState:
        oldest = self._ledger.inbox.oldest_waiting()
        age_seconds = 0.0
        if oldest is not None:
            age_seconds = max(0.0, (self._clock.now() - oldest).total_seconds())
        counts = self._ledger.inbox.counts()
        return InboxState({str(state): count for state, count in counts.items()}, age_seconds)
