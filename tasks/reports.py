"""A run as artifacts in the Prefect UI, and as the rows of a terminal's table."""

from __future__ import annotations

from prefect.artifacts import acreate_markdown_artifact

from expectations.runner import ExpectationReport, report_markdown
from order_to_cash.domain.redaction import redact
from order_to_cash.domain.tables import PlannedDeal, billed_table, plan_table, quarantine_table
from tasks.company import Company
from tasks.notices import billed_notice, held_notices
from tasks.outcomes import DealOutcome, DealStatus, RunSummary

COLUMNS = ("Deal", "Customer", "Outcome", "Amount", "Invoice or reason")


async def show_expectations(company: Company, report: ExpectationReport) -> None:
    """The verdict of the expectation suite, as an artifact."""
    await acreate_markdown_artifact(
        key="billing-expectations",
        markdown=report_markdown(report, record_url=company.record_url),
        description="What the expectation suite found in this batch.",
    )


async def show_plan(planned: list[PlannedDeal], summary: RunSummary, record_url: str) -> None:
    """What would be billed and what would not, as an artifact."""
    parts = [f"# {summary.in_words}", "Nothing was touched.", plan_table(planned)]
    await acreate_markdown_artifact(
        key="billing-plan",
        markdown="\n\n".join([*parts, *_need_attention(summary, record_url)]),
        description="What billing these deals would do.",
    )


async def show_summary(company: Company, summary: RunSummary) -> None:
    """What became of each deal, as an artifact. A run without deals leaves none."""
    if not summary.outcomes:
        return
    billed = [billed_notice(outcome) for outcome in summary.having(DealStatus.BILLED)]
    parts = [f"# {summary.in_words}"]
    if billed:
        parts.append(billed_table(billed, salesforce_url=company.record_url))
    await acreate_markdown_artifact(
        key="billed-deals",
        markdown="\n\n".join([*parts, *_need_attention(summary, company.record_url)]),
        description="What became of each deal of this run.",
    )


def cells(outcome: DealOutcome) -> tuple[str, ...]:
    """One deal as a row of a terminal's table."""
    amount = str(outcome.amount) if outcome.amount is not None else ""
    reasons = "; ".join(f"{problem.code}: {problem.message}" for problem in outcome.problems)
    url = outcome.invoice.hosted_invoice_url if outcome.invoice is not None else ""
    return (
        outcome.opportunity_id,
        str(redact(outcome.mapped.account_name))[:40],
        outcome.status.value,
        amount,
        " · ".join(part for part in (url, reasons) if part),
    )


def _need_attention(summary: RunSummary, record_url: str) -> list[str]:
    others = [outcome for outcome in summary.outcomes if outcome.problems]
    if not others:
        return []
    return ["## Needs attention", quarantine_table(held_notices(others), salesforce_url=record_url)]
