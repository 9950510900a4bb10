"""Running the recipe in tests, and asking what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.bill_won_deals import Mode, bill_won_deals, summary_of
from order_to_cash.cli.wiring import open_ledger
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tasks.outcomes import DealOutcome, RunSummary


async def run(*opportunity_ids: str, mode: Mode = Mode.APPLY, approved_by: str = "") -> RunSummary:
    """One run of the recipe that gets to its end; without ids, the sweep."""
    state = await bill_won_deals(list(opportunity_ids), mode=mode, approved_by=approved_by, return_state=True)
    summary = await summary_of(state)
    assert summary is not None, state.message
    return summary


async def error_of_run(*opportunity_ids: str, **parameters: Any) -> BaseException:
    """The error with which a run broke off."""
    parameters = {"mode": Mode.APPLY, **parameters}
    state = await bill_won_deals(list(opportunity_ids), return_state=True, **parameters)
    error = await state.aresult(raise_on_failure=False)
    assert isinstance(error, BaseException), state
    return error


def outcome_of(summary: RunSummary, opportunity_id: str) -> DealOutcome:
    """What became of one deal."""
    return next(one for one in summary.outcomes if one.opportunity_id == opportunity_id)


def codes(summary: RunSummary, opportunity_id: str) -> list[str]:
    """The reasons that were found against one deal."""
    return [problem.code for problem in outcome_of(summary, opportunity_id).problems]


@contextmanager
def ledger() -> Iterator[Ledger]:
    """The ledger that the recipe writes to."""
    with open_ledger(load_settings()) as opened:
        yield opened


def held() -> dict[str, set[str]]:
    """Opportunity id → codes, of what is in the quarantine now."""
    with ledger() as opened:
        found: dict[str, set[str]] = {}
        for entry in opened.quarantine.open():
            found.setdefault(entry.record_id, set()).add(entry.code)
        return found


async def set_dunning(*, enabled: bool, policy: dict[str, Any] | None = None) -> None:
    """Ladders on or off, by this policy (the default one) from the next run on."""
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    given = {"enabled": enabled} | ({"policy": policy} if policy else {})
    await DunningPolicyBlock.model_validate(given).asave(BLOCK_NAME, overwrite=True)
