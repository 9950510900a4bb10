from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from order_to_cash.cli import wiring
from order_to_cash.domain.audit import CallIntent, CallOutcome
from order_to_cash.domain.clock import FixedClock
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask

CLOCK = FixedClock(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    commands_ask(monkeypatch, CLOCK)
    with wiring.open_ledger(load_settings()) as opened:
        yield opened


def call(
    ledger: Ledger,
    path: str,
    method: str = "POST",
    status: int = 200,
    request: Mapping[str, Any] | None = None,
) -> None:
    intent = CallIntent(system="stripe", method=method, path=path, actor="run-1", request=request or {})
    audit_id = ledger.audit.begin(intent)
    ledger.audit.finish(audit_id, CallOutcome(status=status, request_id="req_1", duration_ms=12))


def paths(done: Result) -> list[str]:
    """The call column of `o2c audit list`."""
    assert done.exit_code == 0, done.output
    return [re.split(r"  +", line)[2] for line in done.output.splitlines()[2:]]


def test_an_empty_ledger_says_so(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    done = o2c("audit", "list")
    assert done.stdout == "No call recorded.\n"
    assert done.stderr.startswith("Nothing here yet: the ledger in ")


def test_calls_are_listed_oldest_first_and_found_by_reference(
    ledger: Ledger, o2c: Callable[..., Result]
) -> None:
    call(ledger, "/v1/invoices")
    call(ledger, "/v1/customers/cus_7")
    assert o2c("audit", "list").stderr == ""
    lines = o2c("audit", "list").output.splitlines()
    assert [line.split()[4] for line in lines[2:]] == ["/v1/invoices", "/v1/customers/cus_7"]
    assert "cus_7" in o2c("audit", "list", "--reference", "cus_7").output
    assert "/v1/invoices" not in o2c("audit", "list", "--reference", "cus_7").output
    assert o2c("audit", "list", "--system", "slack").output == "No call recorded.\n"


def test_a_question_that_is_asked_again_and_again_is_one_line(
    ledger: Ledger, o2c: Callable[..., Result]
) -> None:
    for _ in range(3):
        call(ledger, "/query/", "GET")
    call(ledger, "/query/", "GET", status=503)
    call(ledger, "/v1/invoices")
    call(ledger, "/v1/invoices")
    call(ledger, "/query/", "GET")
    assert paths(o2c("audit", "list")) == [
        "GET /query/ (3 times until 03:02:01)",
        "GET /query/",
        "POST /v1/invoices",
        "POST /v1/invoices",
        "GET /query/",
    ]
    assert paths(o2c("audit", "list", "--limit", "4"))[0] == "GET /query/"
    assert len(paths(o2c("audit", "list", "--every"))) == 7
    assert paths(o2c("audit", "list", "--every", "--limit", "2")) == ["POST /v1/invoices", "GET /query/"]


def test_more_repetitions_than_are_read_at_once_are_one_line_too(
    ledger: Ledger, o2c: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_to_cash.cli.records._PAGE", 2)
    call(ledger, "/v1/invoices")
    for _ in range(5):
        call(ledger, "/query/", "GET")
    assert paths(o2c("audit", "list")) == ["POST /v1/invoices", "GET /query/ (5 times until 03:02:01)"]


def test_writes_are_what_may_have_changed_something(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    asked = ["/services/data/v66.0/query?q=SELECT Id FROM Case"]  # as `gateways.calls.shown` leaves it
    written = [{"body": {"records": [{"Subject": "Call"}]}, "url": "/services/data/v66.0/composite/sobjects"}]
    for method, path in (
        ("GET", "/v1/prices"),
        ("POST", "/services/oauth2/token"),
        ("PATCH", "/services/data/v66.0/composite/sobjects"),
        ("POST", "/api/conversations.history"),
        ("POST", "/api/chat.postMessage"),
        ("DELETE", "/v1/invoices/in_1"),
    ):
        call(ledger, path, method)
    for parts in (asked, written):
        call(ledger, "/services/data/v66.0/composite", request={"compositeRequest": parts})
    assert paths(o2c("audit", "list", "--writes")) == [
        "PATCH /services/data/v66.0/composite/sobjects",
        "POST /api/chat.postMessage",
        "DELETE /v1/invoices/in_1",
        "POST /services/data/v66.0/composite",
    ]
    assert len(paths(o2c("audit", "list"))) == 8


def test_an_edit_of_a_sealed_row_is_found(
    ledger: Ledger, o2c: Callable[..., Result], clean_place: Path
) -> None:
    call(ledger, "/v1/invoices")
    unsealed = o2c("audit", "verify").output
    assert "No row is sealed yet" in unsealed
    assert "Not verified: 1 not sealed yet" in unsealed
    head = o2c("audit", "seal").output.splitlines()[-1]
    assert head.startswith("1:")
    done = o2c("audit", "verify", "--head", head)
    assert done.exit_code == 0
    assert "(1 are sealed)" in done.output
    assert "not sealed yet" not in done.output
    call(ledger, "/v1/customers")
    call(ledger, "/v1/customers")
    assert "Not verified: 2 not sealed yet" in o2c("audit", "verify").output
    database = sqlite3.connect(clean_place / ".o2c" / "ledger.db")
    with database:
        database.execute("UPDATE ledger_audit SET path = '/v1/elsewhere'")
    database.close()
    done = o2c("audit", "verify")
    assert done.exit_code == 1
    assert "The audit log is broken at row 1" in done.output


def test_a_head_that_is_none_is_refused(ledger: Ledger, o2c: Callable[..., Result]) -> None:
    done = o2c("audit", "verify", "--head", "latest")
    assert done.exit_code == 2
    assert "not one that `o2c audit seal` prints" in " ".join(done.output.replace("│", " ").split())
