"""Slack, told of signals: each once, many of them in one message."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from order_to_cash.domain.errors import ClaimedElsewhere, O2CError, OutcomeUnknown
from order_to_cash.domain.identity import digest
from order_to_cash.domain.messages import LONGEST_MESSAGE, MOST_BLOCKS, Message
from order_to_cash.domain.sync.shapes import Reaction
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company, Slack
from tasks.effects import CLOCK_SKEW
from tasks.sync_batch import Batch

_KIND = "alert"


async def post_alerts(
    company: Company,
    batch: Batch,
    reactions: Mapping[str, Reaction],
    signals: Mapping[str, Operation],
    failed: Collection[str],
) -> dict[str, O2CError]:
    """Post what is not posted yet; signal → why it could not be. `signals` not in `failed` only.

    A message is known by the signals in it; the intent of each names the message that it went with, so that after a
    lost answer the channel is asked for that one.
    """
    del signals
    slack = company.slack
    wanted = {key: each.message for key, each in reactions.items() if each.message and key not in failed}
    if slack is None or not wanted:
        return {}
    groups = {_name(group): group for group in grouped(wanted)}
    message_of = {key: name for name, group in groups.items() for key in group}
    intents = {f"{key}:slack": {"message": message_of[key]} for key in wanted}
    begun = await asyncio.to_thread(company.ledger.effects.begin, _KIND, intents, run_id=batch.run_id)
    errors: dict[str, O2CError] = {}
    ready: dict[str, Operation] = {}
    for key in wanted:
        operation = begun[f"{key}:slack"]
        if isinstance(operation, ClaimedElsewhere):
            errors[key] = operation
        elif operation.state is not OperationState.DONE:
            ready[key] = operation
    posted = await _posted_before(company, slack, ready, errors)
    left = {key: wanted[key] for key in ready if key not in posted and key not in errors}
    for group in grouped(left):
        # Another group than the intents say, when a part of it was posted before: say so before posting.
        errors |= await _post(company, slack, group, wanted, ready)
    return errors


async def _posted_before(
    company: Company, slack: Slack, ready: Mapping[str, Operation], errors: dict[str, O2CError]
) -> set[str]:
    """Which of those begun earlier are in the channel: they are done."""
    unknown = {key: one for key, one in ready.items() if one.state is OperationState.UNKNOWN}
    found: dict[str, str | None] = {}
    for operation in unknown.values():
        name = str(operation.intent["message"])
        if name not in found:
            since = operation.intended_at - CLOCK_SKEW
            try:
                found[name] = await asyncio.to_thread(slack.gateway.find, slack.channel, name, since)
            except O2CError as error:
                errors |= {key: error for key, one in unknown.items() if one.intent["message"] == name}
                found[name] = None
    there = {key: one for key, one in unknown.items() if found[str(one.intent["message"])]}
    done = {key: (one, {"ts": found[str(one.intent["message"])]}) for key, one in there.items()}
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    return set(there)


async def _post(
    company: Company,
    slack: Slack,
    group: tuple[str, ...],
    messages: Mapping[str, Message],
    ready: Mapping[str, Operation],
) -> dict[str, O2CError]:
    message = together([messages[key] for key in group])
    name = _name(group)
    operations = [ready[key] for key in group]
    renamed = [one for one in operations if one.intent["message"] != name]
    if renamed:
        await asyncio.to_thread(company.ledger.effects.restate, renamed, {"message": name})
    try:
        ts = await asyncio.to_thread(
            slack.gateway.post, slack.channel, message.text, message.blocks, key=name
        )
    except OutcomeUnknown as error:
        await asyncio.to_thread(company.ledger.effects.release, operations)
        return dict.fromkeys(group, error)
    except O2CError as error:
        if error.retryable:
            await asyncio.to_thread(company.ledger.effects.release, operations)
        else:
            await asyncio.to_thread(company.ledger.effects.refuse, [(one, error) for one in operations])
        return dict.fromkeys(group, error)
    done = {one.key: (one, {"ts": ts}) for one in operations}
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    return {}


def grouped(messages: Mapping[str, Message]) -> list[tuple[str, ...]]:
    """The signals whose messages go into one, within Slack's limits."""
    groups: list[list[str]] = []
    blocks = size = 0
    for key in sorted(messages):
        message = messages[key]
        length = len(str(message.blocks))
        if not groups or blocks + len(message.blocks) > MOST_BLOCKS or size + length > LONGEST_MESSAGE:
            groups.append([])
            blocks = size = 0
        groups[-1].append(key)
        blocks += len(message.blocks)
        size += length
    return [tuple(group) for group in groups]


def together(messages: list[Message]) -> Message:
    """One message of several."""
    if len(messages) == 1:
        return messages[0]
    return Message(
        text=f"{len(messages)} alerts. {messages[0].text}",
        blocks=tuple(block for message in messages for block in message.blocks),
    )


def _name(group: tuple[str, ...]) -> str:
    """What the message is called in Slack's metadata: a signal's own name, or one for all of its signals."""
    return f"{group[0]}:slack" if len(group) == 1 else f"o2c:alerts:{digest(list(group))[:32]}"
