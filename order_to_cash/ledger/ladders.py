"""The dunning ladders: one for each unpaid invoice, with its journal, until it ends.

    open(...) → wake(...) → claim(...) → begin_step(...) → finish_step(...) → settle(...) | end(...)

Claims come by customer: while somebody holds one of a customer's ladders, nobody else can claim any of them. A claim is
a lease with a token, and the token is the fence: what is written with a lost one is refused as ClaimLost. Holding on
past the end of the lease is no crime as long as nobody has taken over.

`generation` counts wakings and changes of what comes next. A ladder that is woken while it is claimed keeps its
time when it is settled, so that it is read once more: whoever held it may have read before what woke it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.ledger import (
    ladder_alarms,
    ladder_claims,
    ladder_holds,
    ladder_journal,
    ladder_search,
    ladder_wakings,
)
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_records import (
    Alarm,
    ClaimedLadder,
    DueLadders,
    Ladder,
    LadderFilter,
    LadderStatus,
    NewLadder,
    PlacedHold,
    Settled,
    StepOutcome,
)
from order_to_cash.ledger.ladder_tables import POLICY

LEASE_SECONDS = 120


class Ladders:
    """Every method is one transaction; all may raise Unavailable. Thread-safe, blocking.

    Those that write for many come back with invoice id → ClaimLost for the ladders that somebody else has; for these
    nothing was written.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def keep_policy(self, version: str, body: Mapping[str, Any], name: str) -> None:
        """Keep a policy for the ladders that begin with it. A version is kept once, as it came first."""
        row = {"version": version, "name": name, "body": dict(body), "kept_at": self._clock.now()}
        with self._database.write() as connection:
            self._database.insert_new(connection, POLICY, row)

    def policy(self, version: str) -> dict[str, Any] | None:
        """A policy as it was kept; None when it never was."""
        with self._database.read() as connection:
            body: dict[str, Any] | None = connection.scalar(
                select(POLICY.c.body).where(POLICY.c.version == version)
            )
        return body

    def open(self, ladders: Sequence[NewLadder]) -> set[str]:
        """Begin ladders; of which invoices one began. An invoice that has or had a ladder is left alone.

        Raises ConfigurationError (`policy_not_kept`) when a policy was not kept before; then none begins.
        """
        if not ladders:
            return set()
        with self._database.write() as connection:
            return ladder_wakings.open_new(self._database, connection, ladders, self._clock.now())

    def wake(
        self,
        invoice_ids: Collection[str] = (),
        customer_ids: Collection[str] = (),
        at: datetime | None = None,
    ) -> int:
        """Have ladders that have not ended looked at now, or at `at`, unless it is sooner anyway; how many.

        Of those invoices, and all of those customers. Alarms that are set for them are stale after this.
        """
        if not invoice_ids and not customer_ids:
            return 0
        subjects, when = (invoice_ids, customer_ids), at or self._clock.now()
        with self._database.write() as connection:
            return ladder_wakings.wake(self._database, connection, subjects, when)

    def claim(
        self,
        owner: str,
        *,
        customers: int,
        before: datetime | None = None,
        invoice_ids: Collection[str] | None = None,
        unarmed_only: bool = False,
        lease_seconds: float = LEASE_SECONDS,
    ) -> list[ClaimedLadder]:
        """Take all open ladders of up to `customers` customers, those first whose ladder waits longest.

        Of customers who have a ladder due at or before `before` (None: now), with `unarmed_only` one that no alarm
        will wake; or, with `invoice_ids`, of customers of these, due or not. None whom somebody else holds.
        `due` says of each whether it was asked for so. `owner` names the process to people.
        """
        now = self._clock.now()
        wanted = ladder_claims.Wanted(customers, before or now, invoice_ids, unarmed_only)
        until = (now, now + timedelta(seconds=lease_seconds))
        with self._database.write() as connection:
            return ladder_claims.claim(self._database, connection, owner, wanted, until)

    def renew(self, claims: Sequence[ClaimedLadder], lease_seconds: float = LEASE_SECONDS) -> int:
        """Hold them until `lease_seconds` from now; of how many ladders that is so."""
        if not claims:
            return 0
        until = self._clock.now() + timedelta(seconds=lease_seconds)
        with self._database.write() as connection:
            return ladder_claims.renew(self._database, connection, claims, until)

    def release(self, claims: Sequence[ClaimedLadder]) -> None:
        """Let others take them as they stand. What is lost or settled already is left alone."""
        if claims:
            with self._database.write() as connection:
                ladder_claims.release(self._database, connection, claims)

    def begin_step(self, claim: ClaimedLadder, key: str, run_id: str) -> None:
        """As `begin_steps`, for one. Raises ClaimLost."""
        _raise_lost(self.begin_steps([(claim, key)], run_id))

    def begin_steps(self, steps: Sequence[tuple[ClaimedLadder, str]], run_id: str) -> dict[str, ClaimLost]:
        """Commit that these steps are taken, before their first effect. One that is begun already is resumed.

        Raises ValueError, and writes nothing, for a step that was decided before, or while another one of the ladder
        is begun.
        """
        if not steps:
            return {}
        with self._database.write() as connection:
            return ladder_journal.begin(self._database, connection, steps, run_id, self._clock.now())

    def finish_step(
        self,
        claim: ClaimedLadder,
        key: str,
        *,
        state: StepState,
        note: str = "",
        contacted_at: datetime | None = None,
    ) -> None:
        """As `finish_steps`, for one. Raises ClaimLost."""
        outcome = StepOutcome(claim=claim, key=key, state=state, note=note, contacted_at=contacted_at)
        _raise_lost(self.finish_steps([outcome]))

    def finish_steps(self, outcomes: Sequence[StepOutcome]) -> dict[str, ClaimLost]:
        """Commit what became of steps, contacts included. Saying the same of a step again changes nothing.

        Raises ValueError, and writes nothing, for a step that is done without having been begun, that was decided
        otherwise before, or while another one of the ladder is begun.
        """
        if not outcomes:
            return {}
        with self._database.write() as connection:
            return ladder_journal.finish(self._database, connection, outcomes, self._clock.now())

    def settle(self, settled: Sequence[Settled]) -> dict[str, ClaimLost]:
        """Let ladders sleep, and others take them. One that was woken since it was claimed stays due."""
        if not settled:
            return {}
        with self._database.write() as connection:
            return ladder_journal.settle(self._database, connection, settled)

    def end(self, ended: Sequence[tuple[ClaimedLadder, EndReason]]) -> dict[str, ClaimLost]:
        """End ladders, for ever. Their amounts stay as they were last read while they were open."""
        if not ended:
            return {}
        with self._database.write() as connection:
            return ladder_journal.end(self._database, connection, ended, self._clock.now())

    def hold(
        self,
        *,
        invoice_id: str = "",
        customer_id: str = "",
        until: datetime | None,
        reason: str,
        by: str,
    ) -> int:
        """A person wants nothing done, until then or until it is resumed (None); how many open ladders it is about.

        Of one invoice, or of a customer with all ladders that will be opened. They are woken, so that they show it.
        What was said of the same subject before is overwritten.
        """
        now, subject_id = self._clock.now(), ladder_holds.subject_of(invoice_id, customer_id)
        placed = PlacedHold(subject_id=subject_id, until=until, reason=reason, placed_by=by, placed_at=now)
        with self._database.write() as connection:
            ladder_holds.place(self._database, connection, placed)
            return ladder_wakings.wake(self._database, connection, ([invoice_id], [customer_id]), now)

    def resume(self, *, invoice_id: str = "", customer_id: str = "", by: str) -> bool:
        """Take a hold back and wake what it held. False when none was in force on that very invoice or customer."""
        now, subject_id = self._clock.now(), ladder_holds.subject_of(invoice_id, customer_id)
        with self._database.write() as connection:
            held = ladder_holds.take_back(connection, subject_id, by, now)
            if held:
                ladder_wakings.wake(self._database, connection, ([invoice_id], [customer_id]), now)
        return held

    def holds(self) -> list[PlacedHold]:
        """All that are in force, oldest first."""
        with self._database.read() as connection:
            return ladder_holds.all_in_force(connection, self._clock.now())

    def alarms_wanted(self, limit: int, after: datetime | None = None) -> list[Alarm]:
        """Ladders that nobody holds, due later than `after` (None: now), without a run for their generation.

        Of those that wait for a step: what is held, rests or failed is looked at without an alarm.
        """
        now = self._clock.now()
        with self._database.read() as connection:
            return ladder_alarms.wanted(connection, after or now, now, limit)

    def alarm_set(self, invoice_id: str, generation: int, run_id: str) -> bool:
        """Remember the run that wakes a ladder. False: the ladder has moved on or ended, and the run is stale."""
        return not self.alarms_set([(invoice_id, generation, run_id)])

    def alarms_set(self, alarms: Sequence[tuple[str, int, str]]) -> set[str]:
        """As `alarm_set`, for many: invoice id, generation, run id; the ids of those runs that are stale."""
        if not alarms:
            return set()
        with self._database.write() as connection:
            return ladder_alarms.set_runs(self._database, connection, alarms)

    def alarmed(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Which of these runs are still to wake a ladder: run id → invoice id. Any other is stale."""
        with self._database.read() as connection:
            return ladder_alarms.current(self._database, connection, run_ids)

    def alarms_current(self, due_before: datetime | None = None) -> dict[str, str]:
        """Runs that are still to wake a ladder, of all or those due by then: run id → invoice id."""
        with self._database.read() as connection:
            return ladder_alarms.all_current(connection, due_before)

    def alarms_stale(self, limit: int) -> dict[str, str]:
        """Runs of ladders that ended, rest or moved on, to be cancelled: run id → invoice id."""
        with self._database.read() as connection:
            return ladder_alarms.stale(connection, limit)

    def alarms_gone(self, run_ids: Sequence[str]) -> int:
        """These runs are cancelled, finished or lost: whose alarm one was has none; how many ladders that is."""
        if not run_ids:
            return 0
        with self._database.write() as connection:
            return ladder_alarms.forget(self._database, connection, run_ids)

    def get(self, invoice_id: str) -> Ladder | None:
        """One ladder; None when the invoice never had one."""
        found = self.find(LadderFilter(invoice_ids=(invoice_id,)), 1)
        return found[0] if found else None

    def find(self, wanted: LadderFilter, limit: int = 100) -> list[Ladder]:
        """What matches: open ladders first, the sooner due the earlier; then ended ones, newest first."""
        with self._database.read() as connection:
            return ladder_search.find(self._database, connection, wanted, self._clock.now(), limit)

    def counts(self) -> dict[LadderStatus, int]:
        """How many ladders are waiting, held and resting; zeros included. Cheap however many have ended."""
        with self._database.read() as connection:
            return ladder_search.counts(connection)

    def due(self, before: datetime | None = None, *, unarmed_only: bool = False) -> DueLadders:
        """What nobody holds and is due at or before `before` (None: now); see `claim`. Cheap: ask it each second."""
        now = self._clock.now()
        with self._database.read() as connection:
            return ladder_search.due(connection, before or now, now, unarmed_only=unarmed_only)

    def recovery(self, since: datetime, until: datetime) -> list[Ladder]:
        """Ladders that were open at any moment from `since` until before `until`, oldest first."""
        with self._database.read() as connection:
            return ladder_search.recovery(self._database, connection, (since, until), self._clock.now())


def _raise_lost(lost: Mapping[str, ClaimLost]) -> None:
    for error in lost.values():
        raise error
