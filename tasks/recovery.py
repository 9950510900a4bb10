"""The recovery report as steps of a run: count, show, tell Slack once a day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from prefect.artifacts import acreate_markdown_artifact

from order_to_cash.domain.dunning.due import schedule_doubts
from order_to_cash.domain.dunning.facts import EndReason, Facts, InvoiceFacts, StepState
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.recovery import Chase, Recovery, recovery
from order_to_cash.domain.dunning.recovery_texts import recovery_markdown, recovery_message
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.identity import notice_key
from order_to_cash.ledger.ladder_records import Ladder, LadderStatus
from order_to_cash.ledger.ladders import Ladders
from tasks.announcements import tell
from tasks.company import Company
from tasks.notices import run_url
from tasks.retrying import step

KEY = "recovery-report"


@dataclass(frozen=True, slots=True)
class Report:
    """The figures, and what people call the steps: key → title, in the policy's order.

    `doubts`: ladders on which Stripe was seen to do other than the policy says, a sentence each.
    """

    figures: Recovery
    titles: Mapping[str, str]
    doubts: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """No ladder was open in the period."""
        figures = self.figures
        ended = figures.recovered.count + figures.lost.count + sum(figures.other_ends.values())
        return not (figures.open.count or ended)

    @property
    def in_words(self) -> str:
        """Such as “3 open, 5 recovered, 2 lost”."""
        figures = self.figures
        return f"{figures.open.count} open, {figures.recovered.count} recovered, {figures.lost.count} lost"


@step("count ladders")
async def count_ladders(company: Company, since: datetime, until: datetime) -> Report:
    """Raises Unavailable."""
    ladders = company.ledger.ladders
    found = await asyncio.to_thread(ladders.recovery, since, until)
    versions = dict.fromkeys(ladder.state.policy_version for ladder in reversed(found))
    kept = await asyncio.to_thread(_kept, ladders, versions)
    policies = [*([company.dunning] if company.dunning else []), *kept.values()]
    doubts = (doubt for ladder in found for doubt in _doubts(ladder, kept, until))
    return Report(recovery(map(chase, found), since, until), _titles(policies), tuple(doubts))


async def show_report(report: Report) -> None:
    """The report as an artifact."""
    await acreate_markdown_artifact(
        key=KEY,
        markdown=recovery_markdown(report.figures, report.titles, report.doubts),
        description="What chasing unpaid invoices brought: open, recovered, lost, after which step, how soon.",
    )


@step("tell Slack")
async def post_report(company: Company, report: Report, run_id: str) -> bool:
    """Post it once for the day on which it ends (UTC), whatever runs how often; whether this run did.

    Raises what the gateway raises; the next run of the day then looks whether it is there.
    """
    message = recovery_message(report.figures, report.titles, report.doubts, run_url=run_url(run_id))
    key = notice_key("recovery", f"{report.figures.until:%Y-%m-%d}")
    return company.slack is not None and await tell(company, key, message, run_id) == run_id


def chase(ladder: Ladder) -> Chase:
    """One ladder as it is counted."""
    done = [one for one in ladder.steps if one.state is StepState.DONE]
    last = max(done, key=lambda one: one.decided_at or one.begun_at, default=None)
    state = ladder.state
    return Chase(
        invoice_id=ladder.invoice_id,
        customer_id=ladder.customer_id,
        began_at=state.first_failed_at or state.opened_at,
        opened_at=state.opened_at,
        ended_at=ladder.ended_at,
        ended=state.ended,
        last_step=last.key if last else "",
        owed=ladder.subject.amount_remaining,
        held=ladder.hold is not None or ladder.status is LadderStatus.HELD,
    )


def _doubts(ladder: Ladder, policies: Mapping[str, DunningPolicy], now: datetime) -> list[str]:
    """By what the ledger knows: when Stripe last said that it tries again, and when it canceled."""
    policy, canceled = policies.get(ladder.state.policy_version), EndReason.SUBSCRIPTION_CANCELED
    if policy is None or ladder.state.ended not in {None, canceled}:
        return []
    invoice = InvoiceFacts(
        next_payment_attempt=ladder.subject.next_payment_attempt,
        subscription_status="canceled" if ladder.state.ended is canceled else None,
        subscription_ended_at=ladder.ended_at,
    )
    facts = Facts(invoice=invoice, ladder=ladder.state)
    return [f"{ladder.invoice_id}: {doubt}" for doubt in schedule_doubts(facts, policy, now)]


def _kept(ladders: Ladders, versions: Iterable[str]) -> dict[str, DunningPolicy]:
    """The policies of these versions, as far as they can be read: without one its steps stand under their keys."""
    found = {}
    for version in versions:
        body = ladders.policy(version)
        try:
            if body is not None:
                found[version] = read_policy(body)
        except ConfigurationError:
            continue
    return found


def _titles(policies: Iterable[DunningPolicy]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for policy in policies:
        for step_ in (*policy.charged.steps, *policy.sent.steps):
            titles.setdefault(step_.key, step_.name)
    return titles
