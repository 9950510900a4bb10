"""Won deals: read from Salesforce, mapped to records, judged by the expectation suite, planned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expectations.runner import ExpectationReport, validate
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import digest
from order_to_cash.domain.judgement import Catalogue, judge
from order_to_cash.domain.mapping import MappedDeal, map_deals
from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.problems import Reason
from order_to_cash.domain.queries import (
    contacts_queries,
    deals_by_id_queries,
    lines_queries,
    won_deals_query,
)
from order_to_cash.domain.records import BillingPlan, Problem, WonDeal
from order_to_cash.domain.redaction import redact
from order_to_cash.domain.rows import billing_rows
from tasks.company import Company
from tasks.retrying import step

SUITE = "billing_record"

# Reasons not to bill a deal that are no fault of the record: named in the answer, not held.
NOT_OURS = frozenset(
    {Reason.ALREADY_BILLED, Reason.STAGE_NOT_WON, Reason.EXCLUDED_TYPE, Reason.CLOSED_BEFORE_GO_LIVE}
)


@dataclass(frozen=True)
class Rejection:
    """One deal that is not billed, and all reasons."""

    mapped: MappedDeal
    problems: tuple[Problem, ...]

    @property
    def content_digest(self) -> str:
        """Changes when what was judged changes: the owner is told again then, and not before.

        The invoice's id is left out: it is this recipe that writes it, also where the Account's row is refused.
        """
        written = {"system_modstamp": True, "stripe_invoice_id": True}
        content = self.mapped.model_dump(exclude={"system_modstamp": True, "deal": written})
        return digest([content, [problem.code for problem in self.problems]])


@dataclass(frozen=True)
class RawDeals:
    """Salesforce's answers, as they came."""

    deals: tuple[Mapping[str, Any], ...] = ()
    lines: tuple[Mapping[str, Any], ...] = ()
    contacts: tuple[Mapping[str, Any], ...] = ()


@step("read won deals")
async def read_won_deals(
    company: Company, opportunity_ids: Sequence[str], also: Sequence[str] = ()
) -> RawDeals:
    """The named deals whatever their state; without names, every won deal that carries no invoice, and `also`."""
    named = list(opportunity_ids or also)
    queries = deals_by_id_queries(company.rules, named)
    if not opportunity_ids:
        queries.append(won_deals_query(company.rules))
    deals = list({str(deal["Id"]): deal for deal in await query_all(company, queries)}.values())
    return await with_lines(company, deals) if deals else RawDeals()


async def with_lines(company: Company, deals: Sequence[Mapping[str, Any]]) -> RawDeals:
    """The deals with their lines and primary contacts."""
    ids = [str(deal["Id"]) for deal in deals]
    lines, contacts = await asyncio.gather(
        query_all(company, lines_queries(company.rules, ids)),
        query_all(company, contacts_queries(ids)),
    )
    return RawDeals(tuple(deals), tuple(lines), tuple(contacts))


@step("map {count} deals")
async def map_to_records(company: Company, raw: RawDeals, count: int) -> list[MappedDeal]:
    """Records of ours. What a row cannot say stands in `problems`, never guessed."""
    del count
    return map_deals(raw.deals, raw.lines, raw.contacts, company.rules)


@step("expectations · {count} deals")
async def check_expectations(deals: Sequence[WonDeal], catalogue: Catalogue, count: int) -> ExpectationReport:
    """Judge the whole batch by `expectations/billing_record.json`."""
    del count
    rows = [row for deal in deals for row in billing_rows(deal, catalogue)]
    return await asyncio.to_thread(validate, SUITE, rows)


@step("plan {count} deals")
async def plan_billing(
    company: Company, deals: Sequence[WonDeal], catalogue: Catalogue, count: int
) -> list[BillingPlan | RecordRejected]:
    """What billing each deal will do, or what still speaks against it. All at once: it is decided within the process,
    and a task run a deal would keep the first deal waiting for seconds where 200 are won."""
    del count
    return [_planned(company, deal, catalogue) for deal in deals]


def _planned(company: Company, deal: WonDeal, catalogue: Catalogue) -> BillingPlan | RecordRejected:
    try:
        return plan_deal(deal, catalogue, company.rules)
    except RecordRejected as error:
        return error


def not_ours(company: Company, deal: WonDeal, catalogue: Catalogue) -> tuple[Problem, ...]:
    """Why the deal is none that this recipe bills; empty when it is."""
    return tuple(problem for problem in judge(deal, catalogue, company.rules) if problem.code in NOT_OURS)


def problems_of(report: ExpectationReport, opportunity_id: str) -> tuple[Problem, ...]:
    """What the suite found against one deal, for the quarantine."""
    return tuple(
        Problem(code=failure.code, field=failure.column, message=failure.message, remedy=failure.remedy)
        for failure in report.failures_of(opportunity_id)
        if failure.severity == "critical"
    )


def label_of(mapped: MappedDeal) -> str:
    """How a deal is called in the run graph: a company name may be shown, an address may not."""
    return f"{redact(mapped.account_name or mapped.name) or 'deal'} · {mapped.opportunity_id}"


async def query_all(company: Company, queries: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of all answers."""
    answers = await asyncio.gather(*(asyncio.to_thread(company.salesforce.query, query) for query in queries))
    return [row for answer in answers for row in answer]
