"""What is cleared away when a ladder ends: the Account, open Tasks and Cases of this ladder, the Slack thread."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.decision import End
from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.posts import ended_post
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.dunning.texts import closing_note, settled_line
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import CASE, KEY, TASK
from order_to_cash.ledger.ladder_records import LadderFilter, LadderStatus
from tasks.company import Company
from tasks.dunning_accounts import clear_accounts
from tasks.dunning_debts import Debts
from tasks.dunning_items import LadderItem
from tasks.dunning_left import clear_left, left_elsewhere
from tasks.dunning_posts import Telling, tell_slack
from tasks.dunning_records import CONTACT_KEYS, cases_by_key, tasks_of_ladders
from tasks.dunning_shown import show_ended
from tasks.dunning_threads import threads_of
from tasks.dunning_work import LadderBatch, batch_of, keyed
from tasks.here import here
from tasks.retrying import step
from tasks.sync_calls import upsert
from tasks.sync_writes import result_errors

_ROWS = 200
_NAMED = re.compile(r"\((in_\w+)\)")


@dataclass(slots=True)
class _Ending:
    """One ladder on its way out. `closed`: how many records of each kind; `trouble`: what a person has to do."""

    item: LadderItem
    reason: EndReason
    closed: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)
    error: O2CError | None = None

    def failed(self, error: O2CError, what: str) -> None:
        """What may pass is tried again; what may not keeps no ladder from ending."""
        if error.retryable:
            self.error = self.error or error
        else:
            self.trouble.append(f"{what}: {error.message} {error.remedy}".strip())

    @property
    def in_words(self) -> str:
        counted = [
            f"1 {kind}" if count == 1 else f"{count} {kind}s" for kind, count in sorted(self.closed.items())
        ]
        if not counted:
            return ""
        return f"{' and '.join(counted)} {'was' if self.closed.total() == 1 else 'were'} closed."


async def end_ladders(
    company: Company, items: Sequence[LadderItem], run_id: str
) -> dict[str, O2CError | None]:
    """Clear away what ended ladders left behind; invoice → why it has to be tried again, None where it has not.

    Accounts are rolled up and unflagged, open Tasks and Cases closed with a note, the thread answered. Doing it again
    changes nothing. What is refused for good is told in the thread.
    """
    endings = [_Ending(item, item.decision.reason) for item in items if isinstance(item.decision, End)]
    if not endings:
        return {}
    batch, debts = batch_of(company, run_id), await Debts.of(company, run_id)
    await _clear_accounts(company, batch, endings)
    await _close(company, batch, endings, debts)
    through = [ending for ending in endings if ending.error is None]
    await _tell(company, through, debts, run_id)
    return {ending.item.invoice_id: ending.error for ending in endings}


async def _clear_accounts(company: Company, batch: LadderBatch, endings: Sequence[_Ending]) -> None:
    try:
        items = [ending.item for ending in endings]
        errors = await clear_accounts(company, batch, items)
        shown = await show_ended(company, batch, items)
    except O2CError as error:  # the ledger's
        for ending in endings:
            ending.failed(error, "The Account was not cleared")
        return
    for ending in endings:
        failed = errors.get(ending.item.account.account_id)
        if failed is not None:
            ending.failed(failed, "The Account still shows the unpaid invoice")
        if ending.item.invoice_id in shown:
            ending.failed(shown[ending.item.invoice_id], "The invoice still shows its ladder")


async def _close(company: Company, batch: LadderBatch, endings: Sequence[_Ending], debts: Debts) -> None:
    try:
        await here(close_records)(company, batch, endings, debts, len(endings))
    except O2CError as error:
        for ending in endings:
            ending.failed(error, "Its open Tasks and Cases were not closed")


@step("close what {count} ladders left open")
async def close_records(
    company: Company, batch: LadderBatch, endings: Sequence[_Ending], debts: Debts, count: int
) -> None:
    """Close open Tasks and Cases. A Task about several invoices only gets a note while another one is unpaid."""
    del count
    by_invoice = {ending.item.invoice_id: ending for ending in endings}
    accounts = {ending.item.account.account_id for ending in endings} - {""}
    tasks = await tasks_of_ladders(company, batch, accounts, open_only=True)
    left = await left_elsewhere(company, batch, [ending.item for ending in endings])
    tasks += [row for _, row in left if not row["IsClosed"]]
    cases = await cases_by_key(company, batch, [key for ending in endings for key in _cases(ending.item)])
    shared = [row for row in tasks if str(row[KEY]).startswith(CONTACT_KEYS)]
    unpaid = await _still_chased(company, shared, by_invoice)
    changes: list[_Change] = [
        *(_closed(TASK, row, by_invoice, debts) for row in tasks if _invoice(row) in by_invoice),
        *(_closed(CASE, row, by_invoice, debts) for row in cases if not row["IsClosed"]),
        *(change for row in shared if (change := _of_shared(row, by_invoice, unpaid, debts)) is not None),
    ]
    for sobject in (TASK, CASE):
        await _write(company, batch, [change for change in changes if change.sobject == sobject])
    errors = await clear_left(company, batch, left)
    for item, row in left:
        if row["WhatId"] in errors:
            by_invoice[item.invoice_id].failed(errors[row["WhatId"]], "The Account before still shows it")


@dataclass(frozen=True, slots=True)
class _Change:
    sobject: str
    row: Mapping[str, Any]
    about: tuple[_Ending, ...]
    closes: bool = True


def _closed(sobject: str, row: Mapping[str, Any], by_invoice: Mapping[str, _Ending], debts: Debts) -> _Change:
    ending = by_invoice[_invoice(row)]
    note = _note(ending, debts)
    closed = people_records.closed_task if sobject == TASK else people_records.closed_case
    return _Change(sobject, closed(row, note), (ending,))


def _of_shared(
    row: Mapping[str, Any], by_invoice: Mapping[str, _Ending], unpaid: set[str], debts: Debts
) -> _Change | None:
    """A Task to talk to a customer, closed when none of its invoices is chased any more."""
    named = _names(row)
    about = tuple(by_invoice[invoice] for invoice in named if invoice in by_invoice)
    if not about:
        return None
    if unpaid.isdisjoint(named):
        notes = [_note(ending, debts) for ending in about]
        return _Change(TASK, people_records.closed_task(row, "\n".join(notes)), about)
    lines = [settled_line(ending.reason, ending.item.invoice_number) for ending in about]
    news = [line for line in lines if line not in str(row.get("Description"))]
    return _Change(TASK, people_records.noted(row, "\n".join(news)), about, closes=False) if news else None


async def _still_chased(
    company: Company, shared: Sequence[Mapping[str, Any]], by_invoice: Mapping[str, _Ending]
) -> set[str]:
    """Of the invoices that these Tasks name, those whose ladder goes on."""
    named = {invoice for row in shared for invoice in _names(row)}
    others = tuple(sorted(named - by_invoice.keys()))
    if not others or named.isdisjoint(by_invoice):
        return set()
    wanted = LadderFilter(invoice_ids=others)
    ladders = await asyncio.to_thread(company.ledger.ladders.find, wanted, len(others))
    return {ladder.invoice_id for ladder in ladders if ladder.status is not LadderStatus.ENDED}


async def _write(company: Company, batch: LadderBatch, changes: Sequence[_Change]) -> None:
    """Raises the first error that may pass, after all others are noted."""
    again: list[O2CError] = []
    for start in range(0, len(changes), _ROWS):
        some = changes[start : start + _ROWS]
        results = await upsert(company, batch, some[0].sobject, "Id", [change.row for change in some])
        errors = result_errors(results, range(len(some)))
        for index, change in enumerate(some):
            error = errors.get(index)
            for ending in change.about:
                if error is None:
                    ending.closed[change.sobject] += change.closes
                elif not error.retryable:
                    ending.failed(error, f"An open {change.sobject} was not closed")
        again += [error for error in errors.values() if error.retryable]
        batch.written += len(some) - len(errors)
    if again:
        raise again[0]


async def _tell(company: Company, endings: Sequence[_Ending], debts: Debts, run_id: str) -> None:
    """Answer each thread. A ladder that Slack never heard of ends without a word, unless something is left to do.

    That Slack does not take it keeps no ladder from ending: it is retried within the run, then let go.
    """
    try:
        threads = await threads_of(company, [ending.item for ending in endings])
    except O2CError as error:  # the ledger's
        for ending in endings:
            ending.failed(error, "Slack could not be told")
        return
    by_key: dict[str, _Ending] = {}
    tellings = []
    for ending in endings:
        invoice_id = ending.item.invoice_id
        mine = {channel: ts for (invoice, channel), ts in threads.items() if invoice == invoice_id}
        if not mine and ending.trouble and company.slack is not None:
            mine = {company.slack.channel: ""}
        post = ended_post(
            debts.debt(ending.item), ending.reason, closed=ending.in_words, trouble=ending.trouble
        )
        for number, (channel, ts) in enumerate(sorted(mine.items())):
            key = f"ladder:{invoice_id}:end:slack" + (f":{number + 1}" if number else "")
            by_key[key] = ending
            tellings.append(Telling(key, channel, post, debts.now, ts))
    told = await tell_slack(company, tellings, debts.run, run_id)
    for key, later in told.later.items():
        by_key[key].failed(later, "Slack could not be told")


def _cases(item: LadderItem) -> list[str]:
    if item.policy is None:
        return []
    steps = item.policy.ladder(item.claim.ladder.state.collection_method).steps
    return [
        key
        for each in steps
        for action, key in keyed(item.invoice_id, each)
        if action.kind is ActionKind.CASE
    ]


def _invoice(row: Mapping[str, Any]) -> str:
    """The invoice of a record's key, `ladder:in_…:…`; "" for any other."""
    kind, _, rest = str(row[KEY]).partition(":")
    return rest.partition(":")[0] if kind == "ladder" else ""


def _names(row: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(_NAMED.findall(str(row.get("Description") or ""))))


def _note(ending: _Ending, debts: Debts) -> str:
    debt = debts.debt(ending.item)
    return closing_note(ending.reason, debt.number, debts.now, debt.zone)
