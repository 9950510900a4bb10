"""One run at a time for a thing that many obligations share, such as a Stripe customer.

A lease can be taken again and again. What is done under it is written down elsewhere, in `operations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.ledger.claims import held_elsewhere
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import LEASE, LeaseRow

LEASE_SECONDS = 120
"""Longer than one Stripe call with all its tries (60 s) and the last one's time-out (20 s)."""


@dataclass(frozen=True)
class Lease:
    """What a run holds. `token` is another one each time the lease is taken."""

    key: str
    run_id: str
    token: str


class Leases:
    """Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def take(self, key: str, run_id: str) -> Lease:
        """The lease on `key` for 120 s. Raises ClaimedElsewhere while another run holds it.

        The same run, unless its id is empty, gets it back at once; its former lease is lost then.
        """
        now = self._clock.now()
        lease = Lease(key, run_id, uuid4().hex)
        until = now + timedelta(seconds=LEASE_SECONDS)
        row = LeaseRow(key=key, token=lease.token, run_id=run_id, expires_at=until).model_dump()
        with self._database.write() as connection:
            if self._database.insert_new(connection, LEASE, row):
                return lease
            held = connection.execute(select(LEASE).where(LEASE.c.key == key).with_for_update()).one()
            mine = bool(run_id) and held.run_id == run_id
            if held.expires_at is not None and held.expires_at > now and not mine:
                raise held_elsewhere("record", key, held.run_id, held.expires_at, now)
            connection.execute(update(LEASE).where(LEASE.c.key == key).values(**row))
        return lease

    def renew(self, lease: Lease) -> None:
        """Hold it for another 120 s. Raises ClaimLost when another run has taken it, or it was given back."""
        until = self._clock.now() + timedelta(seconds=LEASE_SECONDS)
        with self._database.write() as connection:
            mine = (LEASE.c.key == lease.key) & (LEASE.c.token == lease.token)
            if connection.execute(update(LEASE).where(mine).values(expires_at=until)).rowcount != 1:
                raise ClaimLost(
                    "The lease ended: it expired and another run took it, or it was given back.",
                    ids={"lease": lease.key, "run": lease.run_id},
                )

    def give_back(self, lease: Lease) -> bool:
        """Let others take it. False when it was lost before."""
        with self._database.write() as connection:
            mine = (LEASE.c.key == lease.key) & (LEASE.c.token == lease.token)
            ended = update(LEASE).where(mine).values(token="", expires_at=None)
            return connection.execute(ended).rowcount == 1
