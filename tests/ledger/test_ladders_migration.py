"""A ledger of the version before ladders keeps what it holds, and has ladders after it."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select

from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ladder_tables import HOLD, LADDER, LADDER_CUSTOMER, POLICY, STEP
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.migrate import _MIGRATIONS
from order_to_cash.ledger.tables import METADATA
from tests.ledger.events import event
from tests.ledger.ladder_support import claimed, new, opened
from tests.ledger.support import MovableClock

LADDERS = {table.name for table in (HOLD, LADDER, LADDER_CUSTOMER, POLICY, STEP)}


def test_a_ledger_of_version_0003_is_upgraded(empty_url: str, clock: MovableClock) -> None:
    with Ledger.open(empty_url, clock=clock, environment=Environment.EMULATOR) as ledger:
        _migrate_to("0003", ledger.database)
        assert not ledger.is_current()
        assert _tables(ledger) == set(METADATA.tables) - LADDERS | {"ledger_version"}
        _fill(ledger)
        with pytest.raises(Unavailable, match="did not answer"):
            ledger.ladders.counts()
        before = _rows(ledger)
        ledger.migrate()
        assert ledger.is_current()
        assert _rows(ledger) == before
        assert {len(rows) for name, rows in before.items() if name in _FILLED} == {1, 2}
        opened(ledger, new("in_1"))
        assert set(claimed(ledger)) == {"in_1"}
        assert [one.event.event_id for one in ledger.inbox.claim("drain")] == ["evt_2"]


_FILLED = ("ledger_identity", "ledger_inbox", "ledger_link", "ledger_lease", "ledger_operation")


def _fill(ledger: Ledger) -> None:
    ledger.bind(Environment.EMULATOR, "acct_1", "00D000000000001AAA")
    ledger.inbox.store([event(1, "cus_a"), event(2, "cus_b")], EventSource.WEBHOOK)
    (first, second) = ledger.inbox.claim("drain")
    assert ledger.inbox.finish([EventOutcome.done(first), EventOutcome.released(second)]) == 2
    assert len(ledger.inbox.find(EventFilter())) == 2
    ledger.links.put_many([("invoice", "in_1", "Opportunity", "006000000000001AAA")])
    ledger.leases.take("customer", "run-1")
    ledger.effects.begin("task", {"o2c:task:1": {"subject": "Umbra"}}, run_id="run-1")


def _rows(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with ledger.database.read() as connection:
        return {
            name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for name, table in METADATA.tables.items()
            if name not in LADDERS
        }


def _tables(ledger: Ledger) -> set[str]:
    with ledger.database.read() as connection:
        return set(inspect(connection).get_table_names())


def _migrate_to(version: str, database: Database) -> None:
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
