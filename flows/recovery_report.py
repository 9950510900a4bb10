"""What chasing unpaid invoices brought is counted and told.

Runs: each morning by its schedule, and when someone asks by its form.
Reads: ladders in the ledger; nobody outside is asked.
Writes: the artifact `recovery-report`; with `post` one message in Slack a day.
Safe to re-run because: counting changes nothing, and the message of a day has a key of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.states import Completed
from pydantic import Field

from tasks.company import company_named
from tasks.recovery import count_ladders, post_report, show_report


def _run_name() -> str:
    return f"last {runtime.flow_run.parameters.get('days', 30)} days"


@flow(name="recovery-report", flow_run_name=_run_name, persist_result=False)
async def recovery_report(
    days: Annotated[int, Field(ge=1, le=366)] = 30, post: bool = False, company: str = "o2c"
) -> Any:
    """Count what is open, what was recovered after which step and how soon, and what was lost.

    Args:
        days: How many days back what ended is counted.
        post: Also tell Slack. Once a day: later runs of the day do not repeat it.
        company: Name of the blocks with the accounts and the policy.
    """
    run_id = str(runtime.flow_run.id)
    async with company_named(company, run_id) as books:
        await books.bind()
        now = books.clock.now()
        report = await count_ladders(books, now - timedelta(days=days), now)
        await show_report(report)
        posted = post and not report.empty and await post_report(books, report, run_id)
    return Completed(message=f"{report.in_words}{'; Slack was told' if posted else ''}", data=report)
