"""What is asked each second, or for thousands at once, reads no ladder that ended: on both databases by an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event as on

from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.ledger.ladder_records import LadderFilter, LadderStatus, StepOutcome
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.ladder_support import DAY, asleep, claimed, new, opened
from tests.ledger.support import START

TABLES = ("ledger_ladder", "ledger_ladder_step", "ledger_ladder_customer")


@contextmanager
def explained(ledger: Ledger) -> Iterator[list[str]]:
    """Every table of ours that a statement reads whole, while nothing but its size keeps PostgreSQL from it."""
    scans: list[str] = []
    asked = "EXPLAIN QUERY PLAN" if ledger.database.is_sqlite else "EXPLAIN"

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, context: object, many: bool) -> None:
        if many or statement.split(maxsplit=1)[0] not in {"SELECT", "UPDATE"}:
            return
        beside = cursor.connection.cursor()
        if not ledger.database.is_sqlite:
            beside.execute("SET LOCAL enable_seqscan = off")
        plan = beside.execute(f"{asked} {statement}", parameters).fetchall()
        scans.extend(f"{line[-1]}: {statement}" for line in plan if _whole(str(line[-1])))

    on.listen(ledger.database.engine, "before_cursor_execute", explain)
    yield scans
    on.remove(ledger.database.engine, "before_cursor_execute", explain)


def _whole(line: str) -> bool:
    words = line.replace("->", "").split("(")[0].split()
    named = words[-1] in TABLES and words[0] in {"SCAN", "Seq"}
    return named and "USING" not in words


def test_it_tells_a_table_that_is_read_whole(ledger: Ledger) -> None:
    with explained(ledger) as scans, ledger.database.read() as connection:
        connection.exec_driver_sql("SELECT count(note) FROM ledger_ladder_step")
    assert len(scans) == 1


def test_the_watch_and_the_crowd_read_by_index(ledger: Ledger) -> None:
    ladders = ledger.ladders
    opened(ledger, *(new(f"in_{number}", f"cus_{number}", START) for number in range(9)))
    with explained(ledger) as scans:
        ladders.due()
        ladders.due(START + DAY, unarmed_only=True)
        ladders.alarms_wanted(100)
        claims = list(claimed(ledger).values())
        ladders.begin_steps([(claim, "task") for claim in claims], "run-1")
        ladders.finish_steps([StepOutcome(claim=claim, key="task", state=StepState.DONE) for claim in claims])
        ladders.renew(claims)
        ladders.settle([asleep(claim, START + DAY) for claim in claims[:5]])
        ladders.release(claims[5:])
        ladders.wake(["in_1"], ["cus_2"])
        ladders.get("in_1")
        claimed(ledger, invoice_ids=["in_8"], unarmed_only=True)
        ladders.alarms_set([("in_3", 2, "run-3")])
        ladders.alarmed(["run-3"])
        ladders.alarms_stale(10)
        ladders.alarms_gone(["run-3"])
        ladders.find(LadderFilter(account_ids=("001000000000001AAA",)))
        ladders.find(LadderFilter(statuses=(LadderStatus.HELD, LadderStatus.WAITING)))
        ladders.find(LadderFilter(due_before=START))
        ladders.counts()
    assert scans == []
