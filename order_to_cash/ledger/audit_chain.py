"""What makes the audit log tamper-evident: sealed rows form a chain of hashes.

    row_hash = sha256(hash of the row before + canonical JSON of the row without its bodies)

A row carries digests of its bodies, so that bodies can be forgotten while the chain still verifies. The
anchor row knows where the chain begins (rows older than the retention are gone) and where it ends.

`verify` notices in sealed rows: an edit, a missing, added or exchanged row, a missing tail, a body that was
edited or removed before its time; and rows that were slipped in with an old date. It cannot notice:

- an edit of a row that is not sealed yet: seal every few minutes;
- someone who can write the whole database and recomputes the chain and the anchor from the edit on. Keep
  the `Head` that `seal` returns somewhere else (a log, a message, a run's artifact) and give it to
  `verify`: a recomputed or shortened chain does not contain it;
- that a call never reached the log: the gateways commit the intent before each call for that reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, or_, select, update

from order_to_cash.domain.identity import canonical_json
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import ANCHOR, AUDIT

_BATCH = 1000
_NO_HASH = "0" * 64
_UNHASHED = {"row_hash", "chain_no", "request_body", "response_body"}
_HASHED = tuple(sorted(column.name for column in AUDIT.c if column.name not in _UNHASHED))


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many rows were ever sealed, and the hash of the last one."""

    count: int
    hash: str


@dataclass(frozen=True)
class BrokenRow:
    """Where the log does not hold. `seq` and `audit_id` are empty for a row that is missing."""

    chain_no: int | None
    seq: int | None
    audit_id: str
    reason: str


def seal(database: Database, now: datetime, stale: timedelta) -> Head:
    """Append to the chain: rows with an outcome, and those without one that began before `now - stale`.

    Within a batch in the order of `seq`. A younger row without outcome is left for later, and holds nothing
    up.
    """
    while True:
        head, sealed = _seal_batch(database, now - stale)
        if sealed < _BATCH:
            return head


def _seal_batch(database: Database, before: datetime) -> tuple[Head, int]:
    with database.write() as connection:
        start = {"base_no": 1, "base_hash": _NO_HASH, "head_no": 0, "head_hash": _NO_HASH}
        database.insert_new(connection, ANCHOR, {"id": 1} | start)
        anchor = connection.execute(select(ANCHOR).with_for_update()).one()
        rows = connection.execute(
            select(AUDIT)
            .where(
                AUDIT.c.chain_no.is_(None), or_(AUDIT.c.finished_at.is_not(None), AUDIT.c.started_at < before)
            )
            .order_by(AUDIT.c.seq)
            .limit(_BATCH)
            .with_for_update()
        ).all()
        number, last = anchor.head_no, anchor.head_hash
        links = []
        for row in rows:
            number += 1
            last = row_hash(last, number, row)
            links.append({"b_seq": row.seq, "b_no": number, "b_hash": last})
        if links:
            chained = update(AUDIT).where(AUDIT.c.seq == bindparam("b_seq"))
            connection.execute(
                chained.values(chain_no=bindparam("b_no"), row_hash=bindparam("b_hash")), links
            )
        # Only a batch that was not cut off has sealed everything that began before `before`.
        until = before if len(rows) < _BATCH else anchor.sealed_until
        if anchor.sealed_until is not None and until is not None:
            until = max(until, anchor.sealed_until)
        connection.execute(update(ANCHOR).values(head_no=number, head_hash=last, sealed_until=until))
        return Head(number, last), len(rows)


def row_hash(previous: str, number: int, row: Row[Any]) -> str:
    """The hash of `row` as the link `number` of the chain, after the link with the hash `previous`."""
    content = canonical_json([number, *(getattr(row, name) for name in _HASHED)])
    return hashlib.sha256((previous + content).encode()).hexdigest()


def verify(database: Database, expected: Head | None = None) -> BrokenRow | None:
    """Recompute the chain; the first thing that does not hold, or None.

    `expected` is a head that was kept elsewhere. One whose row was pruned meanwhile proves nothing any more.
    """
    with database.read() as connection:
        anchor = connection.execute(select(ANCHOR)).first()
        if anchor is None:
            orphan = connection.execute(select(AUDIT).where(AUDIT.c.chain_no.is_not(None)).limit(1)).first()
            if orphan is not None:
                return _broken(orphan, "sealed, but the anchor row is missing")
            return BrokenRow(1, None, "", "the chain is missing") if expected and expected.count else None
        if expected is not None and expected.count > anchor.head_no:
            return BrokenRow(anchor.head_no + 1, None, "", "the chain ends before the expected head")
        return _first_break(connection, anchor, expected) or _slipped_in(connection, anchor)


def _first_break(connection: Connection, anchor: Row[Any], expected: Head | None) -> BrokenRow | None:
    number, last = anchor.base_no - 1, anchor.base_hash
    for row in _chained(connection):
        number += 1
        if row.chain_no < number:
            return _broken(row, "added before the beginning of the chain")
        if row.chain_no > number:
            return BrokenRow(number, None, "", "missing from the chain")
        if number > anchor.head_no:
            return _broken(row, "added after the end of the chain")
        last = row_hash(last, number, row)
        if reason := _fault(row, last, anchor, expected):
            return _broken(row, reason)
    if number < anchor.head_no:
        return BrokenRow(number + 1, None, "", "missing from the end of the chain")
    return (
        None if last == anchor.head_hash else BrokenRow(number, None, "", "the anchor does not fit the chain")
    )


def _fault(row: Row[Any], computed: str, anchor: Row[Any], expected: Head | None) -> str:
    if computed != row.row_hash:
        return "edited after it was sealed"
    if expected is not None and expected.count == row.chain_no and expected.hash != computed:
        return "the chain was rewritten: it does not contain the expected head"
    for name in ("request", "response"):
        body, digest = getattr(row, f"{name}_body"), getattr(row, f"{name}_body_digest")
        if body is None:
            pruned = anchor.bodies_pruned_before is not None and row.started_at < anchor.bodies_pruned_before
            if digest and not pruned:
                return f"the {name} body was removed"
        elif hashlib.sha256(body.encode()).hexdigest() != digest:
            return f"the {name} body was edited"
    return ""


def _chained(connection: Connection) -> Iterator[Row[Any]]:
    """All sealed rows in the chain's order, a page at a time."""
    after = None
    while True:
        query = select(AUDIT).where(AUDIT.c.chain_no.is_not(None)).order_by(AUDIT.c.chain_no).limit(_BATCH)
        page = connection.execute(query if after is None else query.where(AUDIT.c.chain_no > after)).all()
        yield from page
        if len(page) < _BATCH:
            return
        after = page[-1].chain_no


def _slipped_in(connection: Connection, anchor: Row[Any]) -> BrokenRow | None:
    """A row that should have been sealed with its neighbours, and was not there then."""
    if anchor.sealed_until is None:
        return None
    query = select(AUDIT).where(AUDIT.c.chain_no.is_(None), AUDIT.c.started_at < anchor.sealed_until)
    row = connection.execute(query.order_by(AUDIT.c.seq).limit(1)).first()
    return _broken(row, "not sealed, although older than the last sealing") if row is not None else None


def _broken(row: Row[Any], reason: str) -> BrokenRow:
    return BrokenRow(row.chain_no, row.seq, row.audit_id, reason)


def prune(database: Database, bodies_before: datetime, rows_before: datetime) -> int:
    """Forget the bodies, and the beginning of the chain, of what began before these moments; rows removed."""
    with database.write() as connection:
        anchor = connection.execute(select(ANCHOR).with_for_update()).one()
        kept = and_(AUDIT.c.chain_no.is_not(None), AUDIT.c.started_at >= rows_before)
        first = connection.execute(select(func.min(AUDIT.c.chain_no)).where(kept)).scalar()
        first = anchor.head_no + 1 if first is None else first
        last_gone = connection.execute(select(AUDIT.c.row_hash).where(AUDIT.c.chain_no == first - 1)).scalar()
        gone = connection.execute(delete(AUDIT).where(AUDIT.c.chain_no < first)).rowcount
        connection.execute(
            update(AUDIT)
            .where(AUDIT.c.started_at < bodies_before, AUDIT.c.chain_no.is_not(None))
            .where(or_(AUDIT.c.request_body.is_not(None), AUDIT.c.response_body.is_not(None)))
            .values(request_body=None, response_body=None)
        )
        base = {"base_no": first, "base_hash": last_gone} if last_gone is not None else {}
        connection.execute(update(ANCHOR).values(bodies_pruned_before=bodies_before, **base))
        return gone
