"""What Slack is told of held deals: one message for those of a run, each content of a deal once.

A message's intent names the entries it tells of. A run that was killed on its way leaves it behind; the next one asks
Slack for the message before it tells any of these entries, in whatever company they are by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, Refused
from order_to_cash.domain.identity import digest, notice_key
from order_to_cash.domain.messages import quarantine_message
from order_to_cash.ledger.intents import Operation, OperationState
from order_to_cash.ledger.tables import QuarantineEntry
from tasks.announcements import tell
from tasks.company import Company
from tasks.effects import CLOCK_SKEW
from tasks.notices import held_notices, run_url
from tasks.outcomes import DealOutcome
from tasks.retrying import step

KIND = "held"
Content = tuple[str, str, str, int]


@step("tell Slack of {count} held deals")
async def announce_quarantine(company: Company, held: Sequence[DealOutcome], run_id: str, count: int) -> bool:
    """One message for all deals that are held and whose owners were not told of this content yet.

    Whether nobody of them is left to be told: a run that is posting now may be a killed one, a channel may refuse.
    """
    del count
    elsewhere = await _settle_earlier(company, run_id)
    of_run = {outcome.opportunity_id for outcome in held}
    untold = [entry for entry in await _untold(company) if entry.record_id in of_run]
    news = [entry for entry in untold if _content(entry) not in elsewhere]
    if not news:
        return not untold
    names = {entry.record_id for entry in news}
    notices = held_notices([outcome for outcome in held if outcome.opportunity_id in names])
    message = quarantine_message(notices, salesforce_url=company.record_url, run_url=run_url(run_id))
    contents = sorted(_content(entry) for entry in news)
    key = notice_key(KIND, digest(contents)[:32])
    if not await tell(company, key, message, run_id, kind=KIND, about={"entries": contents}):
        return False
    await asyncio.to_thread(company.ledger.quarantine.told, news)
    return len(news) == len(untold)


async def _settle_earlier(company: Company, run_id: str) -> set[Content]:
    """Write down what earlier runs told without saying so; the contents that another run is telling now."""
    untold = {_content(entry): entry for entry in await _untold(company)}
    if company.slack is None or not untold:
        return set()
    since = min(entry.opened_at for entry in untold.values()) - CLOCK_SKEW
    begun = await asyncio.to_thread(company.ledger.operations.standalone, KIND, since)
    told: list[QuarantineEntry] = []
    elsewhere: set[Content] = set()
    for operation in begun:
        concerned = [content for content in _named_by(operation) if content in untold]
        try:
            if concerned and await _was_posted(company, operation, run_id):
                told += [untold[content] for content in concerned]
        except (ClaimedElsewhere, ClaimLost):
            elsewhere.update(concerned)
    if told:
        await asyncio.to_thread(company.ledger.quarantine.told, told)
    return elsewhere


async def _was_posted(company: Company, operation: Operation, run_id: str) -> bool:
    """Whether an earlier message is in the channel. Raises ClaimedElsewhere while its run may still post it."""
    operations, slack = company.ledger.operations, company.slack
    assert slack is not None
    if operation.state is OperationState.UNKNOWN:
        operation = await asyncio.to_thread(
            operations.begin_standalone, operation.key, KIND, operation.intent, run_id=run_id
        )
    if operation.state is not OperationState.UNKNOWN:
        return operation.state is OperationState.DONE
    since = operation.intended_at - CLOCK_SKEW
    ts = await asyncio.to_thread(slack.gateway.find, slack.channel, operation.key, since)
    if ts:
        await asyncio.to_thread(operations.succeed_standalone, operation, {"ts": ts, "run_id": run_id})
        return True
    lost = Refused("The run that was to post this message ended before it did.", code="not_posted")
    await asyncio.to_thread(operations.refuse_standalone, operation, lost)
    return False


async def _untold(company: Company) -> list[QuarantineEntry]:
    return await asyncio.to_thread(company.ledger.quarantine.untold)


def _content(entry: QuarantineEntry) -> Content:
    return (entry.record_id, entry.code, entry.digest, entry.times_opened)


def _named_by(operation: Operation) -> Collection[Content]:
    return [
        (str(record_id), str(code), str(content), int(times))
        for record_id, code, content, times in operation.intent["entries"]
    ]
