"""The Slack thread of each ladder: opened by its first post, answered by the later ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.dunning.steps import ActionKind, Step
from order_to_cash.domain.errors import O2CError
from tasks.company import Company, Slack
from tasks.dunning_items import LadderItem
from tasks.dunning_work import keyed

TOLD_BY = (ActionKind.SLACK, ActionKind.EXECUTIVE_ALERT)
Threads = Mapping[tuple[str, str], str]
"""(invoice, channel) → `ts` of the message that opened the thread."""


def trouble_key(invoice_id: str, step: Step) -> str:
    """Of the message about what a step without a message of its own could not do."""
    return f"ladder:{invoice_id}:{step.key}:trouble"


async def threads_of(company: Company, items: Sequence[LadderItem]) -> Threads:
    """The threads that these ladders have opened. A post that is not known is the beginning of another thread.

    What the ledger has lost is looked for in the channel.
    """
    slack = company.slack
    if slack is None:
        return {}
    found: dict[tuple[str, str], str] = {}
    keys = {item.invoice_id: _posts(item, slack.channel) for item in items}
    told = await asyncio.to_thread(
        company.ledger.effects.outcomes, [key for posts in keys.values() for key in posts]
    )
    for invoice_id, posts in keys.items():
        for key in posts:
            outcome = told.get(key, {})
            opened = str(outcome.get("thread_ts") or outcome.get("ts") or "")
            if opened:
                found.setdefault((invoice_id, str(outcome["channel"])), opened)
    lost = [item for item in items if _has_told(item) and not _any(found, item.invoice_id)]
    found.update(await _looked_for(slack, lost, keys))
    return found


async def _looked_for(
    slack: Slack, lost: Sequence[LadderItem], keys: Mapping[str, Mapping[str, str]]
) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    channels = {channel for item in lost for channel in keys[item.invoice_id].values()}
    for channel in sorted(channels):
        wanted = {
            key: item.invoice_id
            for item in lost
            for key, its in keys[item.invoice_id].items()
            if its == channel
        }
        since = min(_began(item) for item in lost)
        try:
            there = await asyncio.to_thread(slack.gateway.posted, channel, list(wanted), since)
        except O2CError:
            continue  # then a new thread is opened
        for key, invoice_id in wanted.items():
            if key in there:
                found.setdefault((invoice_id, channel), there[key])
    return found


def _posts(item: LadderItem, default: str) -> dict[str, str]:
    """Effect that may have told Slack → channel, in the policy's order."""
    if item.policy is None:
        return {}
    steps = item.policy.ladder(item.claim.ladder.state.collection_method).steps
    posts = {}
    for each in steps:
        for action, key in keyed(item.invoice_id, each):
            if action.kind in TOLD_BY:
                posts[key] = action.channel or default
        posts[trouble_key(item.invoice_id, each)] = default
    return posts


def _has_told(item: LadderItem) -> bool:
    """Whether by the journal a step of it was done that tells Slack."""
    if item.policy is None:
        return False
    journal = item.claim.ladder.state.journal
    steps = item.policy.ladder(item.claim.ladder.state.collection_method).steps
    return any(journal.get(each.key) is StepState.DONE and each.kinds & set(TOLD_BY) for each in steps)


def _any(found: Threads, invoice_id: str) -> bool:
    return any(known == invoice_id for known, _ in found)


def _began(item: LadderItem) -> datetime:
    state = item.claim.ladder.state
    return min(state.first_failed_at or state.opened_at, state.opened_at)
