"""What Slack is told of billed deals: a post each, or for many a message for up to twenty. Each deal once.

The message's key is committed with the `announce` operation of every deal it names, before it is posted. After a
crash each of these deals asks Slack for the message of that key: found, it was told; not found, it is told in a
message of its own, under a new key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from order_to_cash.domain.errors import ClaimLost, O2CError, Permanent
from order_to_cash.domain.identity import digest, notice_key
from order_to_cash.domain.messages import BilledNotice, Message, billed_message, billed_messages
from order_to_cash.domain.records import Problem
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company, Slack
from tasks.deals import label_of
from tasks.effects import CLOCK_SKEW
from tasks.notices import billed_notice, run_url
from tasks.outcomes import SLACK, DealOutcome, DealStatus, problem_of
from tasks.retrying import step

STEP = "announce"
MOST_POSTS = 10
"""Slack takes about a message a second and channel: with more billed deals than this, they share messages."""


async def announce_billed(company: Company, billed: Sequence[DealOutcome], run_id: str) -> list[DealOutcome]:
    """Tell the channel of each billed deal, once, one message after another.

    A channel that refuses is named, and does not hold the deals up; after an outage the next run tells them.
    """
    told: list[DealOutcome] = []
    for group in _groups(company, billed, run_id):
        try:
            told += await _announce(company, group, run_id)
        except O2CError as error:
            told += [_with_problem(outcome, error) for outcome in group]
    return told


def _groups(company: Company, billed: Sequence[DealOutcome], run_id: str) -> list[list[DealOutcome]]:
    if len(billed) <= MOST_POSTS:
        return [[outcome] for outcome in billed]
    left = iter(billed)
    sizes = [len(deals) for deals, _ in _messages(company, billed, run_id)]
    return [[next(left) for _ in range(size)] for size in sizes]


async def _announce(company: Company, group: Sequence[DealOutcome], run_id: str) -> list[DealOutcome]:
    """The outcomes of `group`, those whose fate is unknown told one by one."""
    if company.slack is None:
        return [replace(outcome, announced=True) for outcome in group]
    key = _key(group)
    intents = [(_claim(outcome), {"key": key}) for outcome in group]
    begun = await asyncio.to_thread(company.ledger.operations.begin_many, STEP, intents)
    told: list[DealOutcome] = []
    fresh: list[tuple[DealOutcome, Operation]] = []
    for outcome, operation in zip(group, begun, strict=True):
        if isinstance(operation, ClaimLost):
            told.append(outcome.now(DealStatus.WAITING, problem_of(operation)))
        elif operation.state is OperationState.DONE:
            told.append(replace(outcome, announced=True))
        elif operation.state is OperationState.FRESH:
            fresh.append((outcome, operation))
        else:
            told.append(await _again(company, outcome, operation, run_id))
    if fresh:
        told += await _post(company, [outcome for outcome, _ in fresh], fresh[0][1], run_id)
    return told


async def _again(company: Company, outcome: DealOutcome, operation: Operation, run_id: str) -> DealOutcome:
    """Tell of a deal whose earlier announcement was refused, or has an outcome that nobody knows."""
    slack, claim = company.slack, _claim(outcome)
    assert slack is not None
    try:
        if operation.state is OperationState.UNKNOWN:
            ts = await look_for_post(
                slack, _recorded_key(operation), operation.intended_at, label_of(outcome.mapped)
            )
            if ts:
                await _succeed(company, [outcome], ts)
                return replace(outcome, announced=True)
        renewed = await asyncio.to_thread(company.ledger.operations.renew_key, claim, STEP)
        [told] = await _post(company, [outcome], renewed, run_id)
    except O2CError as error:
        return _with_problem(outcome, error)
    return told


async def _post(
    company: Company, deals: Sequence[DealOutcome], operation: Operation, run_id: str
) -> list[DealOutcome]:
    """One message about all these deals, under the key that the operation of each records."""
    assert company.slack is not None
    label = label_of(deals[0].mapped) if len(deals) == 1 else f"{len(deals)} deals"
    message = _message(company, deals, run_id)
    post = _Post(company.slack, _recorded_key(operation), message, operation.intended_at)
    try:
        ts = await post_win(post, label)
    except Permanent as error:
        refused = [(_claim(outcome), error) for outcome in deals]
        await asyncio.to_thread(company.ledger.operations.refuse_many, STEP, refused)
        told = Problem(code=error.code, field=SLACK, message=error.message, remedy=error.remedy)
        return [replace(outcome, announced=True, problems=(*outcome.problems, told)) for outcome in deals]
    except O2CError as error:
        return [_with_problem(outcome, error) for outcome in deals]
    await _succeed(company, deals, ts)
    return [replace(outcome, announced=True) for outcome in deals]


@dataclass
class _Post:
    """A message on its way. `tried`: it may be in the channel already."""

    slack: Slack
    key: str
    message: Message
    since: datetime
    tried: bool = False


@step("win post · {label}")
async def post_win(post: _Post, label: str) -> str:
    """Post the message, or find it where an earlier try of this task posted it; its `ts`."""
    del label
    gateway, channel = post.slack.gateway, post.slack.channel
    if post.tried:
        found = await asyncio.to_thread(gateway.find, channel, post.key, post.since - CLOCK_SKEW)
        if found:
            return found
    post.tried = True
    message = post.message
    return await asyncio.to_thread(gateway.post, channel, message.text, message.blocks, key=post.key)


@step("look for win post · {label}")
async def look_for_post(slack: Slack, key: str, intended_at: datetime, label: str) -> str | None:
    """The `ts` of the message that an earlier run may have posted, or None."""
    del label
    return await asyncio.to_thread(slack.gateway.find, slack.channel, key, intended_at - CLOCK_SKEW)


async def _succeed(company: Company, deals: Sequence[DealOutcome], ts: str) -> None:
    done = [(_claim(outcome), {"ts": ts}) for outcome in deals]
    await asyncio.to_thread(company.ledger.operations.succeed_many, STEP, done)


def _message(company: Company, deals: Sequence[DealOutcome], run_id: str) -> Message:
    if len(deals) > 1:
        [(_, message)] = _messages(company, deals, run_id)
        return message
    return billed_message(billed_notice(deals[0]), salesforce_url=company.record_url, run_url=run_url(run_id))


def _messages(
    company: Company, deals: Sequence[DealOutcome], run_id: str
) -> list[tuple[tuple[BilledNotice, ...], Message]]:
    notices = [billed_notice(outcome) for outcome in deals]
    return billed_messages(notices, salesforce_url=company.record_url, run_url=run_url(run_id))


def _key(group: Sequence[DealOutcome]) -> str:
    """A key that no message had before: each of these deals' obligations is announced for the first time."""
    if len(group) == 1:
        return notice_key("billed", group[0].opportunity_id)
    return notice_key("billed", digest(sorted(_claim(outcome).key for outcome in group))[:32])


def _recorded_key(operation: Operation) -> str:
    """Under which the message of this operation was posted, if it was."""
    return operation.idempotency_key if operation.attempt > 1 else str(operation.intent["key"])


def _with_problem(outcome: DealOutcome, error: O2CError) -> DealOutcome:
    return replace(outcome, problems=(*outcome.problems, problem_of(error)))


def _claim(outcome: DealOutcome) -> Claim:
    assert outcome.claim is not None
    return outcome.claim
