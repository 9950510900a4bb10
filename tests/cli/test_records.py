from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from order_to_cash.cli import wiring
from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.clock import FixedClock
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.quarantine import Held
from order_to_cash.settings import Settings, load_settings

CLOCK = FixedClock(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    def clock(settings: Settings) -> FixedClock:
        return CLOCK

    monkeypatch.setattr(wiring, "make_clock", clock)
    with wiring.open_ledger(load_settings()) as opened:
        yield opened


def call(ledger: Ledger, path: str) -> None:
    audit_id = ledger.audit.begin(CallIntent(system="stripe", method="POST", path=path, actor="run-1"))
    ledger.audit.finish(audit_id, CallOutcome(status=200, request_id="req_1", duration_ms=12))


def test_an_empty_ledger_says_so(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    assert o2c("quarantine", "list").output == "Nothing is held.\n"
    assert o2c("audit", "list").output == "No call recorded.\n"


def test_held_records_are_listed_with_reason_and_remedy(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    ledger.quarantine.put(
        Held(
            "Opportunity",
            "006A",
            "no_email",
            "Billing_Email__c",
            "No billing e-mail.",
            "Add one.",
            "005A",
            "d",
        )
    )
    done = o2c("quarantine", "list")
    assert done.exit_code == 0
    assert "2026-05-04 03:02:01  Opportunity  006A  005A   No billing e-mail." in done.output
    assert "Add one.\n    006A" in done.output


def test_calls_are_listed_oldest_first_and_found_by_reference(
    ledger: Ledger, o2c: Callable[..., Result]
) -> None:
    call(ledger, "/v1/invoices")
    call(ledger, "/v1/customers/cus_7")
    lines = o2c("audit", "list").output.splitlines()
    assert [line.split()[4] for line in lines[2:]] == ["/v1/invoices", "/v1/customers/cus_7"]
    assert "cus_7" in o2c("audit", "list", "--reference", "cus_7").output
    assert "/v1/invoices" not in o2c("audit", "list", "--reference", "cus_7").output
    assert o2c("audit", "list", "--system", "slack").output == "No call recorded.\n"


def test_an_edit_of_a_sealed_row_is_found(
    ledger: Ledger, o2c: Callable[..., Result], clean_place: Path
) -> None:
    call(ledger, "/v1/invoices")
    head = o2c("audit", "seal").output.splitlines()[-1]
    assert head.startswith("1:")
    assert o2c("audit", "verify", "--head", head).exit_code == 0
    database = sqlite3.connect(clean_place / ".o2c" / "ledger.db")
    with database:
        database.execute("UPDATE ledger_audit SET path = '/v1/elsewhere'")
    database.close()
    done = o2c("audit", "verify")
    assert done.exit_code == 1
    assert "The audit log is broken at row 1" in done.output


def test_a_head_that_is_none_is_refused(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    done = o2c("audit", "verify", "--head", "latest")
    assert done.exit_code == 1
    assert "not one that `o2c audit seal` prints" in done.output
