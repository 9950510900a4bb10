"""Tasks to talk to a customer: one a day about all of its invoices that are up for it, with the whole history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.contacts import Contact
from order_to_cash.domain.dunning.sending import is_about
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.dunning.texts import history_section, outreach_text
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import KEY, TASK
from tasks.company import Company
from tasks.dunning_contacts import Contacts, contacts_for
from tasks.dunning_debts import Attempts, Debts, attempts_of
from tasks.dunning_facts import still_owed
from tasks.dunning_owners import Owners
from tasks.dunning_records import CONTACT_KEYS, tasks_of_ladders
from tasks.dunning_work import LadderBatch, Work
from tasks.here import here
from tasks.retrying import step
from tasks.sync_calls import insert, upsert
from tasks.sync_writes import result_errors

SETTLED = "settled_meanwhile"
_ROWS = 200
_WHAT = "The Task to talk to the customer could not be made"
Row = dict[str, Any]


async def make_outreach(
    company: Company, batch: LadderBatch, works: Sequence[Work], owners: Owners, debts: Debts
) -> None:
    """A Task for each contact. Nothing for an invoice that is settled by now."""
    mine = [work for work in works if work.kind is ActionKind.OUTREACH_TASK]
    for work in mine:
        if not work.account_id:
            work.without_account()
    left = [work for work in mine if work.outcome is None]
    if not left:
        return
    try:
        left = await _owed(company, left)
        history = await attempts_of(company, batch, [work.item for work in left])
        for number, some in _numbered(left).items():
            contacts = await contacts_for(company, some, batch.run_id)
            making = _Making(batch, contacts, number, owners, debts, history)
            await here(make_tasks)(company, making, len(contacts.groups))
    except O2CError as error:
        for work in left:
            if work.outcome is None:
                work.failed(error, _WHAT)


async def _owed(company: Company, works: Sequence[Work]) -> list[Work]:
    owed = await still_owed(company, {work.item.invoice_id: work.item for work in works}.values())
    for work in works:
        if work.item.error is not None:
            work.failed(work.item.error, _WHAT)
        elif work.item.invoice_id not in owed:
            work.done(SETTLED)
    return [work for work in works if work.outcome is None]


def _numbered(works: Sequence[Work]) -> dict[str, list[Work]]:
    """Several such Tasks in one step, for several people, are apart: "" for the first, then "2"."""
    found: dict[str, list[Work]] = {}
    for work in works:
        last = work.key.rpartition(":")[2]
        found.setdefault(last if last.isdigit() else "", []).append(work)
    return found


class _Making:
    """The Tasks of one run, on their way."""

    def __init__(
        self,
        batch: LadderBatch,
        contacts: Contacts,
        number: str,
        owners: Owners,
        debts: Debts,
        history: Attempts,
    ) -> None:
        self.batch = batch
        self.contacts = contacts
        self._number = number
        self._owners = owners
        self._debts = debts
        self._history = history

    def key(self, contact: Contact) -> str:
        return f"{contact.key}:{self._number}" if self._number else contact.key

    def open(self) -> dict[str, list[Work]]:
        """Key of the Task → the works that it is to be about, none of them done."""
        left = {
            self.key(contact): [work for work in some if work.outcome is None]
            for contact, some in self.contacts.groups.items()
        }
        return {key: some for key, some in left.items() if some}

    def told_by(self, work: Work, rows: Sequence[Row]) -> Row | None:
        """The Task that is about this step of this invoice, of whatever day: a restored ledger may be a day behind."""
        customer = f"{CONTACT_KEYS}{ActionKind.OUTREACH_TASK}:{work.item.claim.ladder.customer_id}:"
        number = [self._number] if self._number else []
        return next(
            (
                row
                for row in rows
                if str(row[KEY]).startswith(customer)
                and str(row[KEY]).removeprefix(customer).split(":")[1:] == number
                and is_about(row, work.item.invoice_id, work.step.key)
            ),
            None,
        )

    def fields(self, key: str, works: Sequence[Work]) -> Row:
        first = works[0]
        said = outreach_text([self._debt(work) for work in works], first.step)
        return people_records.task(
            key,
            said,
            account_id=first.account_id,
            owner=self._owners.owner(first)[0],
            due=people_records.working_day(self._debts.now, first.policy.contact_hours),
            priority=first.action.priority,
        )

    def more(self, row: Mapping[str, Any], works: Sequence[Work]) -> Row:
        """A Task that is there, with what it does not tell of yet."""
        lines = [line for work in works for line in ("", *history_section(self._debt(work), work.step))]
        return people_records.with_more(row, lines)

    def _debt(self, work: Work) -> Any:
        return self._debts.debt(work.item, work.step, self._history)

    async def done(self, company: Company, works: Sequence[Work], record_id: str) -> None:
        notes = {work.key: self._owners.owner(work)[1] for work in works}
        done = {
            one.key: (one, {"id": record_id, "note": notes[one.key], "contacted": True})
            for one in self.contacts.operations(works)
        }
        await asyncio.to_thread(company.ledger.effects.succeed, done)
        for work in works:
            work.done(notes[work.key], contacted=True)

    async def failed(self, company: Company, works: Sequence[Work], error: O2CError) -> None:
        """What may pass is left to be tried again."""
        operations, effects = self.contacts.operations(works), company.ledger.effects
        if error.retryable:
            await asyncio.to_thread(effects.release, operations)
            return
        await asyncio.to_thread(effects.refuse, [(one, error) for one in operations])
        for work in works:
            work.failed(error, _WHAT)


@step("make {count} Tasks to talk to customers")
async def make_tasks(company: Company, making: _Making, count: int) -> None:
    """Make those that are not there, and add to those that are what they do not tell of yet."""
    del count
    wanted = making.open()
    accounts = {work.account_id for some in wanted.values() for work in some}
    rows = await tasks_of_ladders(company, making.batch, accounts)
    by_key = {str(row[KEY]): row for row in rows}
    adding: list[tuple[Row, list[Work]]] = []
    inserting: list[tuple[Row, list[Work]]] = []
    for key, works in wanted.items():
        for work in works:
            there = making.told_by(work, rows)
            if there is not None:
                await making.done(company, [work], str(there["Id"]))
        untold = [work for work in works if work.outcome is None]
        if untold and key in by_key:
            adding.append((making.more(by_key[key], untold), untold))
        elif untold:
            inserting.append((making.fields(key, untold), untold))
    errors = [
        *await _written(company, making, inserting, new=True),
        *await _written(company, making, adding, new=False),
    ]
    again = next((error for error in errors if error.retryable), None)
    if again is not None:
        raise again


async def _written(
    company: Company, making: _Making, rows: Sequence[tuple[Row, list[Work]]], *, new: bool
) -> list[O2CError]:
    failures: list[O2CError] = []
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        bodies = [body for body, _ in some]
        results = (
            await insert(company, making.batch, TASK, bodies)
            if new
            else await upsert(company, making.batch, TASK, "Id", bodies)
        )
        errors = result_errors(results, range(len(some)))
        for index, (_, works) in enumerate(some):
            if index in errors:
                failures.append(errors[index])
                await making.failed(company, works, errors[index])
            else:
                await making.done(company, works, results[index].id)
        making.batch.written += len(some) - len(errors)
    return failures
