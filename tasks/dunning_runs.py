"""A run over ladders: batch after batch of what was claimed, then alarms and pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.ladder_records import ClaimedLadder
from tasks.company import Company
from tasks.dunning_alarms import LOG, arm
from tasks.dunning_claims import Handed, kept_ladders
from tasks.dunning_progress import ClimbSummary, Progress, summary_of_climb
from tasks.dunning_rounds import climb
from tasks.dunning_timeline import show_timelines
from tasks.here import here, in_a_run
from tasks.retrying import step


async def take_all(company: Company, handed: Handed, run_id: str) -> ClimbSummary:
    """Move every ladder that is handed over, and what is due by then, until nothing is.

    Raises what the ledger raises; what is claimed then is given back or its lease ends.
    """
    summary, claims = ClimbSummary(), list(handed.claims)
    seen: set[str] = set()
    while claims:
        progress = await take_some(company, claims, run_id)
        summary += summary_of_climb(progress)
        seen |= {one.invoice_id for one in progress}
        claims = await handed.more()
        if seen.issuperset(claim.ladder.invoice_id for claim in claims if claim.due):
            # Woken meanwhile: the next look begins with them, in a run of its own.
            await asyncio.to_thread(company.ledger.ladders.release, claims)
            break
    alarms = await here(_arm)(company) if summary.ladders else 0
    return summary + ClimbSummary(alarms=alarms)


async def take_some(company: Company, claims: Sequence[ClaimedLadder], run_id: str) -> list[Progress]:
    """Move these and show what became of them."""
    async with kept_ladders(company, claims):
        progress = await climb(company, claims, run_id)
    if in_a_run() and progress:
        await show_timelines(company, progress, len(progress))
    return progress


ALARMS_OF_A_RUN = 40
"""Some seconds (18/s): a ladder that is woken meanwhile waits for them. The sweep sets the others of a crowd."""


@step("set alarms")
async def _arm(company: Company) -> int:
    """The ladders are settled by now: what the ledger cannot say of their alarms the sweep finds out."""
    try:
        return await arm(company, ALARMS_OF_A_RUN)
    except O2CError as error:
        LOG.warning("Alarms were not set. %s", error)
        return 0
