"""Stripe events from the moment they are acknowledged until Salesforce shows them.

    Ledger.inbox (Inbox)                 store · claim · renew · finish · counts · oldest_waiting · newest_created ·
                                         find · get · body · reopen · prune
    inbox_claims                         ClaimedEvent, EventOutcome (.done .ignored .retry .parked .released),
                                         EventState, EventSource, Lane
    inbox_search                         EventFilter, Reopened, Turn, history_of

    ledger.inbox.store(events, EventSource.WEBHOOK)          → how many were new
    claims = ledger.inbox.claim("drain-1", 2000, 120)        → [ClaimedEvent(seq, event, attempts, token, …)]
    ledger.inbox.renew(claims, 120)                          → how many are still held
    ledger.inbox.finish([EventOutcome.done(claims[0]), EventOutcome.retry(claims[1], error, due_at), …])
                                                             → how many were; what another drain took over is not

States: pending → claimed → done | ignored | retry (due_at) → claimed … | parked → (reopen) → pending.

No event waits for another one. A parked or retried event does not hold up later ones of its object or customer:
state is written by version, so an older event that is applied after a newer one changes nothing, and what must
happen for each event (signals) has a key of its own. Holding a customer's later payments back behind one refused
record would help nobody. What is kept apart is only writing at the same time: two live claims never share a partition.

A claim is a lease with a token. Whoever holds it past its end and is late may still finish, unless another claim
took the event over: then its outcome is dropped, and what it wrote outside was by version and by key. What a dead
drain held becomes due when its lease ends, behind what arrived before that moment, so that an event that kills its
drain delays nobody else; `attempts` tells it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger import inbox_claims, inbox_search, inbox_store
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_claims import (
    ClaimedEvent,
    EventOutcome,
    EventSource,
    EventState,
    Lane,
)
from order_to_cash.ledger.inbox_search import EventFilter, Reopened
from order_to_cash.ledger.inbox_tables import BODY, INBOX, InboxRow

BODIES_DAYS = 90
"""How long the bodies of finished events are kept: as long as the audit log's."""

_OPEN_STATES = (EventState.PENDING, EventState.CLAIMED, EventState.RETRY, EventState.PARKED)
_PRUNED_AT_ONCE = 5_000  # a writer waits for no more than this many rows
_PRUNED_AT_MOST = 1_000_000  # the rest goes the next day


class Inbox:
    """Every method is one transaction unless it says otherwise; all may raise Unavailable. Thread-safe, blocking."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def store(self, events: Sequence[StripeEvent], source: EventSource) -> int:
        """Keep them all, durably, in one transaction; how many were new.

        An event that is there already (account, mode and id) stays as it is, whatever its state.
        """
        if not events:
            return 0
        return inbox_store.store(self._database, events, EventSource(source), self._clock.now())

    def claim(
        self,
        owner: str,
        limit: int = 2000,
        lease_seconds: float = 120,
        lanes: Collection[Lane] = tuple(Lane),
        more: int = 0,
    ) -> list[ClaimedEvent]:
        """Take up to `limit` events that are due, live ones first, then those that wait longest.

        With more than `limit` waiting, up to `more` others of the same partitions are taken as well: they would wait
        for this claim to end, and what follows each other is written once. None shares its partition with a live
        claim, of whomever. Several drains may claim at once.
        `owner` names the process to people.
        """
        with self._leasing(lease_seconds) as (connection, until):
            return inbox_claims.claim(self._database, connection, owner, limit, until, lanes, more)

    def renew(self, claims: Sequence[ClaimedEvent], lease_seconds: float = 120) -> int:
        """Hold them until `lease_seconds` from now; of how many that is so.

        Not of those that are finished, and not of those whose lease has ended: another claim may hold their partition.
        """
        with self._leasing(lease_seconds) as (connection, until):
            return inbox_claims.renew(self._database, connection, claims, until)

    def finish(self, outcomes: Sequence[EventOutcome]) -> int:
        """Say what became of claimed events; of how many that was taken. What another claim took over is left alone.

        Raises ValueError for an outcome that is none: `retry` without `due_at`, or the reverse.
        """
        if not outcomes:
            return 0
        with self._database.write() as connection:
            return inbox_claims.finish(self._database, connection, outcomes, self._clock.now())

    def counts(self) -> dict[EventState, int]:
        """How many events are pending, claimed, retry and parked; zeros included. Cheap however many are done."""
        query = select(INBOX.c.state, func.count()).where(INBOX.c.finished_at.is_(None))
        with self._database.read() as connection:
            found: dict[str, int] = {
                row[0]: row[1] for row in connection.execute(query.group_by(INBOX.c.state))
            }
        return {state: found.get(state, 0) for state in _OPEN_STATES}

    def oldest_waiting(self) -> datetime | None:
        """Since when the event that waits longest could be taken; None when none is due."""
        now = self._clock.now()
        with self._database.read() as connection:
            firsts = [
                connection.scalar(
                    select(INBOX.c.due_at)
                    .where(INBOX.c.lane == lane, INBOX.c.due_at <= now)
                    .order_by(INBOX.c.due_at)
                    .limit(1)
                )
                for lane in Lane
            ]
        return min((first for first in firsts if first is not None), default=None)

    def newest_created(self) -> datetime | None:
        """`created` of the newest event, whatever its state; None in an empty inbox."""
        with self._database.read() as connection:
            newest: datetime | None = connection.scalar(select(func.max(INBOX.c.created)))
        return newest

    def find(self, wanted: EventFilter, limit: int = 100) -> list[InboxRow]:
        """What matches, newest first. Without bodies."""
        with self._database.read() as connection:
            return inbox_search.find(self._database, connection, wanted, limit)

    def get(self, event_id: str) -> InboxRow | None:
        """One event, without its body; None when it never came."""
        found = self.find(EventFilter(event_ids=(event_id,)), 1)
        return found[0] if found else None

    def body(self, seq: int) -> bytes | None:
        """What Stripe sent: personal data. None when it is pruned."""
        with self._database.read() as connection:
            return connection.scalar(select(BODY.c.body).where(BODY.c.seq == seq))

    def reopen(self, wanted: EventFilter, cap: int = 1000, *, dry_run: bool = False) -> Reopened:
        """Let events that are parked, done or ignored be applied again: the oldest `cap` of what matches.

        They keep their source, count as catch-up, and start with no attempts. `dry_run` only tells.
        """
        now = self._clock.now()
        with self._database.read() if dry_run else self._database.write() as connection:
            return inbox_search.reopen(self._database, connection, wanted, cap, now, dry_run=dry_run)

    def prune(self, days: int = BODIES_DAYS) -> int:
        """Forget the bodies of events that were done or ignored so many days ago; how many. Their rows stay.

        What is old is looked for without holding anybody up, and forgotten in several transactions.
        """
        before = self._clock.now() - timedelta(days=days)
        old = INBOX.c.finished_at < before
        query = select(BODY.c.seq).join(INBOX, INBOX.c.seq == BODY.c.seq).where(old).order_by(BODY.c.seq)
        with self._database.read() as connection:
            seqs = list(connection.scalars(query.limit(_PRUNED_AT_MOST)))
        pruned = 0
        for start in range(0, len(seqs), _PRUNED_AT_ONCE):
            part = self._database.among(INBOX.c.seq, seqs[start : start + _PRUNED_AT_ONCE])
            with self._database.write() as connection:
                # Locked: a replay at this moment either keeps its body or finds it gone.
                still = list(connection.scalars(select(INBOX.c.seq).where(part, old).with_for_update()))
                gone = delete(BODY).where(self._database.among(BODY.c.seq, still))
                pruned += connection.execute(gone).rowcount
        return pruned

    @contextmanager
    def _leasing(self, lease_seconds: float) -> Iterator[tuple[Connection, tuple[datetime, datetime]]]:
        """One transaction at a time, and what time it is in it: now, and the end of a lease that begins now.

        A renewal that overlapped with a claim could prolong a lease that the claim had just seen end.
        """
        with self._database.write() as connection:
            self._database.serialize(connection, "inbox-claim")
            now = self._clock.now()
            yield connection, (now, now + timedelta(seconds=lease_seconds))
