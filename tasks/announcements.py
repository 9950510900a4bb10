"""What Slack is told of runs: one that waits for approval, one that failed or left something over. Each once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from order_to_cash.domain.decisions import RunLimit
from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, O2CError, Permanent
from order_to_cash.domain.identity import digest, notice_key
from order_to_cash.domain.messages import (
    Message,
    failed_run_message,
    held_run_message,
)
from order_to_cash.ledger.intents import Operation
from tasks.company import Company, Slack
from tasks.effects import CLOCK_SKEW, Effect, LonePage, once
from tasks.notices import run_url
from tasks.outcomes import RunSummary
from tasks.retrying import step

FLOW = "bill-won-deals"


@step("ask Slack for approval")
async def announce_held(company: Company, limit: RunLimit, about: str, run_id: str) -> bool:
    """Ask whether a large run may go on, once for the same deals; whether it was asked only now, by this run."""
    message = held_run_message(limit, run_url=run_url(run_id))
    return await tell(company, notice_key("approval", about[:32]), message, run_id) == run_id


@step("alert")
async def alert_failed_run(company: Company, error: BaseException, run_id: str) -> None:
    """Tell the channel that a run failed, and what to do."""
    known = error if isinstance(error, O2CError) else None
    message = failed_run_message(
        FLOW,
        known.message if known else f"An unexpected {type(error).__name__} ended the run.",
        remedy=known.remedy
        if known
        else "See the run's log. The next run goes on from where this one stood.",
        ids=known.ids if known else None,
        run_url=run_url(run_id),
    )
    await tell(company, notice_key("failed", run_id), message, run_id)


@step("alert")
async def alert_unfinished(company: Company, summary: RunSummary, run_id: str) -> None:
    """Tell the channel that deals of this run are not done, with the first reason."""
    left = summary.left_over
    first = next((problem for outcome in left for problem in outcome.problems), None)
    message = failed_run_message(
        FLOW,
        f"{len(left)} of {len(summary.outcomes)} deals are not done ({summary.in_words})."
        + (f" The first: {first.message}" if first else ""),
        remedy="Nothing to do yet: the next run goes on from where this one stood."
        + (f" If it lasts: {first.remedy}" if first else ""),
        run_url=run_url(run_id),
    )
    about = digest(
        sorted([outcome.opportunity_id, *(one.code for one in outcome.problems)] for outcome in left)
    )
    await tell(company, notice_key("unfinished", about[:32]), message, run_id)


async def tell(
    company: Company,
    key: str,
    message: Message,
    run_id: str,
    *,
    kind: str = "notice",
    about: Mapping[str, Any] | None = None,
) -> str:
    """Post once under `key`; the run that posted it, this one where there is no channel.

    What Slack refuses, or another run holds, does not end this one: empty then, because nobody is known to be told.
    The other run may have been killed on its way to Slack. `about` is recorded with the intent.
    """
    if company.slack is None:
        return run_id
    effect = _post(company.slack, key, message, run_id, {"key": key, **(about or {})})
    try:
        told = await once(LonePage(company.ledger.operations, kind, run_id, effect), effect)
    except (Permanent, ClaimedElsewhere, ClaimLost):
        return ""
    return told.run_id


@dataclass(frozen=True)
class _Told:
    """A message in the channel, and the run that posted it."""

    ts: str
    run_id: str


def _post(slack: Slack, key: str, message: Message, run_id: str, intent: Mapping[str, Any]) -> Effect[_Told]:
    async def make(_key: str) -> _Told:
        ts = await asyncio.to_thread(slack.gateway.post, slack.channel, message.text, message.blocks, key=key)
        return _Told(ts, run_id)

    async def look_up(operation: Operation) -> _Told | None:
        since = operation.intended_at - CLOCK_SKEW
        ts = await asyncio.to_thread(slack.gateway.find, slack.channel, key, since)
        return _Told(ts, run_id) if ts else None

    async def recall(outcome: dict[str, str]) -> _Told:
        return _Told(outcome["ts"], outcome.get("run_id", ""))

    return Effect(
        key,
        intent,
        make,
        look_up,
        record=lambda told: {"ts": told.ts, "run_id": told.run_id},
        recall=recall,
    )
