"""The win post on the deal itself, where the org uses Chatter: one for each billed deal.

Chatter posts take no key of ours. The Stripe invoice's id stands in the post, and a post whose fate is unknown is
looked for by it on the deal before another is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from order_to_cash.domain.errors import ClaimLost, O2CError, Permanent
from order_to_cash.domain.messages import chatter_post
from order_to_cash.domain.queries import chatter_posts_query
from order_to_cash.domain.records import Problem
from order_to_cash.gateways.salesforce_rows import RowResult
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.effects import CLOCK_SKEW
from tasks.notices import billed_notice
from tasks.outcomes import CHATTER, DealOutcome, DealStatus, problem_of
from tasks.retrying import step

STEP = "chatter"


async def post_to_chatter(company: Company, billed: Sequence[DealOutcome]) -> list[DealOutcome]:
    """Post on each billed deal, once. What cannot be posted now is left to the next run; a refusal is named."""
    held = [outcome for outcome in billed if outcome.status is DealStatus.BILLED]
    if not company.rules.chatter_posts or not held:
        return list(billed)
    intents = [(_claim(outcome), {"invoice": _invoice_id(outcome)}) for outcome in held]
    begun = await asyncio.to_thread(company.ledger.operations.begin_many, STEP, intents)
    ended = {outcome.opportunity_id: outcome for outcome in billed}
    due: list[DealOutcome] = []
    unsure: list[tuple[DealOutcome, Operation]] = []
    for outcome, operation in zip(held, begun, strict=True):
        if isinstance(operation, ClaimLost):
            ended[outcome.opportunity_id] = outcome.now(DealStatus.WAITING, problem_of(operation))
        elif operation.state is OperationState.FRESH:
            due.append(outcome)
        elif operation.state is not OperationState.DONE:
            unsure.append((outcome, operation))
    try:
        due += await _not_posted(company, unsure)
        ended |= await _post(company, due)
    except O2CError as error:
        left = {outcome.opportunity_id: outcome for outcome in (*due, *(one for one, _ in unsure))}
        ended |= {key: _with_problem(outcome, error) for key, outcome in left.items()}
    return list(ended.values())


async def _not_posted(company: Company, unsure: Sequence[tuple[DealOutcome, Operation]]) -> list[DealOutcome]:
    """Those of an earlier run whose post is not there, as fresh intents."""
    asked = [(outcome, one) for outcome, one in unsure if one.state is OperationState.UNKNOWN]
    found = await look_for_posts(company, asked, len(asked)) if asked else {}
    done = [(_claim(outcome), {"feed_item": found[outcome.opportunity_id]}) for outcome, _ in asked
            if outcome.opportunity_id in found]  # fmt: skip
    if done:
        await asyncio.to_thread(company.ledger.operations.succeed_many, STEP, done)
    left = [outcome for outcome, _ in unsure if outcome.opportunity_id not in found]
    for outcome in left:
        await asyncio.to_thread(company.ledger.operations.renew_key, _claim(outcome), STEP)
    return left


@step("look for Chatter posts · {count} deals")
async def look_for_posts(
    company: Company, asked: Sequence[tuple[DealOutcome, Operation]], count: int
) -> dict[str, str]:
    """Opportunity id → id of the post that names its invoice."""
    del count
    since = min(operation.intended_at for _, operation in asked) - CLOCK_SKEW
    query = chatter_posts_query([outcome.opportunity_id for outcome, _ in asked], since)
    rows = await asyncio.to_thread(company.salesforce.query, query)
    named = {outcome.opportunity_id: _invoice_id(outcome) for outcome, _ in asked}
    return {
        str(row["ParentId"]): str(row["Id"])
        for row in rows
        if named.get(str(row["ParentId"])) and named[str(row["ParentId"])] in str(row["Body"])
    }


async def _post(company: Company, due: Sequence[DealOutcome]) -> dict[str, DealOutcome]:
    """What became of each, by Opportunity."""
    if not due:
        return {}
    rows = [
        {
            "ParentId": outcome.opportunity_id,
            "Type": "TextPost",
            "Body": chatter_post(billed_notice(outcome)),
        }
        for outcome in due
    ]
    results = await insert_posts(company, rows, len(rows))
    ended = dict(zip((one.opportunity_id for one in due), map(_after, due, results), strict=True))
    posted = [
        (_claim(one), {"feed_item": result.id}) for one, result in zip(due, results, strict=True) if result.ok
    ]
    refused = [
        (_claim(one), result.error)
        for one, result in zip(due, results, strict=True)
        if isinstance(result.error, Permanent)
    ]
    if posted:
        await asyncio.to_thread(company.ledger.operations.succeed_many, STEP, posted)
    if refused:
        await asyncio.to_thread(company.ledger.operations.refuse_many, STEP, refused)
    return ended


@step("post in Chatter · {count} deals")
async def insert_posts(company: Company, rows: Sequence[Mapping[str, Any]], count: int) -> list[RowResult]:
    """One post a row; errors stand in the results, so that no retry posts twice."""
    del count
    return await asyncio.to_thread(company.salesforce.insert_rows, "FeedItem", rows)


def _after(outcome: DealOutcome, result: RowResult) -> DealOutcome:
    if result.ok or result.error is None:
        return outcome
    if isinstance(result.error, Permanent):
        error = result.error
        told = Problem(code=error.code, field=CHATTER, message=error.message, remedy=error.remedy)
        return replace(outcome, problems=(*outcome.problems, told))
    return _with_problem(outcome, result.error)


def _with_problem(outcome: DealOutcome, error: O2CError) -> DealOutcome:
    """Not told everywhere yet: the deal stays open for the next run."""
    return replace(outcome, announced=False, problems=(*outcome.problems, problem_of(error)))


def _invoice_id(outcome: DealOutcome) -> str:
    assert outcome.invoice is not None
    return outcome.invoice.invoice_id


def _claim(outcome: DealOutcome) -> Claim:
    assert outcome.claim is not None
    return outcome.claim
