"""One page says how the work does, and what to do where something is to be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from order_to_cash.domain.alerts import AlertKind, Calls, Endpoint, Parked, Standing, Vitals
from order_to_cash.domain.status import LadderCounts, StatusRow, status_markdown, status_rows

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def page(
    vitals: Vitals, held: int = 0, standings: dict[AlertKind, Standing] | None = None
) -> dict[str, StatusRow]:
    rows = status_rows(vitals, held=held, unfinished=0, standings=standings or {})
    return {row[0]: row for row in rows}


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    endpoint, last = Endpoint(exists=True, enabled=True), NOW - timedelta(minutes=3)
    rows = page(
        Vitals(at=NOW, tried=7, endpoint=endpoint, webhook_at=last, calls_used=1200, calls_limit=100_000)
    )
    assert [row for row in rows.values() if row[2]] == []
    assert rows["Stripe events"][1] == "none waits"
    assert rows["Applied in 15 min"][1] == "7 done, 0 failed"
    assert rows["Webhooks"][1] == "arrive, the last 3 min ago"
    assert rows["Salesforce API calls"][1] == "1,200 of 100,000 in 24 h (1 %), by the whole org"
    assert rows["Alerts standing"][1] == "none"


def test_before_the_first_webhook_none_is_said_to_arrive() -> None:
    rows = page(Vitals(at=NOW, endpoint=Endpoint(exists=True, enabled=True)))
    assert rows["Webhooks"] == ("Webhooks", "none arrived yet", "o2c webhooks show")
    assert rows["Salesforce API calls"][1] == "not known before the drain has made one"


def test_what_waits_and_what_is_parked_says_since_when_and_why() -> None:
    parked = Parked(NOW, "INVALID_FIELD", "A field is hidden", "Assign O2C_Integration")
    vitals = Vitals(
        at=NOW, waiting=3, oldest_waiting=NOW - timedelta(minutes=6), parked=2, first_parked=parked
    )
    rows = page(vitals, held=1)
    assert rows["Stripe events"][1] == "3 wait, the oldest for 6 min"
    assert rows["Parked events"] == (
        "Parked events",
        "2, the first: A field is hidden",
        "o2c events list --parked",
    )
    assert rows["Deals"][2] == "o2c held list"


def test_silent_webhooks_failing_calls_and_alerts_are_named() -> None:
    vitals = Vitals(
        at=NOW,
        calls=(Calls("salesforce", 40, 8, "403 INSUFFICIENT_ACCESS"),),
        calls_used=76_000,
        calls_limit=100_000,
        endpoint=Endpoint(exists=True, enabled=False),
    )
    standings = {AlertKind.CALLS: Standing(raised=True), AlertKind.LAG: Standing(raised=False)}
    rows = page(vitals, standings=standings)
    assert "disabled" in rows["Webhooks"][1]
    assert rows["Salesforce calls in 5 min"] == (
        "Salesforce calls in 5 min",
        "40, 8 failed, the last: 403 INSUFFICIENT_ACCESS",
        "o2c audit list --system salesforce",
    )
    assert "76 %" in rows["Salesforce API calls"][1]
    assert rows["Alerts standing"][1] == "calls to a vendor fail"


def test_the_page_is_a_table_whatever_stands_in_a_reason() -> None:
    parked = Parked(NOW, "x", "a | b", "")
    markdown = status_markdown(list(page(Vitals(at=NOW, parked=1, first_parked=parked)).values()), NOW)
    assert "a \\| b" in markdown
    assert "`o2c events list --parked`" in markdown


def ladders(**told: Any) -> StatusRow:
    rows = status_rows(Vitals(at=NOW), held=0, unfinished=0, standings={}, ladders=LadderCounts(**told))
    return next(row for row in rows if row[0] == "Dunning ladders")


def test_ladders_say_how_many_are_open_late_and_failing() -> None:
    assert ladders() == ("Dunning ladders", "none is open", "")
    assert ladders(waiting=3, held=1, resting=2)[1] == (
        "3 waiting for their next step, 1 held, 2 with all steps taken"
    )
    late = ladders(waiting=3, late=2, late_since=NOW - timedelta(minutes=25))
    assert late[1:] == ("3 waiting for their next step; 2 late by up to 25 min", "o2c ladder list --overdue")
    failing = ladders(waiting=1, late=1, failing=1, first_reason="A field is hidden.")
    assert failing[1].endswith("1 late; 1 failed at their last try, one of them: A field is hidden.")
    assert failing[2] == "o2c ladder list --failing"
