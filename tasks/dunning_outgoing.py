"""Mails of ladders on their way, and the Tasks that stand for them in Salesforce."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.dunning.letters import Letter
from order_to_cash.domain.dunning.sending import PREFIX, SENDING, TaskStatus, is_about, named_line
from order_to_cash.domain.dunning.steps import Action, ActionKind, Priority
from order_to_cash.domain.dunning.wording import is_cut
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import KEY, TASK
from order_to_cash.domain.sync.reaction_texts import Text
from order_to_cash.domain.sync.shapes import Person
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.gateways.mail_templates import Written
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.dunning_contacts import named, waits
from tasks.dunning_items import NOBODY, ActionOutcome, LadderItem
from tasks.sync_batch import Batch
from tasks.sync_calls import ask, insert, upsert
from tasks.sync_writes import result_errors

_FIELDS = ("Id", KEY, "Subject", "Status", "Description")
# The key of a Task has no index: it is looked for on its Account, or among those of none that may be it.
_NOT_OLDER = timedelta(days=40)
_CONTACTS = "o2c:contact:email:"
Row = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """One mail. Mutable on purpose. `key` names it in the ledger, in Salesforce and, hashed, in its Message-ID.

    `reader`: who it is for, in a Task's words. `letter`: what it says, once that is known; `written`: in words, as it
    leaves; `shown`: in words without what would let a colleague act as the customer.
    """

    key: str
    action: Action
    items: list[LadderItem]
    to: str
    to_name: str = ""
    reader: str
    template: str
    letter: Letter | None = None
    written: Written | None = None
    shown: Written | None = None
    operation: Operation | None = None
    record: Row | None = None
    outcome: ActionOutcome | None = None

    @property
    def account_id(self) -> str:
        return self.items[0].account.account_id

    @property
    def about(self) -> list[str]:
        """Each invoice with its step, as the ledger is told."""
        return [named(item.invoice_id, _step(item)) for item in self.items]

    @property
    def owner(self) -> Person:
        return self.items[0].account.owner or NOBODY

    @property
    def to_customer(self) -> bool:
        """Whether the customer hears of us by it, and not a colleague."""
        return self.action.kind is ActionKind.EMAIL

    def done(self, note: str = "", *, contacted: bool = False) -> None:
        self.outcome = ActionOutcome(self.action, self.key, note, contacted=contacted)

    def failed(self, error: O2CError) -> None:
        self.outcome = ActionOutcome(self.action, self.key, error=error)


async def records_of(company: Company, batch: Batch, mails: Sequence[Outgoing]) -> list[Row]:
    """The Tasks that may stand for these mails, by key or by what they are about."""
    keys = [mail.key for mail in mails if not mail.account_id]
    recent = f"CreatedDate >= {(batch.now - _NOT_OLDER).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    accounts = {mail.account_id for mail in mails}
    names = " OR ".join(f"{KEY} LIKE '{prefix}%'" for prefix in ("ladder:", _CONTACTS))
    queries = [
        *chunked(_FIELDS, TASK, "WhatId", accounts, also=f"({names}) AND {recent}"),
        *chunked(_FIELDS, TASK, KEY, keys, also=f"WhatId = null AND {recent}"),
    ]
    return await ask(company, batch, queries)


def take_record(mail: Outgoing, rows: Sequence[Row]) -> None:
    """Give the mail the Task that stands for it. What another Task of such a mail is about is left out of it."""
    mail.record = next((row for row in rows if row[KEY] == mail.key), None)
    if mail.record is not None or not _is_contact(mail.key):
        return
    told = {
        item.invoice_id: row
        for item in mail.items
        for row in rows
        if _is_contact(row[KEY]) and _tells(row, item)
    }
    if len(told) == len(mail.items):
        mail.record = told[mail.items[0].invoice_id]
    elif told:
        mail.items = [item for item in mail.items if item.invoice_id not in told]


def leave_untold(mail: Outgoing) -> bool:
    """Leave out of a mail that is over, or may be, what came to it later; False when that is all of it.

    Each such item has an `error`: it is told another day.
    """
    assert mail.operation is not None
    intent, record = mail.operation.intent, mail.record
    known = mail.operation.state is OperationState.UNKNOWN and bool(intent.get(SENDING)) and "about" in intent
    cut = record is not None and is_cut(str(record.get("Description")))
    if not _is_contact(mail.key) or cut or not (known or record is not None):
        return True
    sent = intent["about"] if known else ()
    told = [
        item
        for item in mail.items
        if named(item.invoice_id, _step(item)) in sent or (record is not None and _tells(record, item))
    ]
    for item in mail.items:
        if item not in told:
            item.error = waits()
    mail.items = told or mail.items
    return bool(told)


def _is_contact(key: Any) -> bool:
    return str(key).startswith(_CONTACTS)


def _tells(row: Row, item: LadderItem) -> bool:
    return is_about(row, item.invoice_id, _step(item))


async def write_records(
    company: Company, batch: Batch, rows: Mapping[str, Row], mails: Iterable[Outgoing]
) -> dict[str, O2CError]:
    """Write the Tasks, new ones and those that are there; key → why it was not. Raises nothing of Salesforce."""
    errors: dict[str, O2CError] = {}
    by_key = {mail.key: mail for mail in mails}
    new = [key for key in rows if by_key[key].record is None]
    old = [key for key in rows if by_key[key].record is not None]
    for keys, is_new in ((new, True), (old, False)):
        if not keys:
            continue
        try:
            if is_new:
                results = await insert(company, batch, TASK, [rows[key] for key in keys])
            else:
                results = await upsert(
                    company, batch, TASK, "Id", [_changed(by_key[key], rows[key]) for key in keys]
                )
        except O2CError as error:
            errors |= dict.fromkeys(keys, error)
            continue
        failed: dict[str, O2CError] = result_errors(results, keys)
        errors |= failed
        for key, result in zip(keys, results, strict=True):
            if key not in failed:
                by_key[key].record = {**(by_key[key].record or {}), **rows[key], "Id": result.id}
                batch.written += 1
    return errors


def _changed(mail: Outgoing, row: Row) -> Row:
    """Only what an update may say: what a Task is about, and whose it is, is left as people have it."""
    kept = {name: value for name, value in row.items() if name not in {KEY, "WhatId", "OwnerId"}}
    return {**kept, "Id": (mail.record or {})["Id"]}


def leaving(mail: Outgoing, message_id: str, recipient: str, now: datetime) -> Row:
    """The Task of a mail that is about to leave; to another `recipient` in the test environment."""
    assert mail.shown is not None
    elsewhere = f" (sent to {recipient} instead: O2C_SMTP_REDIRECT_TO)" if recipient != mail.to else ""
    lines = (
        f"To: {mail.to}{elsewhere}",
        f"Message-ID: {message_id}",
        *_about(mail),
        "",
        *mail.shown.text.splitlines(),
    )
    return {
        **_row(mail, Text(f"{PREFIX}{mail.shown.subject}", lines), now, Priority.NORMAL),
        "Status": str(TaskStatus.IN_PROGRESS),
    }


def with_status(status: TaskStatus) -> Row:
    """The same Task, standing otherwise."""
    return {"Status": str(status)}


def not_sent(mail: Outgoing) -> Row:
    """The Task of a mail that was about to leave when its invoices were settled."""
    subject = mail.shown.subject if mail.shown is not None else ""
    return {"Status": str(TaskStatus.COMPLETED), "Subject": f"Not sent, settled meanwhile: {subject}"[:255]}


def by_hand(mail: Outgoing, why: str, now: datetime) -> Row:
    """A Task for a person to do what a mail did not, or may not have done."""
    assert mail.shown is not None
    lines = (
        why,
        f"To: {mail.reader}{f' ({mail.to})' if mail.to else ''}",
        *_about(mail),
        "",
        "The text:",
        "",
        *mail.shown.text.splitlines(),
    )
    return _row(mail, Text(f"Write to {mail.reader}: {mail.shown.subject}", lines), now, Priority.HIGH)


def unknown(mail: Outgoing, message_id: str, now: datetime) -> Row:
    """A Task for a person to find out whether a mail arrived."""
    why = (
        "It is not known whether this mail left: the connection or the process was lost while it was being sent. "
        f"It is not sent again. Ask the reader, or look in the mail server's log for Message-ID {message_id}."
    )
    row = by_hand(mail, why, now)
    subject = mail.shown.subject if mail.shown is not None else ""
    return {**row, "Subject": f"Find out whether this mail arrived: {subject}"[:255]}


def _row(mail: Outgoing, said: Text, now: datetime, priority: Priority) -> Row:
    policy = mail.items[0].policy
    assert policy is not None
    due = people_records.working_day(now, policy.contact_hours)
    row = people_records.task(
        mail.key, said, account_id=mail.account_id, owner=mail.owner, due=due, priority=priority
    )
    return {name: value for name, value in row.items() if value != ""}


def _about(mail: Outgoing) -> list[str]:
    """Each invoice with its id, by which the end of its ladder finds the Task."""
    return [named_line(item.invoice_number, item.invoice_id, _step(item)) for item in mail.items]


def _step(item: LadderItem) -> str:
    assert isinstance(item.decision, Do)
    return item.decision.step.key
