"""Deals that are not fit to be billed: held one by one with their reasons, let go when they pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from order_to_cash.ledger.quarantine import Held
from tasks.company import Company
from tasks.deals import Rejection
from tasks.outcomes import CHATTER, SLACK, DealOutcome, DealStatus
from tasks.retrying import step

RECORD_TYPE = "Opportunity"
MESSAGES_SHOWN = 5


@step("hold {count} deals")
async def hold(company: Company, rejections: Sequence[Rejection], count: int) -> None:
    """Write down why each deal is held. Saying the same again changes nothing."""
    del count
    batch = [
        Held(
            record_type=RECORD_TYPE,
            record_id=rejection.mapped.opportunity_id,
            code=problem.code,
            field=problem.field,
            message=_all_messages(rejection, problem.code),
            remedy=problem.remedy,
            owner_id=rejection.mapped.owner_id,
            digest=rejection.content_digest,
            system_modstamp=rejection.mapped.system_modstamp,
        )
        for rejection in rejections
        for problem in {problem.code: problem for problem in rejection.problems}.values()
    ]
    await asyncio.to_thread(company.ledger.quarantine.put_many, batch)


def _all_messages(rejection: Rejection, code: str) -> str:
    """What speaks against the deal under one code: a deal may have several lines without a price."""
    messages = list(dict.fromkeys(one.message for one in rejection.problems if one.code == code))
    more = f" … and {len(messages) - MESSAGES_SHOWN} more." if len(messages) > MESSAGES_SHOWN else ""
    return " ".join(messages[:MESSAGES_SHOWN]) + more


async def hold_back(company: Company, outcomes: Sequence[DealOutcome]) -> None:
    """Hold what turned out on the way to need a person; let go what had been held and is done now.

    A billed deal that an outage left unfinished is not held: the next run finishes it. Nor is one that only Slack
    refused to be told of.
    """
    held = []
    for outcome in outcomes:
        ended = outcome.needs_a_person or (outcome.status is DealStatus.BILLED and outcome.concluded)
        problems = tuple(problem for problem in outcome.problems if problem.field not in {SLACK, CHATTER})
        if problems and (ended or outcome.status is DealStatus.QUARANTINED):
            held.append(Rejection(outcome.mapped, problems))
    kept = {rejection.mapped.opportunity_id for rejection in held}
    await let_go(
        company, [one.opportunity_id for one in outcomes if one.concluded and one.opportunity_id not in kept]
    )
    if held:
        await hold(company, held, len(held))


async def let_go(company: Company, opportunity_ids: Sequence[str]) -> None:
    """These deals are fit now: close their entries."""
    if opportunity_ids:
        await asyncio.to_thread(company.ledger.quarantine.resolve_many, list(opportunity_ids))
