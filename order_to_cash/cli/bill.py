"""`o2c bill`: the recipe from a terminal, as a plan or for real."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence

import typer

from order_to_cash.cli.init import require_prefect, use_prefect
from order_to_cash.cli.output import show_table
from order_to_cash.domain.errors import O2CError, Unavailable
from order_to_cash.settings import Settings


def run(settings: Settings, opportunity_ids: Sequence[str], *, mode: str, approved_by: str) -> None:
    """Bill, or show the plan. Raises the run's own error; ends with status 1 when something is unfinished."""
    require_prefect(settings)
    use_prefect(settings)
    if not asyncio.run(_bill(list(opportunity_ids), mode, approved_by)):
        raise typer.Exit(1)


async def _bill(opportunity_ids: list[str], mode: str, approved_by: str) -> bool:
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of
    from tasks.reports import COLUMNS, cells

    state = await bill_won_deals(opportunity_ids, mode=Mode(mode), approved_by=approved_by, return_state=True)
    summary = await summary_of(state)
    if summary is None:
        error = await state.aresult(raise_on_failure=False)
        raise error if isinstance(error, O2CError) else Unavailable(state.message or "The run broke off.")
    if summary.outcomes:
        show_table(COLUMNS, [cells(outcome) for outcome in summary.outcomes])
    typer.echo(f"\n{summary.in_words}")
    if mode == Mode.PLAN and summary.outcomes:
        command = shlex.join(["o2c", "bill", *opportunity_ids, "--mode", "apply"])
        typer.echo(f"Nothing was touched. Bill it with: {command}")
    return not summary.incomplete
