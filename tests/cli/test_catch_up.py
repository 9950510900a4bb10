"""The hourly look: what it says, and that no outage ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from order_to_cash.cli import catch_up
from order_to_cash.domain.errors import Unavailable
from tasks.company import Company
from tasks.missed_events import EVERY, Gap, Missed

MOMENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
GAP = Gap(MOMENT, MOMENT, 3, {"invoice.paid": 1, "invoice.payment_failed": 2})


@pytest.fixture
async def looks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Any]]:
    """What each look finds, in turn; after the last, the watch is stopped."""
    answers: list[Any] = []

    async def look(_: Company) -> Missed | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast(Missed | None, answer)

    monkeypatch.setattr(catch_up, "missed_events", look)
    yield answers
    assert answers == []


async def test_a_gap_is_told(looks: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    looks.append(Missed(listed=3, gap=GAP))
    assert await catch_up._look(cast(Company, None)) == EVERY.total_seconds()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "Not all events came as webhooks: without 1 invoice.paid, 2 invoice.payment_failed, 2026-11-20 09:30 to "
        "2026-11-20 09:30 UTC. They are taken up now. Look at `o2c webhooks show`."
    )


async def test_what_is_as_it_should_be_is_not_told(
    looks: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    looks += [Missed(), None]
    for _ in range(2):
        assert await catch_up._look(cast(Company, None)) == EVERY.total_seconds()
    assert caplog.records == []


async def test_no_outage_ends_it(
    looks: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(catch_up, "AFTER_ERROR_SECONDS", 0.01)
    stop = asyncio.Event()
    looks += [Unavailable("Stripe did not answer."), Missed(scanned=4, unreadable=1)]
    look = catch_up._look

    async def looking(company: Company) -> float:
        pause_seconds = await look(company)
        if not looks:
            stop.set()
        return pause_seconds

    monkeypatch.setattr(catch_up, "_look", looking)
    await asyncio.wait_for(catch_up.catching_up(cast(Company, None), stop), 5)
    told = " ".join(record.getMessage() for record in caplog.records if record.name == "o2c.catch_up")
    assert "Stripe did not answer." in told
    assert "1 of the events that Stripe lists" in told


async def test_a_look_under_way_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, broken_off = asyncio.Event(), asyncio.Event()

    async def look(_: Company) -> Missed | None:
        stop.set()
        try:
            await asyncio.sleep(3600)
        finally:
            broken_off.set()
        return None

    monkeypatch.setattr(catch_up, "missed_events", look)
    await asyncio.wait_for(catch_up.catching_up(cast(Company, None), stop), 5)
    assert broken_off.is_set()


async def test_a_fault_is_told_and_ends_nothing(looks: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    looks.append(RuntimeError("a fault"))
    assert await catch_up._look(cast(Company, None)) == catch_up.AFTER_ERROR_SECONDS
    assert "failed with RuntimeError" in caplog.text
