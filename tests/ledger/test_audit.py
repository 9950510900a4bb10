"""The audit log: intent before outcome, sealed into a chain, searched, pruned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from order_to_cash.domain.audit import AuditSink, CallIntent, CallOutcome
from order_to_cash.domain.errors import Unavailable
from order_to_cash.ledger.audit_chain import BrokenRow, Head
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import MovableClock


def call(ledger: Ledger, number: int, *, finish: bool = True, path: str = "/v1/invoices") -> str:
    intent = CallIntent(
        system="stripe",
        method="POST",
        path=path,
        request={"n": number, "name": "Zoë \x00 \ud800"},
        request_digest=f"q{number}",
        idempotency_key=f"o2c:invoice:006A:{number}:draft",
        actor="run-1",
    )
    audit_id = ledger.audit.begin(intent)
    if finish:
        outcome = CallOutcome(
            200, {"id": f"in_{number}"}, f"r{number}", request_id=f"req_{number}", duration_ms=7
        )
        ledger.audit.finish(audit_id, outcome)
    return audit_id


def test_a_call_is_one_row_and_its_intent_is_there_first(ledger: Ledger, clock: MovableClock) -> None:
    sink: AuditSink = ledger.audit
    audit_id = call(ledger, 1, finish=False)
    [row] = ledger.audit.query()
    assert (row.audit_id, row.finished_at, row.status, row.started_at) == (audit_id, None, None, clock.now())
    clock.advance(seconds=1)
    sink.finish(audit_id, CallOutcome(None, error="timeout"))
    [row] = ledger.audit.query()
    assert (row.status, row.error, row.finished_at) == (None, "timeout", clock.now())
    assert row.request_body == '{"n":1,"name":"Zoë \\u0000 ?"}'


def test_an_outcome_that_comes_late_is_a_row_of_its_own(ledger: Ledger, clock: MovableClock) -> None:
    audit_id = call(ledger, 1, finish=False)
    clock.advance(minutes=16)
    assert ledger.audit.seal().count == 1
    ledger.audit.finish(audit_id, CallOutcome(200))
    ledger.audit.finish("of-nothing", CallOutcome(500))
    rows = ledger.audit.query()
    assert [row.late_outcome_of for row in rows] == ["of-nothing", audit_id, ""]
    assert [row.status for row in rows] == [500, 200, None]
    assert ledger.audit.seal().count == 3
    assert ledger.audit.verify() is None


def test_rows_are_found(ledger: Ledger, clock: MovableClock) -> None:
    began = clock.now()
    for number in range(3):
        call(ledger, number)
        clock.advance(hours=1)
    call(ledger, 100, path="/services/data/006000000000001AAA_")
    query = ledger.audit.query
    assert [row.request_id for row in query(limit=2)] == ["req_100", "req_2"]
    assert len(query(since=began + timedelta(hours=1), until=began + timedelta(hours=3))) == 2
    assert len(query(reference="o2c:invoice:006A:1")) == 2  # generation 1 and 100
    for reference in ("req_2", "in_2", query(reference="req_2")[0].audit_id):
        assert [row.request_id for row in query(reference=reference)] == ["req_2"]
    assert len(query(reference="006000000000001AAA")) == 1
    assert query(reference="%") == []
    assert query(system="slack") == []
    assert len(query(reference="run-1")) == 4


def sealed(ledger: Ledger, rows: int = 5) -> Head:
    for number in range(1, rows + 1):
        call(ledger, number)
    return ledger.audit.seal()


TAMPERINGS = {
    "UPDATE ledger_audit SET status = 500 WHERE chain_no = 3": (3, "edited"),
    "UPDATE ledger_audit SET started_at = finished_at, path = '/v1/x' WHERE chain_no = 2": (2, "edited"),
    "UPDATE ledger_audit SET request_body = '{}' WHERE chain_no = 4": (4, "request body was edited"),
    "UPDATE ledger_audit SET response_body = NULL WHERE chain_no = 4": (4, "response body was removed"),
    "UPDATE ledger_audit SET row_hash = 'x' WHERE chain_no = 1": (1, "edited"),
    "DELETE FROM ledger_audit WHERE chain_no = 3": (3, "missing"),
    "DELETE FROM ledger_audit WHERE chain_no = 1": (1, "missing"),
    "DELETE FROM ledger_audit WHERE chain_no >= 4": (4, "missing from the end"),
    "DELETE FROM ledger_audit": (1, "missing from the end"),
    "UPDATE ledger_audit SET chain_no = 6 WHERE chain_no = 5": (5, "missing"),
    "UPDATE ledger_audit SET chain_no = 0 WHERE chain_no = 5": (0, "added before"),
    "DELETE FROM ledger_audit_anchor": (1, "anchor row is missing"),
    "UPDATE ledger_audit_anchor SET head_no = 4": (5, "added after the end"),
    "UPDATE ledger_audit_anchor SET head_hash = 'x'": (5, "anchor does not fit"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_named(ledger: Ledger, tampering: str) -> None:
    sealed(ledger)
    assert ledger.audit.verify() is None
    with ledger.database.write() as connection:
        connection.execute(text(tampering))
    broken = ledger.audit.verify()
    number, reason = TAMPERINGS[tampering]
    assert broken is not None
    assert broken.chain_no == number
    assert reason in broken.reason


def test_a_row_slipped_in_later_is_named(ledger: Ledger, clock: MovableClock) -> None:
    sealed(ledger)
    forged = call(ledger, 6)
    clock.advance(hours=1)
    call(ledger, 7)
    assert ledger.audit.verify() is None
    ledger.audit.seal()
    with ledger.database.write() as connection:
        connection.execute(
            text("UPDATE ledger_audit SET chain_no = NULL WHERE audit_id = :id"), {"id": forged}
        )
        connection.execute(text("UPDATE ledger_audit SET chain_no = chain_no - 1 WHERE chain_no = 7"))
    assert ledger.audit.verify() is not None
    with ledger.database.write() as connection:
        connection.execute(text("DELETE FROM ledger_audit WHERE chain_no = 6"))
        connection.execute(
            text(
                "UPDATE ledger_audit_anchor SET head_no = 5, "
                "head_hash = (SELECT row_hash FROM ledger_audit WHERE chain_no = 5)"
            )
        )
    broken = ledger.audit.verify()
    assert broken is not None
    assert (broken.audit_id, broken.chain_no) == (forged, None)
    assert "not sealed" in broken.reason


def test_a_rewritten_chain_does_not_contain_a_head_kept_elsewhere(ledger: Ledger) -> None:
    kept = sealed(ledger)
    assert kept.count == 5
    call(ledger, 6)
    ledger.audit.seal()
    assert ledger.audit.verify(kept) is None
    with ledger.database.write() as connection:  # what someone with the whole database can do
        connection.execute(text("UPDATE ledger_audit SET status = 500, chain_no = NULL WHERE chain_no >= 2"))
        anchor = "head_no = 1, head_hash = (SELECT row_hash FROM ledger_audit WHERE chain_no = 1)"
        connection.execute(text(f"UPDATE ledger_audit_anchor SET sealed_until = NULL, {anchor}"))
    shortened = ledger.audit.verify(kept)
    assert shortened == BrokenRow(2, None, "", "the chain ends before the expected head")
    ledger.audit.seal()
    assert ledger.audit.verify() is None
    broken = ledger.audit.verify(kept)
    assert broken is not None
    assert "rewritten" in broken.reason


def test_a_hung_call_holds_nothing_up(ledger: Ledger, clock: MovableClock) -> None:
    hung = call(ledger, 1, finish=False)
    call(ledger, 2)
    assert ledger.audit.seal().count == 1
    ledger.audit.finish(hung, CallOutcome(200))
    clock.advance(hours=1)
    assert ledger.audit.seal().count == 2
    assert ledger.audit.verify() is None
    assert ledger.audit.seal().count == 2


def test_bodies_go_after_90_days_and_rows_after_365(ledger: Ledger, clock: MovableClock) -> None:
    with pytest.raises(ValueError, match="at least"):
        ledger.audit.prune(rows_days=364)
    assert ledger.audit.prune() == 0
    for number in range(4):
        call(ledger, number)
        clock.advance(days=100)
    assert ledger.audit.prune() == 1
    assert ledger.audit.verify() is None
    rows = ledger.audit.query()
    assert [row.request_id for row in rows] == ["req_3", "req_2", "req_1"]
    assert {row.request_body for row in rows} == {None}
    call(ledger, 5)
    ledger.audit.seal()
    assert ledger.audit.verify() is None
    clock.advance(days=400)
    assert ledger.audit.prune() == 4
    assert ledger.audit.verify() is None
    call(ledger, 6)
    assert ledger.audit.seal().count == 6
    assert ledger.audit.verify() is None


def test_more_than_a_batch_is_sealed(ledger: Ledger) -> None:
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda number: call(ledger, number, finish=False), range(1100)))
    for row in ledger.audit.query(limit=2000):
        assert row.chain_no is None
    assert ledger.audit.seal(stale=timedelta(seconds=-1)).count == 1100
    assert ledger.audit.verify() is None


def test_threads_share_commits_and_each_returns_after_its_own(ledger: Ledger) -> None:
    commits: list[object] = []
    event.listen(ledger.database.engine, "commit", commits.append)

    def one(number: int) -> bool:
        audit_id = call(ledger, number)
        [row] = ledger.audit.query(reference=audit_id)
        return row.finished_at is not None

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))
    assert len(commits) < 400


def test_a_failed_commit_reaches_everyone_who_waited(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        connection.execute(text("ALTER TABLE ledger_audit RENAME TO ledger_audit_away"))
    with pytest.raises(Unavailable):
        call(ledger, 1)
    with ledger.database.write() as connection:
        connection.execute(text("ALTER TABLE ledger_audit_away RENAME TO ledger_audit"))
    assert call(ledger, 2)
