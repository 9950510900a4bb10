from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from order_to_cash.cli import upkeep
from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.inbox_claims import EventOutcome
from order_to_cash.ledger.ledger import Ledger
from tests.cli.waiting import until
from tests.ledger.events import event, stored

NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger.open(address, clock=FixedClock(NOW), environment=Environment.EMULATOR) as opened:
        opened.migrate()
        yield opened


def call(ledger: Ledger) -> None:
    audit_id = ledger.audit.begin(CallIntent(system="stripe", method="POST", path="/v1/invoices", actor="r"))
    ledger.audit.finish(audit_id, CallOutcome(status=200, request_id="req_1", duration_ms=12))


def sealed(ledger: Ledger) -> list[bool]:
    return [row.chain_no is not None for row in ledger.audit.query()]


async def test_calls_are_sealed_again_and_again_and_at_the_end(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "SEAL_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "o2c.upkeep")
    async with upkeep.kept_up(ledger):
        call(ledger)
        await until(lambda: all(sealed(ledger)))
        monkeypatch.setattr(upkeep, "SEAL_SECONDS", 600.0)
        await asyncio.sleep(0.1)
        call(ledger)
        assert not all(sealed(ledger))
    assert sealed(ledger) == [True, True]
    head = ledger.audit.seal()
    assert f"{head.count}:{head.hash}" in caplog.text, "a head outside the database shows a rewritten chain"


async def test_old_rows_go_when_the_drain_starts(
    ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(ledger)
    stored(ledger, event(1))
    ledger.inbox.finish([EventOutcome.done(claimed) for claimed in ledger.inbox.claim("drain-1")])
    later = FixedClock(NOW + timedelta(days=400))
    with Ledger.open(address, clock=later, environment=Environment.EMULATOR) as reopened:
        async with upkeep.kept_up(reopened):
            await until(lambda: not reopened.audit.query())
            await until(lambda: reopened.inbox.body(1) is None)
        assert reopened.inbox.get("evt_1") is not None


async def test_a_ledger_that_is_down_ends_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from order_to_cash.domain.errors import Unavailable

    def down() -> None:
        raise Unavailable("The ledger's database does not answer.", code="ledger_unavailable")

    monkeypatch.setattr(ledger.audit, "seal", down)
    monkeypatch.setattr(upkeep, "SEAL_SECONDS", 0.01)
    async with upkeep.kept_up(ledger):
        await until(lambda: caplog.text.count("was not sealed") > 1)
    assert "were not pruned" in caplog.text
