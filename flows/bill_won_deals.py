"""A won deal becomes a sent Stripe invoice.

Runs: within seconds of a deal being won (`o2c drain`), every hour as a sweep, when someone fills in its form, and
    from a terminal (`o2c bill`).
Reads: won Opportunities with Account, lines and primary contact from Salesforce; prices and customers from Stripe;
    what was begun and done from the ledger.
Writes: customers and invoices in Stripe; Stripe's ids, address and status on Opportunity and Account; messages in
    Slack; intents, outcomes, links and held records in the ledger.
Safe to re-run because: each deal is one obligation in the ledger, held by one run at a time; every outside effect's
    intent is committed before it and looked up before it is repeated; only finalizing makes an invoice visible, and
    it is done to one id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.approval import approve, mark_for_approval
from flows.bill_one_deal import bill_deal, finish_deal
from flows.judging import Judged, judge_deals
from order_to_cash.domain.errors import O2CError, RunHeld
from tasks.announcements import alert_failed_run, alert_unfinished
from tasks.chatter import post_to_chatter
from tasks.company import Company, company_named
from tasks.deals import label_of
from tasks.edited import remember
from tasks.held_posts import announce_quarantine
from tasks.mailing import check_mailed_once
from tasks.obligations import Claims, close
from tasks.outcomes import DealOutcome, DealStatus, RunSummary
from tasks.previews import preview_customer
from tasks.quarantine import hold, hold_back, let_go
from tasks.reports import show_plan, show_summary
from tasks.win_posts import announce_billed
from tasks.write_back import write_back

Way = Callable[[], Awaitable[DealOutcome]]

BATCH = 200  # rows of one sObject Collections call
DEALS_IN_FLIGHT = 20


class Mode(StrEnum):
    """`plan` shows what would be billed and touches nothing; `apply` bills."""

    PLAN = "plan"
    APPLY = "apply"


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    named = parameters.get("opportunity_ids") or []
    return f"{parameters.get('mode', Mode.PLAN)} · {f'{len(named)} named' if named else 'all won deals'}"


@flow(name="bill-won-deals", flow_run_name=_run_name, persist_result=False)
async def bill_won_deals(
    opportunity_ids: list[str] = [],  # noqa: B006 - never mutated; an empty list renders as an empty form field
    mode: Mode = Mode.PLAN,
    approved_by: str = "",
    company: str = "o2c",
) -> Any:
    """Bill won deals: customer, invoice, e-mail, write-back, Slack.

    Args:
        opportunity_ids: Salesforce ids of the deals, 15 or 18 characters. Empty: every won deal without an invoice.
        mode: plan shows what would be billed and touches nothing; apply bills.
        approved_by: Who approves a run, or a single deal, that is larger than the billing policy allows.
        company: Name of the blocks with the accounts and the policy.
    """
    run_id = str(runtime.flow_run.id)
    async with company_named(company, run_id) as books:
        try:
            await books.bind()
            summary = await _run(books, opportunity_ids, mode, approved_by, run_id)
        except RunHeld:
            raise  # the channel was asked, not alarmed
        except Exception as error:
            if mode is Mode.APPLY:
                await _told(alert_failed_run(books, error, run_id))
            raise
        incomplete = summary.incomplete and mode is Mode.APPLY
        if incomplete:
            await _told(alert_unfinished(books, summary, run_id))
    state = Failed if incomplete else Completed
    return state(message=summary.in_words, data=summary)


async def _run(
    company: Company, opportunity_ids: list[str], mode: Mode, approved_by: str, run_id: str
) -> RunSummary:
    if mode is Mode.PLAN:
        return await _preview(company, await judge_deals(company, opportunity_ids, run_id, touch=False))
    anew = bool(opportunity_ids and approved_by)
    judged = await judge_deals(company, opportunity_ids, run_id, touch=True, anew=anew)
    await approve(company, judged, bool(opportunity_ids), approved_by, run_id)
    if judged.rejected:
        await hold(company, judged.rejected, len(judged.rejected))
    await let_go(company, judged.unchanged)
    outcomes = await _bill_all(company, judged, run_id)
    await hold_back(company, outcomes)
    await _told(check_mailed_once(company, outcomes, run_id))
    summary = RunSummary((*outcomes, *judged.not_billed))
    held = [outcome for outcome in summary.outcomes if outcome.problems]
    if not held or await _told(announce_quarantine(company, held, run_id, len(held))):
        await remember(company, judged.touched_until)
    await show_summary(company, summary)
    return summary


async def _preview(company: Company, judged: Judged) -> RunSummary:
    """The plan as an artifact. Nothing is created, nothing is written to Salesforce, nobody is told."""
    mark_for_approval(company, judged)
    looked = await asyncio.gather(
        *(
            preview_customer(company, ready.outcome, ready.bill_to, label_of(ready.outcome.mapped))
            for ready in judged.ready
        )
    )
    begun = [outcome for outcome, _ in judged.begun]
    summary = RunSummary((*begun, *(outcome for outcome, _ in looked), *judged.not_billed))
    await show_plan([planned for _, planned in looked if planned], summary, company.record_url)
    return summary


async def _bill_all(company: Company, judged: Judged, run_id: str) -> list[DealOutcome]:
    """All deals of the run in batches, each billed and written back before the next; Slack is told meanwhile."""
    claims = Claims(company)
    seats = asyncio.Semaphore(DEALS_IN_FLIGHT)

    async def seated(way: Way) -> DealOutcome:
        async with seats:
            return await way()

    ways: list[Way] = [
        partial(finish_deal, company, outcome, owed, run_id, claims) for outcome, owed in judged.begun
    ]
    ways += [
        partial(bill_deal, company, ready.outcome, ready.bill_to, run_id, claims) for ready in judged.ready
    ]
    ended: list[DealOutcome] = []
    telling: list[asyncio.Task[list[DealOutcome]]] = []
    async with claims.kept_alive():
        try:
            for start in range(0, len(ways), BATCH):
                outcomes = await asyncio.gather(*(seated(way) for way in ways[start : start + BATCH]))
                billed = [outcome for outcome in outcomes if outcome.status is DealStatus.BILLED]
                ended += [outcome for outcome in outcomes if outcome.status is not DealStatus.BILLED]
                if billed:
                    written = await write_back(company, billed, len(billed))
                    telling.append(asyncio.create_task(_conclude(company, written, claims, run_id)))
        finally:
            for outcomes in await asyncio.gather(*telling):
                ended += outcomes
    return ended


async def _conclude(
    company: Company, written: Sequence[DealOutcome], claims: Claims, run_id: str
) -> list[DealOutcome]:
    """Tell Slack and Chatter, close: what is billed stays open in the ledger until it is written back and told."""
    announced = await post_to_chatter(company, await announce_billed(company, written, run_id))
    await close(company, claims, announced)
    return announced


async def _told(message: Awaitable[Any]) -> bool:
    """Whether Slack was told. That it cannot be now neither ends the run nor hides how it ended."""
    try:
        return await message is not False
    except O2CError as error:
        get_run_logger().warning("Slack was not told: %s", error)
        return False


async def summary_of(state: State[Any]) -> RunSummary | None:
    """What became of each deal, from the state of a finished run; None when the run broke off before it knew."""
    result = await state.aresult(raise_on_failure=False)
    return result if isinstance(result, RunSummary) else None
