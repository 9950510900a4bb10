"""E-mail as an action of steps: which contacts it comes to, and what came of them for each ladder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.errors import O2CError, OutcomeUnknown
from tasks.company import Company
from tasks.dunning_contacts import WAITS, Contacts, contacts_for, leave_what_was_told, put_off
from tasks.dunning_items import ActionOutcome
from tasks.dunning_work import Work

_WHAT = "The e-mail was not sent"


async def mail_customers(company: Company, works: Sequence[Work], run_id: str) -> None:
    """One e-mail a customer and day about all of its invoices that are up for it."""
    mine = [work for work in works if work.kind is ActionKind.EMAIL]
    if not mine:
        return
    from tasks.dunning_mails import send_contacts

    try:
        contacts = await contacts_for(company, mine, run_id)
        await leave_what_was_told(company, contacts)
        asked = [(contact, contacts.items(contact)) for contact, some in contacts.groups.items() if some]
        outcomes = await send_contacts(company, asked, run_id) if asked else {}
        for contact, some in contacts.groups.items():
            waiting = [work for work in some if work.item.error is not None and work.item.error.code == WAITS]
            if waiting:
                await put_off(company, contacts, contact, waiting)
            told = [work for work in some if work not in waiting]
            if told:
                await _note(company, contacts, told, outcomes.get(contact.key) or _untold(told[0]))
    except O2CError as error:
        for work in mine:
            if work.outcome is None:
                work.failed(error, _WHAT)


async def mail_executives(company: Company, works: Sequence[Work], run_id: str) -> None:
    """The half of an executive alert that goes by mail."""
    mine = [work for work in works if work.kind is ActionKind.EXECUTIVE_ALERT]
    if not mine:
        return
    from tasks.dunning_mails import send_executive

    try:
        alerts = {work.key: (work.item, work.action) for work in mine}
        outcomes = await send_executive(company, alerts, run_id)
    except O2CError as error:
        outcomes = {work.key: ActionOutcome(work.action, work.key, error=error) for work in mine}
    for work in mine:
        work.half = outcomes.get(work.key)


async def _note(company: Company, contacts: Contacts, works: Sequence[Work], outcome: ActionOutcome) -> None:
    """What came of one mail is what came of it for each ladder."""
    operations, effects = contacts.operations(works), company.ledger.effects
    if outcome.error is not None and outcome.error.retryable:
        await asyncio.to_thread(effects.release, operations)
    else:
        told: Mapping[str, object] = {"note": outcome.note, "contacted": outcome.contacted}
        await asyncio.to_thread(effects.succeed, {one.key: (one, told) for one in operations})
    for work in works:
        if outcome.error is not None:
            work.failed(outcome.error, _WHAT)
        else:
            work.done(outcome.note, contacted=outcome.contacted)


def _untold(work: Work) -> ActionOutcome:
    lost = OutcomeUnknown("Nothing was told of this e-mail.", ids={"invoice": work.item.invoice_id})
    return ActionOutcome(work.action, work.key, error=lost)
