"""What Stripe said becomes what Salesforce shows.

Runs: within seconds of an event (`o2c drain` hands over what it claimed), and when someone starts the deployment to
    catch up.
Reads: events from the ledger's inbox; objects that leave doubt, parents and payment methods from Stripe; Accounts,
    deals and products from Salesforce; what Salesforce shows already, and links, from the ledger.
Writes: records of subscriptions, invoices, payments, refunds and more, Account roll-ups, Opportunities, Cases and
    Tasks in Salesforce; alerts in Slack; what was applied, which dunning ladders to open or to look at, and what
    became of each event in the ledger.
Safe to re-run because: records are upserted by Stripe's id, older states never follow newer ones, what is shown
    already is not written again, and a signal's records are looked for by their key before a try is repeated. Events
    are done only after all that.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingResult
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from order_to_cash.domain.errors import O2CError, RecordRejected, Unavailable
from order_to_cash.domain.linger import SHORTEST_SECONDS, Lane
from order_to_cash.ledger.inbox_claims import ClaimedEvent
from order_to_cash.ledger.inbox_claims import Lane as InboxLane
from order_to_cash.settings import load_settings
from tasks.company import Company, company_named
from tasks.dunning_hints import note_ladders
from tasks.sync_accounts import customers_of, find_accounts
from tasks.sync_batch import Batch
from tasks.sync_claims import MOST_EVENTS, claim, handed_over, say_mapped
from tasks.sync_events import read_events
from tasks.sync_outcomes import (
    SyncSummary,
    conclude,
    doubt_written,
    give_back,
    kept_claimed,
    park_one,
)
from tasks.sync_pace import Pace
from tasks.sync_parents import fetch_parents
from tasks.sync_prices import write_prices
from tasks.sync_report import show_summary
from tasks.sync_rollups import roll_up
from tasks.sync_rows import map_rows
from tasks.sync_signals import raise_signals
from tasks.sync_writes import write_rows

# How often a batch that breaks for a reason of no known kind is halved: enough to find one event in 2,000 twice over.
MOST_HALVES = 64
SPENT = ". The day's share of Salesforce calls is used up: what waits is applied as more may be made"


def _run_name() -> str:
    claims = handed_over()
    return f"{len(claims)} events" if claims else "what waits"


@flow(name="apply-stripe-events", flow_run_name=_run_name, persist_result=False)
async def apply_stripe_events(most_events: int = MOST_EVENTS, company: str = "o2c") -> Any:
    """Bring Salesforce up to date with the Stripe events that wait in the inbox.

    Args:
        most_events: How many to take at once.
        company: Name of the blocks with the accounts and the policy.
    """
    run_id = str(runtime.flow_run.id)
    async with company_named(company, run_id) as books:
        await books.bind()
        claims = handed_over()
        given = claims is not None
        pace = None if given else Pace(books, load_settings().salesforce_daily_share)
        if pace is not None:
            claims = await _paid_for(books, pace, most_events)
        summary, error = SyncSummary(), None
        while claims:
            async with kept_claimed(books, claims):
                applied, error = await _applied(books, claims, run_id)
            summary += applied
            claims = []
            if pace is not None and error is None:
                pace.learnt(applied.calls)
                claims = await _paid_for(books, pace, most_events)
    if summary.parked or summary.retried or (summary.events and not given):
        await show_summary(summary)
    if error is not None:
        return Failed(message=f"{summary.in_words}. {error}", data=summary)
    return Completed(message=f"{summary.in_words}{SPENT if pace and pace.spent else ''}", data=summary)


async def _paid_for(company: Company, pace: Pace, most: int) -> Sequence[ClaimedEvent]:
    """What to work on next, once the day's share of Salesforce calls allows. Nothing when it is used up."""
    rest = await pace.linger_seconds()
    if pace.spent:
        return []
    if rest > SHORTEST_SECONDS:
        await asyncio.sleep(rest)
    lanes = await pace.lanes()
    return await claim(
        company, most, [InboxLane.LIVE, *([InboxLane.CATCH_UP] if Lane.CATCH_UP in lanes else [])]
    )


async def _applied(
    company: Company, claims: Sequence[ClaimedEvent], run_id: str
) -> tuple[SyncSummary, O2CError | None]:
    """The batch, halved where something unforeseen breaks it, until the event that does so stands alone.

    The error is what is wrong with the run rather than with an event.
    """
    summary, worst = SyncSummary(), None
    waiting, halves = [list(claims)], 0
    while waiting:
        batch = Batch(claims=waiting.pop(), run_id=run_id, now=company.clock.now())
        try:
            async for ended in _apply(company, batch):
                summary += ended
        except O2CError as error:
            worst = error
            summary += await give_back(company, batch.claims, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one event must not hold up the others
            # Without the error's own words: they may quote what Stripe sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            part = list(batch.claims)
            get_run_logger().error("%s in a batch of %d:\n%s", type(error).__name__, len(part), where)
            if len(part) == 1:
                summary += await park_one(company, part[0], _unforeseen(error))
            elif halves < MOST_HALVES:
                halves += 1
                middle = len(part) // 2
                waiting += [part[:middle], part[middle:]]
            else:
                worst = _broken(error)
                summary += await give_back(company, part, worst)
    return summary, worst


async def _apply(company: Company, batch: Batch) -> AsyncIterator[SyncSummary]:
    """What became of its events, of some earlier than of others; those left are the batch's claims."""
    try:
        async for ended in _step_by_step(company, batch):
            yield ended
    except Exception:
        await doubt_written(company, batch, batch.landed)
        raise


async def _step_by_step(company: Company, batch: Batch) -> AsyncIterator[SyncSummary]:
    await read_events(company, batch, len(batch.claims))
    if batch.states or batch.signals:
        await fetch_parents(company, batch, len(batch.states))
    customers = customers_of(batch)
    if customers or batch.states:
        await find_accounts(company, batch, len(customers))
    if standing := batch.standing():
        await map_rows(company, batch, len(standing))
    say_mapped()
    if batch.rows:
        await write_rows(company, batch, len(batch.rows))
    if batch.prices:
        await write_prices(company, batch, len(batch.prices))
    if batch.touched_accounts:
        await roll_up(company, batch, len(batch.touched_accounts))
    await note_ladders(company, batch)
    if batch.signals:
        # Their customers' next events need not wait until somebody else's Task is written.
        if silent := batch.without_signal():
            yield await conclude(company, batch, silent, len(silent))
        await raise_signals(company, batch, len(batch.signals))
    yield await conclude(company, batch, batch.claims, len(batch.claims))


def _unforeseen(error: Exception) -> RecordRejected:
    return RecordRejected(
        f"Applying this event broke with {type(error).__name__}.",
        code="event_unforeseen",
        remedy="Report it with the run's log, then replay the event with the next version.",
    )


def _broken(error: Exception) -> Unavailable:
    return Unavailable(
        f"Applying events breaks with {type(error).__name__}, whichever they are.",
        code="sync_broken",
        remedy="See the run's log and report it. The events wait and are tried again.",
    )


async def summary_of(state: State[Any]) -> SyncSummary | None:
    """What became of the events, from the state of a finished run; None when it broke off before it knew, or when
    Prefect lost what it said.
    """
    try:
        result = await state.aresult(raise_on_failure=False)
    except MissingResult:  # of a run whose end was told to a server that stood still
        return None
    return result if isinstance(result, SyncSummary) else None
