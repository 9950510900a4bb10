"""Who may move a ladder: claiming by customer, renewing, releasing, and the fence. Used through `Ladders`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, case, func, literal_column, or_, select, update

from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.errors import ClaimLost
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ladder_records import ClaimedLadder
from order_to_cash.ledger.ladder_search import assembled, is_due
from order_to_cash.ledger.ladder_tables import LADDER, LADDER_CUSTOMER, STEP


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which customers to claim: those with a ladder due at or before `before`, or with a ladder that is named."""

    customers: int
    before: datetime
    invoice_ids: Collection[str] | None
    unarmed_only: bool

    def ladders(self, database: Database) -> ColumnElement[bool]:
        """Those that are asked for."""
        if self.invoice_ids is None:
            return is_due(self.before, unarmed_only=self.unarmed_only)
        return database.among(LADDER.c.invoice_id, sorted(self.invoice_ids)) & LADDER.c.ended_at.is_(None)


def claim(
    database: Database, connection: Connection, owner: str, wanted: Wanted, until: tuple[datetime, datetime]
) -> list[ClaimedLadder]:
    """See `Ladders.claim`. `until`: now, and the end of the lease."""
    now, lease_until = until
    free = _lock_free(database, connection, wanted, now)
    asked = select(LADDER.c.invoice_id, LADDER.c.customer_id).where(
        wanted.ladders(database), database.among(LADDER.c.customer_id, free)
    )
    # Read again under the lock: another process may have moved them between the look and the lock.
    due = {row.invoice_id: row.customer_id for row in connection.execute(asked)}
    customers = sorted(set(due.values()))
    if not customers:
        return []
    of_them = (database.among(LADDER.c.customer_id, customers)) & LADDER.c.ended_at.is_(None)
    query = select(LADDER).where(of_them).order_by(LADDER.c.invoice_id).with_for_update()
    rows = connection.execute(query).all()
    token = uuid4().hex
    taken = {"claim_token": token, "claimed_by": owner, "lease_until": lease_until}
    mine = database.among(LADDER_CUSTOMER.c.customer_id, customers)
    connection.execute(update(LADDER_CUSTOMER).where(mine).values(**taken))
    # Of exactly these: one that was opened since then would have a token that nobody knows.
    locked = database.among(LADDER.c.invoice_id, [row.invoice_id for row in rows])
    connection.execute(update(LADDER).where(locked).values(claim_token=token))
    contacts = _last_contacts(database, connection, customers)
    return [
        ClaimedLadder(
            ladder=ladder,
            token=token,
            lease_until=lease_until,
            due=ladder.invoice_id in due,
            last_contact_at=_last_contact(contacts.get(ladder.customer_id, {}), ladder.invoice_id),
        )
        for ladder in assembled(database, connection, rows, now)
    ]


def _lock_free(database: Database, connection: Connection, wanted: Wanted, now: datetime) -> list[str]:
    """Customers whom nobody holds, those first whose ladder waits longest; locked."""
    asked = (
        select(LADDER.c.customer_id, func.min(LADDER.c.due_at).label("first"))
        .where(wanted.ladders(database))
        .group_by(LADDER.c.customer_id)
        .subquery()
    )
    free = or_(LADDER_CUSTOMER.c.lease_until.is_(None), LADDER_CUSTOMER.c.lease_until <= now)
    query = (
        select(LADDER_CUSTOMER.c.customer_id)
        .join(asked, asked.c.customer_id == LADDER_CUSTOMER.c.customer_id)
        .where(free)
        .order_by(asked.c.first, LADDER_CUSTOMER.c.customer_id)
        .limit(wanted.customers)
        .with_for_update(of=LADDER_CUSTOMER, skip_locked=True)
    )
    return list(connection.scalars(query))


def _last_contacts(
    database: Database, connection: Connection, customers: Sequence[str]
) -> dict[str, dict[str, datetime]]:
    """Customer → the newest contact, "" for those that are over, else by the ladder whose step is begun."""
    # Literals: PostgreSQL groups by an expression only where it is the same, parameters included.
    begun = STEP.c.state == literal_column(f"'{StepState.BEGUN}'")
    own = case((begun, STEP.c.invoice_id), else_=literal_column("''")).label("own")
    query = (
        select(STEP.c.customer_id, own, func.max(STEP.c.contacted_at))
        .where(database.among(STEP.c.customer_id, customers), STEP.c.contacted_at.is_not(None))
        .group_by(STEP.c.customer_id, own)
    )
    found: dict[str, dict[str, datetime]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], {})[row[1]] = row[2]
    return found


def _last_contact(contacts: Mapping[str, datetime], invoice_id: str) -> datetime | None:
    """Without that of a step of this ladder that is begun and not done: finishing it is the same contact."""
    return max((at for own, at in contacts.items() if own != invoice_id), default=None)


def renew(
    database: Database, connection: Connection, claims: Sequence[ClaimedLadder], lease_until: datetime
) -> int:
    """See `Ladders.renew`."""
    lock_customers(database, connection, claims)
    held = 0
    for token, of_token in _by_token(claims).items():
        customers = sorted({claimed.ladder.customer_id for claimed in of_token})
        mine = _customers(database, customers, token)
        connection.execute(update(LADDER_CUSTOMER).where(mine).values(lease_until=lease_until))
        ladders = _ladders(database, of_token, token)
        held += connection.scalar(select(func.count()).select_from(LADDER).where(ladders)) or 0
    return held


def release(database: Database, connection: Connection, claims: Sequence[ClaimedLadder]) -> None:
    """See `Ladders.release`."""
    lost = fenced(database, connection, claims)
    free(database, connection, [claimed for claimed in claims if claimed.ladder.invoice_id not in lost])


def free(database: Database, connection: Connection, claims: Sequence[ClaimedLadder]) -> None:
    """Nobody moves these ladders any more; a customer of whom none is left is free as well. They are locked."""
    for token, of_token in _by_token(claims).items():
        connection.execute(update(LADDER).where(_ladders(database, of_token, token)).values(claim_token=""))
        customers = sorted({claimed.ladder.customer_id for claimed in of_token})
        left = select(LADDER.c.invoice_id).where(
            LADDER.c.customer_id == LADDER_CUSTOMER.c.customer_id, LADDER.c.claim_token == token
        )
        done = _customers(database, customers, token) & ~left.exists()
        ended = {"claim_token": "", "claimed_by": "", "lease_until": None}
        connection.execute(update(LADDER_CUSTOMER).where(done).values(**ended))


def fenced(
    database: Database, connection: Connection, claims: Iterable[ClaimedLadder]
) -> dict[str, ClaimLost]:
    """Lock customers and ladders, in one order for everyone; invoice id → why, for each claim that is lost."""
    wanted = {claimed.ladder.invoice_id: claimed for claimed in claims}
    holders = lock_customers(database, connection, list(wanted.values()))
    query = (
        select(LADDER.c.invoice_id, LADDER.c.claim_token)
        .where(database.among(LADDER.c.invoice_id, sorted(wanted)))
        .order_by(LADDER.c.invoice_id)
        .with_for_update()
    )
    tokens: dict[str, str] = {row[0]: row[1] for row in connection.execute(query)}
    return {
        invoice_id: lost(claimed, holders.get(claimed.ladder.customer_id, ""))
        for invoice_id, claimed in wanted.items()
        if tokens.get(invoice_id) != claimed.token
    }


def lock_customers(
    database: Database, connection: Connection, claims: Sequence[ClaimedLadder]
) -> dict[str, str]:
    """Who holds them. Two threads that end the last two ladders of one customer would each leave the customer held."""
    customers = sorted({claimed.ladder.customer_id for claimed in claims})
    query = (
        select(LADDER_CUSTOMER.c.customer_id, LADDER_CUSTOMER.c.claimed_by)
        .where(database.among(LADDER_CUSTOMER.c.customer_id, customers))
        .order_by(LADDER_CUSTOMER.c.customer_id)
        .with_for_update()
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def lost(claimed: ClaimedLadder, held_by: str) -> ClaimLost:
    """The error for a write with a token that is no longer the ladder's."""
    return ClaimLost(
        "The claim on this ladder ended: its lease expired and another process took it, or it was settled before.",
        ids={"invoice": claimed.ladder.invoice_id, "held_by": held_by or "nobody"},
        remedy="Nothing to do: whoever holds the ladder reads everything again.",
    )


def _by_token(claims: Iterable[ClaimedLadder]) -> dict[str, list[ClaimedLadder]]:
    found: defaultdict[str, list[ClaimedLadder]] = defaultdict(list)
    for claimed in claims:
        found[claimed.token].append(claimed)
    return {token: found[token] for token in sorted(found)}


def _customers(database: Database, customers: Sequence[str], token: str) -> ColumnElement[bool]:
    named = database.among(LADDER_CUSTOMER.c.customer_id, customers)
    return named & (LADDER_CUSTOMER.c.claim_token == token)


def _ladders(database: Database, claims: Sequence[ClaimedLadder], token: str) -> ColumnElement[bool]:
    invoice_ids = sorted({claimed.ladder.invoice_id for claimed in claims})
    return database.among(LADDER.c.invoice_id, invoice_ids) & (LADDER.c.claim_token == token)
