"""Billed deals that somebody changed afterwards: found by the sweep, told to their owners, never billed again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from order_to_cash.domain.edited import Billed, edit_of
from order_to_cash.domain.judgement import Catalogue
from order_to_cash.domain.mapping import MappedDeal, map_deals
from order_to_cash.domain.money import Money
from order_to_cash.domain.queries import accounts_queries, billed_deals_query
from order_to_cash.domain.records import WonDeal
from order_to_cash.ledger.claims import ObligationState
from order_to_cash.ledger.tables import Obligation
from tasks.company import Company
from tasks.deals import Rejection, query_all, with_lines
from tasks.retrying import step

WATERMARK = "billed-deals"
# Salesforce shows a record to queries somewhat after its SystemModstamp, and its clock is not ours. The first sweep
# looks back a day.
OVERLAP = timedelta(minutes=5)
FIRST_LOOK_BACK = timedelta(days=1)


@dataclass(frozen=True)
class Touched:
    """Billed deals that were touched since the last sweep, and how far this one has read."""

    deals: tuple[MappedDeal, ...] = ()
    until: datetime | None = None


@dataclass
class Edited:
    """Of billed deals: those that were changed, and those that still are what was billed."""

    changed: list[Rejection] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


@step("read touched deals")
async def read_touched(company: Company) -> Touched:
    """Billed deals that were touched since the last sweep. One query where there are none."""
    now = company.clock.now()
    mark = await asyncio.to_thread(company.ledger.watermarks.get, WATERMARK)
    since = mark.modstamp - OVERLAP if mark is not None else now - FIRST_LOOK_BACK
    deals = await query_all(company, [billed_deals_query(company.rules, since)])
    if not deals:
        return Touched(until=now)
    raw = await with_lines(company, deals)
    return Touched(tuple(map_deals(raw.deals, raw.lines, raw.contacts, company.rules)), now)


@step("compare {count} billed deals")
async def find_edited(
    company: Company, billed: Sequence[MappedDeal], catalogue: Catalogue, count: int
) -> Edited:
    """Which of these deals are not what the ledger says was billed. Deals that it did not bill are neither."""
    del count
    ids = [one.opportunity_id for one in billed]
    owed = await asyncio.to_thread(company.ledger.obligations.latest_many, ids)
    closed = {key: one for key, one in owed.items() if one.state == ObligationState.CLOSED}
    readable = [(one, one.deal) for one in billed if one.deal is not None and one.opportunity_id in closed]
    gone = await _gone(company, readable, closed)
    found = Edited()
    for mapped, deal in readable:
        obligation = closed[mapped.opportunity_id]
        edit = edit_of(
            deal,
            _billed(obligation),
            catalogue,
            company.rules,
            account_gone=obligation.account_id in gone,
        )
        if edit is None:
            found.unchanged.append(mapped.opportunity_id)
        else:
            found.changed.append(Rejection(mapped, (edit,)))
    return found


async def remember(company: Company, until: datetime | None) -> None:
    """The next sweep goes on from here; what this one found is in the quarantine, and told, by now."""
    if until is not None:
        await asyncio.to_thread(company.ledger.watermarks.set, WATERMARK, until)


async def _gone(
    company: Company, deals: Sequence[tuple[MappedDeal, WonDeal]], owed: Mapping[str, Obligation]
) -> set[str]:
    """Of the Accounts that were billed and do not have their deals any more, those that were deleted or merged."""
    left = {
        owed[mapped.opportunity_id].account_id
        for mapped, deal in deals
        if owed[mapped.opportunity_id].account_id != deal.account.account_id
    }
    rows = await query_all(company, accounts_queries(sorted(left)))
    return left - {str(row["Id"]) for row in rows}


def _billed(owed: Obligation) -> Billed:
    return Billed(
        plan_digest=owed.plan_digest,
        account_id=owed.account_id,
        total=Money(owed.amount_minor, owed.currency),
    )
