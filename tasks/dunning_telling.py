"""Slack hears of steps where the policy says so, and of what could not be done in any case (R46)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.dunning.posts import step_post
from order_to_cash.domain.dunning.steps import ActionKind, Priority
from order_to_cash.domain.dunning.texts import trouble_text
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import TASK
from tasks.company import Company
from tasks.dunning_debts import Debts
from tasks.dunning_owners import Owners
from tasks.dunning_posts import Telling, tell_slack
from tasks.dunning_records import Wanted, make_once
from tasks.dunning_threads import TOLD_BY, Threads, threads_of, trouble_key
from tasks.dunning_work import LadderBatch, Work

_GIVEN = frozenset({ActionKind.TASK, ActionKind.CASE, ActionKind.OUTREACH_TASK})
_WHAT = "Slack could not be told"


async def tell(
    company: Company, batch: LadderBatch, works: Sequence[Work], owners: Owners, debts: Debts
) -> None:
    """One message a ladder. What Slack does not take is noted, and a person has or gets a Task that tells."""
    by_invoice: dict[str, list[Work]] = {}
    for work in works:
        by_invoice.setdefault(work.item.invoice_id, []).append(work)
    telling = _to_tell(by_invoice)
    if not telling:
        return
    try:
        threads = await threads_of(company, [work.item for work in telling.values()])
    except O2CError as error:  # the ledger's
        _later(telling, dict.fromkeys(telling, error))
        return
    tellings = [
        _telling(company, key, work, by_invoice[work.item.invoice_id], owners, debts, threads)
        for key, work in telling.items()
    ]
    told = await tell_slack(company, tellings, debts.run, batch.run_id)
    _later(telling, told.later)
    for key in told.done:
        if telling[key].kind in TOLD_BY:
            telling[key].done()
    unheard = {key: (telling[key], error) for key, error in told.unheard.items()}
    await _tell_by_task(company, batch, unheard, by_invoice, debts)


def _to_tell(by_invoice: Mapping[str, Sequence[Work]]) -> dict[str, Work]:
    """Effect → the work that it tells of; for a step that tells nothing, what went wrong with it."""
    telling: dict[str, Work] = {}
    for invoice_id, works in by_invoice.items():
        mine = [work for work in works if work.kind in TOLD_BY]
        telling.update({work.key: work for work in mine if work.outcome is None})
        troubled = [work for work in works if work.trouble]
        if troubled and not mine:
            telling[trouble_key(invoice_id, troubled[0].step)] = troubled[0]
    return telling


def _telling(
    company: Company,
    key: str,
    work: Work,
    beside: Sequence[Work],
    owners: Owners,
    debts: Debts,
    threads: Threads,
) -> Telling:
    default = company.slack.channel if company.slack is not None else ""
    channel = work.action.channel or default
    executive = owners.owner(work)[0].name if work.kind is ActionKind.EXECUTIVE_ALERT else ""
    trouble = list(dict.fromkeys(one.trouble for one in beside if one.trouble))
    post = step_post(debts.debt(work.item, work.step), work.step, executive=executive, trouble=trouble)
    decision = work.item.decision
    late_by = decision.late_by if isinstance(decision, Do) else timedelta(0)
    thread = threads.get((work.item.invoice_id, channel), "")
    # An alert must not be lost in a thread of days ago.
    broadcast = work.kind is ActionKind.EXECUTIVE_ALERT
    return Telling(key, channel, post, debts.now - late_by, thread, broadcast)


def _later(telling: Mapping[str, Work], errors: Mapping[str, O2CError]) -> None:
    for key, error in errors.items():
        telling[key].failed(error, _WHAT)


async def _tell_by_task(
    company: Company,
    batch: LadderBatch,
    unheard: Mapping[str, tuple[Work, O2CError]],
    by_invoice: Mapping[str, Sequence[Work]],
    debts: Debts,
) -> None:
    """Whoever is given a Task or Case by the step itself needs no other."""
    wanted = {
        key: _task(key, work, error, debts)
        for key, (work, error) in unheard.items()
        if work.account_id and not any(map(_reached_a_person, by_invoice[work.item.invoice_id]))
    }
    made = await make_once(company, batch, list(wanted.values()))
    for key, (work, error) in unheard.items():
        there = made.get(wanted[key].key) if key in wanted else None
        if work.kind in TOLD_BY:
            work.done(f"slack: {error.code}")
        if isinstance(there, O2CError) and there.retryable:
            work.failed(there, _WHAT)


def _reached_a_person(work: Work) -> bool:
    outcome = work.outcome
    done = outcome is not None and outcome.error is None and not work.trouble
    return work.kind in _GIVEN and done


def _task(key: str, work: Work, error: O2CError, debts: Debts) -> Wanted:
    debt = debts.debt(work.item, work.step)
    told = [f"Slack could not be told: {error.message} {error.remedy}".strip(), work.trouble]
    said = trouble_text(debt, work.step, "Slack was not told", [line for line in told if line])
    fields = people_records.task(
        f"{key}:task",
        said,
        account_id=work.account_id,
        owner=work.item.account.owner,
        due=people_records.working_day(debts.now, work.policy.contact_hours),
        priority=Priority.HIGH,
    )
    return Wanted(f"{key}:task", TASK, work.account_id, fields)
