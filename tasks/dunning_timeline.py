"""A ladder as a page in the Prefect UI: what was done, by which step, when, what comes next, and where to look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from prefect.artifacts import acreate_markdown_artifact
from prefect.logging import get_logger

from order_to_cash.domain.dunning.decision import Held
from order_to_cash.domain.dunning.due import schedule_doubts
from order_to_cash.domain.dunning.facts import Hold, StepState
from order_to_cash.domain.dunning.notes import note_in_words
from order_to_cash.domain.dunning.pages import timeline_key
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import Step, heard_of_us
from order_to_cash.domain.messages import record_url
from order_to_cash.domain.records import Environment
from order_to_cash.domain.redaction import redact
from order_to_cash.domain.tables import cell
from order_to_cash.ledger.ladder_records import Ladder, LadderStatus, LadderStep, Settled
from tasks.company import Company
from tasks.dunning_links import hold_form
from tasks.dunning_progress import Progress
from tasks.dunning_settling import subject_of
from tasks.notices import run_url
from tasks.retrying import step

LOG = get_logger("o2c.ladders")
MOST_PAGES = 100
"""So many ladders of one batch get a page each, those first that something happened to; making one takes 15 ms."""
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a reader can go; "" where there is nothing."""

    invoice: str = ""
    account: str = ""
    hold: str = ""


@step("show {count} timelines")
async def show_timelines(company: Company, progress: Sequence[Progress], count: int) -> None:
    """A page for each; what Prefect does not take is logged and left out."""
    del count
    form = await hold_form(company)
    places = asyncio.Semaphore(_AT_ONCE)

    async def show(one: Progress) -> None:
        ladder, links = one.claim.ladder, _links(company, one, form.url(one.invoice_id))
        policy = one.item.policy if one.item is not None else None
        async with places:
            await acreate_markdown_artifact(
                key=timeline_key(ladder.invoice_id),
                markdown=timeline_markdown(
                    as_left(one, company.clock.now()), policy, links, _doubts(one, company.clock.now())
                ),
                description=f"The dunning ladder of invoice {_number(ladder)}.",
            )

    shown = sorted((one for one in progress if not one.lost), key=lambda one: not one.acted)[:MOST_PAGES]
    results = await asyncio.gather(*map(show, shown), return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    if failed:
        LOG.warning("%d timelines were not shown: %s.", len(failed), type(failed[0]).__name__)


def as_left(one: Progress, now: datetime) -> Ladder:
    """The ladder as this run leaves it."""
    ladder = one.claim.ladder
    if one.ended is not None:
        state = replace(ladder.state, ended=one.ended)
        return replace(
            ladder,
            state=state,
            status=LadderStatus.ENDED,
            ended_at=now,
            due_at=None,
            next_step="",
            subject=subject_of(one) or ladder.subject,
        )
    if one.settled is None:
        return ladder
    left: Settled = one.settled
    held = one.decision
    return replace(
        ladder,
        status=left.status,
        # It may stand on the Account, of which the ledger does not know.
        hold=Hold(until=held.until, reason=held.reason) if isinstance(held, Held) else ladder.hold,
        next_step=left.next_step,
        due_at=left.due_at,
        subject=left.subject or ladder.subject,
        failures=left.failures,
        code=left.code,
        reason=left.reason,
    )


def _doubts(one: Progress, now: datetime) -> tuple[str, ...]:
    """Where Stripe was seen to do other than the policy says."""
    facts, policy = one.facts(), one.item.policy if one.item is not None else None
    return () if facts is None or policy is None else schedule_doubts(facts, policy, now)


def timeline_markdown(
    ladder: Ladder, policy: DunningPolicy | None, links: Links = Links(), doubts: Sequence[str] = ()
) -> str:
    """The page. Company names and numbers; nothing else about people. Moments are UTC."""
    about = ladder.subject
    name = cell(str(redact(about.account_name)) or ladder.customer_id)
    titles = {one.key: one for one in policy.ladder(ladder.state.collection_method).steps} if policy else {}
    anchor = ladder.state.first_failed_at
    told = [
        f"# {name} · {cell(_number(ladder))}",
        _standing(ladder, titles),
        _facts(ladder) if ladder.ended_at is None else "",
        f"First failed {_at(anchor)}." if anchor else f"Opened {_at(ladder.state.opened_at)}.",
        _journal(ladder, titles),
        *(f"**Look at the policy**: {cell(doubt)}" for doubt in doubts),
        " · ".join(
            f"[{label}]({url})"
            for label, url in (
                ("Invoice in Stripe", links.invoice),
                ("Account in Salesforce", links.account),
                ("Hold or snooze", links.hold if ladder.ended_at is None else ""),
            )
            if url.startswith(("https://", "http://"))
        ),
    ]
    return "\n\n".join(part for part in told if part) + "\n"


def _standing(ladder: Ladder, titles: Mapping[str, Step]) -> str:
    if ladder.ended_at is not None:
        return f"**Ended {_at(ladder.ended_at)}: {str(ladder.state.ended or '').replace('_', ' ')}.**"
    following = _title(ladder.next_step, titles)
    if ladder.failures:
        return (
            f"**The last try failed ({cell(ladder.code)}); it is tried again {_at(ladder.due_at)}.** "
            f"{cell(str(redact(ladder.reason)))}"
        )
    if ladder.status is LadderStatus.HELD:
        until = ladder.hold.until if ladder.hold is not None else None
        return f"**On hold{f' until {_at(until)}' if until else ''}.** Next step: {following or 'none'}."
    if ladder.status is LadderStatus.RESTING:
        return "**Every step is taken.** The ladder ends when the invoice is paid or given up."
    return f"**Next: {following or 'first look'}, {_at(ladder.due_at)}.**"


def _facts(ladder: Ladder) -> str:
    about = ladder.subject
    told = [
        f"Still owed: {about.amount_remaining}." if about.amount_remaining is not None else "",
        f"Stripe tries again {_at(about.next_payment_attempt)}." if about.next_payment_attempt else "",
    ]
    return " ".join(part for part in told if part)


def _journal(ladder: Ladder, titles: Mapping[str, Step]) -> str:
    if not ladder.steps:
        return "Nothing was done so far."
    rows = ["| Step | What | When (UTC) | Run |", "| --- | --- | --- | --- |"]
    for line in ladder.steps:
        url = run_url(line.run_id)
        run = f"[run]({url})" if url else ""
        what, when = _what(line, titles.get(line.key)), _moment(line.decided_at or line.begun_at)
        rows.append(f"| {_title(line.key, titles)} | {what} | {when} | {run} |")
    return "\n".join(rows)


def _what(line: LadderStep, taken: Step | None) -> str:
    word = {StepState.BEGUN: "begun", StepState.DONE: "done", StepState.PASSED: "passed over"}[line.state]
    contact = ", customer contacted" if heard_of_us(line.contacted_at, taken) else ""
    return f"{word}{contact}{f': {cell(str(redact(note_in_words(line.note))))}' if line.note else ''}"


def _title(key: str, titles: Mapping[str, Step]) -> str:
    return cell(titles[key].name if key in titles else key.replace("-", " "))


def _number(ladder: Ladder) -> str:
    return ladder.subject.invoice_number or ladder.invoice_id


def _at(moment: datetime | None) -> str:
    return f"{_moment(moment)} UTC" if moment is not None else "at a time not yet known"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _links(company: Company, one: Progress, hold: str) -> Links:
    test = "" if company.environment is Environment.LIVE else "test/"
    account_id = one.item.account.account_id if one.item is not None else ""
    return Links(
        invoice=f"https://dashboard.stripe.com/{test}invoices/{one.invoice_id}",
        account=record_url(company.record_url, account_id) if account_id else "",
        hold=hold,
    )
