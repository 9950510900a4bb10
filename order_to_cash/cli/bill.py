"""`o2c bill`: the recipe from a terminal, as a plan or for real."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import Sequence

import typer

from order_to_cash.cli.init import require_prefect, use_prefect
from order_to_cash.cli.output import show_remedies, show_table
from order_to_cash.cli.wiring import require_emulators
from order_to_cash.domain.errors import O2CError, RecordRejected, Unavailable
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.problems import Reason
from order_to_cash.settings import Settings


def run(
    settings: Settings,
    opportunity_ids: Sequence[str],
    *,
    mode: str,
    approved_by: str | None = None,
    verbose: bool = False,
) -> None:
    """Bill, or show the plan. Raises the run's own error.

    Ends with status 1 when something is unfinished, or when a deal that was named is not there.
    """
    ids = [_checked(one) for one in opportunity_ids]
    if approved_by is not None and not approved_by.strip():
        raise typer.BadParameter("a name belongs here.", param_hint="'--approved-by'")
    require_emulators(settings)
    require_prefect(settings)
    use_prefect(settings)
    if not verbose:
        # Of the terminal alone: the run's page in the Prefect UI keeps every line.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    if not asyncio.run(_bill(ids, mode, approved_by or "")):
        raise typer.Exit(1)


async def _bill(opportunity_ids: list[str], mode: str, approved_by: str) -> bool:
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of
    from tasks.outcomes import DealStatus
    from tasks.reports import COLUMNS, cells

    state = await bill_won_deals(opportunity_ids, mode=Mode(mode), approved_by=approved_by, return_state=True)
    summary = await summary_of(state)
    if summary is None:
        error = await state.aresult(raise_on_failure=False)
        raise error if isinstance(error, O2CError) else Unavailable(state.message or "The run broke off.")
    if summary.outcomes:
        show_table(COLUMNS, [cells(outcome) for outcome in summary.outcomes])
    typer.echo(f"\n{summary.in_words}")
    show_remedies(
        (one.remedy, outcome.opportunity_id)
        for outcome in summary.outcomes
        if outcome.status not in {DealStatus.PLANNED, DealStatus.SKIPPED}
        for one in outcome.problems
    )
    planned = summary.having(DealStatus.PLANNED)
    if mode == Mode.PLAN and planned:
        asks = any(one.code == Reason.NEEDS_APPROVAL for outcome in planned for one in outcome.problems)
        approval = ["--approved-by", "NAME"] if asks else []
        command = shlex.join(["o2c", "bill", *opportunity_ids, "--mode", "apply", *approval])
        typer.echo(f"\nNothing was touched. Bill it with: {command}")
    return not summary.incomplete and not summary.having(DealStatus.NOT_FOUND)


def _checked(opportunity_id: str) -> str:
    """The id with 18 characters. A malformed one is a wrong argument."""
    try:
        return salesforce_id(opportunity_id)
    except RecordRejected as error:
        raise typer.BadParameter(f"{opportunity_id}: {error.message}") from None
