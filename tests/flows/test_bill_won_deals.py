"""The recipe end to end over real HTTP: judged by the emulators' journals."""

from __future__ import annotations

import pytest

from flows.bill_won_deals import Mode, bill_won_deals, summary_of
from tasks.outcomes import DealStatus, RunSummary
from tests.world import World

pytestmark = pytest.mark.prefect


async def run(*opportunity_ids: str, mode: Mode = Mode.APPLY) -> RunSummary:
    state = await bill_won_deals(list(opportunity_ids), mode=mode, return_state=True)
    summary = await summary_of(state)
    assert summary is not None, state.message
    return summary


async def test_a_won_deal_becomes_one_sent_invoice_written_back_and_announced(books: World) -> None:
    deal = books.deal(lines=(("onboarding", 1, 2500), ("day", 2, 1200)))
    summary = await run(deal)
    assert summary.in_words == "1 billed"
    books.assert_billed_once(deal, 490_000)
    assert len(books.slack_texts()) == 1
    again = await run(deal)
    assert again.counts == {DealStatus.SKIPPED.value: 1}
    books.assert_billed_once(deal, 490_000)


async def test_plan_mode_touches_nothing(books: World) -> None:
    deal = books.deal()
    for service in books.services.values():
        service.journal.clear()
    summary = await run(deal, mode=Mode.PLAN)
    assert summary.in_words == "1 planned"
    for service in books.services.values():
        assert service.journal.effects() == []
