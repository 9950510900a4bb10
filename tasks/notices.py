"""Outcomes of a run as people are told of them; the addresses of runs and records."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.settings import get_current_settings

from order_to_cash.domain.mapping import MappedDeal
from order_to_cash.domain.messages import BilledNotice, QuarantineNotice
from order_to_cash.domain.redaction import redact
from tasks.outcomes import DealOutcome


def billed_notice(outcome: DealOutcome) -> BilledNotice:
    """A billed deal; `outcome.invoice` is set."""
    invoice, mapped = outcome.invoice, outcome.mapped
    assert invoice is not None
    return BilledNotice(
        opportunity_id=outcome.opportunity_id,
        **_names(mapped),
        total=invoice.total_excluding_tax,
        tax=invoice.tax or None,
        invoice_id=invoice.invoice_id,
        invoice_number=invoice.number,
        hosted_invoice_url=invoice.hosted_invoice_url,
        days_until_due=outcome.plan.days_until_due if outcome.plan else None,
    )


def held_notices(outcomes: Sequence[DealOutcome]) -> list[QuarantineNotice]:
    """Deals with the problems that hold them."""
    return [
        QuarantineNotice(
            opportunity_id=outcome.opportunity_id,
            **_names(outcome.mapped),
            problems=outcome.problems,
        )
        for outcome in outcomes
        if outcome.problems
    ]


def _names(mapped: MappedDeal) -> dict[str, str]:
    """What people called the records, without the addresses that some of them write into a name."""
    return {
        "opportunity_name": str(redact(mapped.name)) or mapped.opportunity_id,
        "account_name": str(redact(mapped.account_name)),
        "owner_name": str(redact(mapped.owner_name)),
    }


def run_url(run_id: str) -> str:
    """The run's page in the Prefect UI; empty where there is none."""
    ui_url = get_current_settings().ui_url
    return f"{ui_url.rstrip('/')}/runs/flow-run/{run_id}" if ui_url and run_id else ""
