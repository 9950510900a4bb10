"""Which won deals are billed now, which are held, which are not this recipe's business."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.judgement import Catalogue
from order_to_cash.domain.mapping import MappedDeal
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import BillingPlan, BillTo, WonDeal
from order_to_cash.ledger.claims import ObligationState
from order_to_cash.ledger.tables import Obligation
from tasks.catalogue import read_catalogue, refresh_customers
from tasks.company import Company
from tasks.deals import (
    Rejection,
    check_expectations,
    label_of,
    map_to_records,
    not_ours,
    plan_billing,
    problems_of,
    read_won_deals,
)
from tasks.edited import Touched, find_edited, read_touched
from tasks.obligations import abandon, maybe_out, read_begun, settled
from tasks.outcomes import DealOutcome, DealStatus, problem_of
from tasks.quarantine import let_go
from tasks.reports import show_expectations


@dataclass(frozen=True)
class Ready:
    """A planned deal and who is billed."""

    outcome: DealOutcome
    plan: BillingPlan
    bill_to: BillTo


@dataclass
class Judged:
    """All deals of a run, each in exactly one of these lists."""

    ready: list[Ready] = field(default_factory=list)
    begun: list[tuple[DealOutcome, Obligation]] = field(
        default_factory=list
    )  # invoice final, rest to be done
    rejected: list[Rejection] = field(default_factory=list)
    skipped: list[DealOutcome] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)  # billed, touched since, and still what was billed
    touched_until: datetime | None = None

    @property
    def not_billed(self) -> list[DealOutcome]:
        held = [
            DealOutcome(rejection.mapped, DealStatus.QUARANTINED, rejection.problems)
            for rejection in self.rejected
        ]
        return [*held, *self.skipped]


async def judge_deals(
    company: Company, opportunity_ids: Sequence[str], run_id: str, *, touch: bool, anew: bool = False
) -> Judged:
    """Read, map, judge and plan the named deals; without names, all that are won and carry no invoice.

    Billed deals among the named ones, or touched since the last sweep, are compared with what was billed. `touch`:
    what earlier runs left unclear is settled with Stripe first; a plan leaves it as it is. `anew`: see `settled`.
    """
    begun = await read_begun(company, opportunity_ids)
    owed = await maybe_out(company, begun)
    if touch:
        owed = await settled(company, owed, run_id, anew=anew)
    reading = (
        asyncio.ensure_future(read_won_deals(company, opportunity_ids, tuple(begun))),
        asyncio.ensure_future(read_catalogue(company)),
        asyncio.ensure_future(refresh_customers(company)),
        asyncio.ensure_future(_touched(company, opportunity_ids)),
    )
    await asyncio.wait(reading)  # all of them: a run that fails leaves no call of its own behind
    raw, catalogue, _, touched = await asyncio.gather(*reading)
    mapped = await map_to_records(company, raw, len(raw.deals))
    judged = Judged()
    judged.begun = _begun(mapped, owed)
    candidates = _candidates(
        company, [one for one in mapped if one.opportunity_id not in owed], catalogue, judged
    )
    billed = [*touched.deals, *(one for one in mapped if one.deal and one.deal.stripe_invoice_id)]
    judged.touched_until = touched.until
    await _edited(company, [one for one in billed if one.opportunity_id not in owed], catalogue, judged)
    if touch:
        await _abandon(company, judged.skipped, run_id)
        known = {*owed, *(one.opportunity_id for one in mapped)}
        deleted = [MappedDeal(opportunity_id=key) for key in begun if key not in known]
        await _abandon(company, [DealOutcome(one, DealStatus.SKIPPED) for one in deleted], run_id)
    judged.skipped += _not_found(opportunity_ids, {*begun, *(one.opportunity_id for one in mapped)})
    fit = await _expect(company, candidates, catalogue, judged)
    await _plan(company, fit, catalogue, judged)
    return judged


def _not_found(opportunity_ids: Sequence[str], known: set[str]) -> list[DealOutcome]:
    missing = problem(Reason.NOT_FOUND, "Salesforce shows no opportunity with this id.")
    return [
        DealOutcome(MappedDeal(opportunity_id=key), DealStatus.NOT_FOUND, (missing,))
        for key in dict.fromkeys(map(salesforce_id, opportunity_ids))
        if key not in known
    ]


async def _abandon(company: Company, skipped: Sequence[DealOutcome], run_id: str) -> None:
    """Deals that are not won any more, or gone, after a run began them: nothing is owed, and no draft is left."""
    ids = [one.opportunity_id for one in skipped]
    latest = await asyncio.to_thread(company.ledger.obligations.latest_many, ids)
    for one in skipped:
        owed = latest.get(one.opportunity_id)
        if owed is not None and owed.state in {ObligationState.OPEN, ObligationState.HELD}:
            await abandon(company, owed, run_id, label_of(one.mapped))
    await let_go(company, ids)


async def _touched(company: Company, opportunity_ids: Sequence[str]) -> Touched:
    return Touched() if opportunity_ids else await read_touched(company)


async def _edited(
    company: Company, billed: Sequence[MappedDeal], catalogue: Catalogue, judged: Judged
) -> None:
    if not billed:
        return
    found = await find_edited(company, billed, catalogue, len(billed))
    changed = {rejection.mapped.opportunity_id for rejection in found.changed}
    judged.skipped = [outcome for outcome in judged.skipped if outcome.opportunity_id not in changed]
    judged.rejected += found.changed
    judged.unchanged += found.unchanged


def _begun(mapped: Sequence[MappedDeal], owed: dict[str, Obligation]) -> list[tuple[DealOutcome, Obligation]]:
    """What an earlier run left, also where the Opportunity itself is gone by now."""
    known = {one.opportunity_id: one for one in mapped}
    return [
        (DealOutcome(known.get(key, MappedDeal(opportunity_id=key)), DealStatus.UNFINISHED), obligation)
        for key, obligation in owed.items()
    ]


def _candidates(
    company: Company, mapped: Sequence[MappedDeal], catalogue: Catalogue, judged: Judged
) -> list[tuple[MappedDeal, WonDeal]]:
    candidates = []
    for one in mapped:
        if one.deal is None:
            judged.rejected.append(Rejection(one, one.problems))
        elif reasons := not_ours(company, one.deal, catalogue):
            judged.skipped.append(DealOutcome(one, DealStatus.SKIPPED, reasons))
        else:
            candidates.append((one, one.deal))
    return candidates


async def _expect(
    company: Company, candidates: list[tuple[MappedDeal, WonDeal]], catalogue: Catalogue, judged: Judged
) -> list[tuple[MappedDeal, WonDeal]]:
    if not candidates:
        return []
    report = await check_expectations([deal for _, deal in candidates], catalogue, len(candidates))
    await show_expectations(company, report)
    held = set(report.held_ids)
    for mapped, deal in candidates:
        if deal.opportunity_id in held:
            judged.rejected.append(Rejection(mapped, problems_of(report, deal.opportunity_id)))
    return [(mapped, deal) for mapped, deal in candidates if deal.opportunity_id not in held]


async def _plan(
    company: Company, fit: Sequence[tuple[MappedDeal, WonDeal]], catalogue: Catalogue, judged: Judged
) -> None:
    if not fit:
        return
    plans = await plan_billing(company, [deal for _, deal in fit], catalogue, len(fit))
    for (mapped, deal), plan in zip(fit, plans, strict=True):
        if isinstance(plan, RecordRejected):
            judged.rejected.append(Rejection(mapped, (problem_of(plan),)))
        else:
            outcome = DealOutcome(mapped, DealStatus.PLANNED, plan=plan)
            judged.ready.append(Ready(outcome, plan, deal.account))
