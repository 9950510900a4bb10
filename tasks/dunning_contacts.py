"""Contacts that are made now: one for each customer, day and kind, however often a step is resumed.

The intent of each ladder's effect names the day, so that a step that was begun yesterday is not another contact today.
What is due today goes with it. The contact of a day is told of what it was about and of nothing else: whatever comes to
it later is a contact of the next day that has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from order_to_cash.domain.dunning.contacts import Contact, ContactKind, DueContact, group_contacts
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.errors import O2CError, Unavailable
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.dunning_items import LadderItem
from tasks.dunning_work import Work, begin, begun_at

WAITS = "contact_waits"
_DAYS_AHEAD = 60


@dataclass(slots=True)
class Contacts:
    """`groups`: contact → the works that it is about. `held`: effect of a work → its operation, to be ended."""

    groups: dict[Contact, list[Work]] = field(default_factory=dict)
    held: dict[str, Operation] = field(default_factory=dict)

    def items(self, contact: Contact) -> list[LadderItem]:
        return [work.item for work in self.groups[contact]]

    def operations(self, works: Sequence[Work]) -> list[Operation]:
        return [self.held[work.key] for work in works if work.key in self.held]


async def contacts_for(company: Company, works: Sequence[Work], run_id: str) -> Contacts:
    """The contacts that these works, all of one kind and one a step, come to.

    A work that is done, or that another run does, has its outcome after this.
    """
    now = company.clock.now()
    grouped = _grouped(works, now)
    days = {work.key: contact.day for contact, some in grouped.items() for work in some}
    intents = {key: {"day": day.isoformat()} for key, day in days.items()}
    ready, done, elsewhere = await begin(company, list(intents), run_id, intents)
    found = Contacts(held=ready)
    mine: dict[str, list[Work]] = {}
    for work in works:
        if work.key in done:
            outcome = done[work.key].outcome
            work.done(str(outcome.get("note") or ""), contacted=bool(outcome.get("contacted")))
        elif work.key in elsewhere:
            _wait(work, elsewhere[work.key])
        else:
            mine.setdefault(work.item.claim.ladder.customer_id, []).append(work)
    for some in mine.values():
        await _on_one_day(company, found, some)
    found.groups = {_about(contact, some): some for contact, some in found.groups.items()}
    return found


async def _on_one_day(company: Company, found: Contacts, works: Sequence[Work]) -> None:
    """One contact of this customer, of the earliest day. One that was begun for another day waits until it is made."""
    days = {work.key: _day(found.held[work.key]) for work in works}
    first = min(days.values())
    moved: list[Work] = []
    waiting: list[Work] = []
    for work in works:
        if days[work.key] != first:
            fresh = found.held[work.key].state is OperationState.FRESH
            (moved if fresh else waiting).append(work)
    if moved:
        await _restate(company, found, moved, first)
    if waiting:
        await asyncio.to_thread(company.ledger.effects.release, found.operations(waiting))
    for work in waiting:
        _wait(work, waits())
    left = [work for work in works if work.outcome is None]
    found.groups.setdefault(_contact(works[0], first), []).extend(left)


async def leave_what_was_told(company: Company, found: Contacts) -> None:
    """What a contact that is over was not about becomes another: at once where nobody was reached, else later."""
    over = await asyncio.to_thread(company.ledger.effects.outcomes, [contact.key for contact in found.groups])
    for contact, works in list(found.groups.items()):
        outcome = over.get(contact.key, {})
        if "about" not in outcome:
            continue
        left = [work for work in works if named(work.item.invoice_id, work.step.key) not in outcome["about"]]
        if not left:
            continue
        told = [work for work in works if work not in left]
        del found.groups[contact]
        if told:
            found.groups[_about(contact, told)] = told
        if outcome.get("contacted"):
            await put_off(company, found, contact, left)
        else:
            later = await _moved(company, found, contact, left)
            found.groups[_about(later, left)] = left


async def put_off(company: Company, found: Contacts, contact: Contact, works: Sequence[Work]) -> None:
    """They are another contact with the customer, not of the day of this one. The quiet period says when."""
    await _moved(company, found, contact, works)
    await asyncio.to_thread(company.ledger.effects.release, found.operations(works))
    for work in works:
        _wait(work, waits())


def waits() -> O2CError:
    """Why a contact is not made now."""
    return Unavailable(
        "Another contact with this customer comes first.",
        code=WAITS,
        remedy="Nothing to do: it is made after the quiet period.",
    )


def named(invoice_id: str, step_key: str) -> str:
    """How the effect of a contact says what it was about."""
    return f"{invoice_id}:{step_key}"


async def _moved(company: Company, found: Contacts, contact: Contact, works: Sequence[Work]) -> Contact:
    """The contact of the next day that has none, which these come to from now on."""
    days = [contact.day + timedelta(days=ahead) for ahead in range(1, _DAYS_AHEAD + 1)]
    later = [replace(contact, day=day, about=()) for day in days]
    keys = [one.key for one in later]
    effects = company.ledger.effects
    taken = await asyncio.to_thread(effects.done, keys) | await asyncio.to_thread(effects.begun, keys)
    free = next((one for one in later if one.key not in taken), later[-1])
    await _restate(company, found, works, free.day)
    return free


async def _restate(company: Company, found: Contacts, works: Sequence[Work], day: date) -> None:
    operations = found.operations(works)
    await asyncio.to_thread(company.ledger.effects.restate, operations, {"day": day.isoformat()})


def _day(operation: Operation) -> date:
    return date.fromisoformat(str(operation.intent["day"]))


def _grouped(works: Sequence[Work], now: datetime) -> dict[Contact, list[Work]]:
    """By customer: their hours are those of the policy of the first, for all of its ladders."""
    found: dict[Contact, list[Work]] = {}
    by_customer: dict[str, list[Work]] = {}
    for work in works:
        by_customer.setdefault(work.item.claim.ladder.customer_id, []).append(work)
    for some in by_customer.values():
        named = {(work.item.invoice_id, work.step.key): work for work in some}
        kind = some[0].kind
        due = [_due(work, now) for work in some]
        for contact in group_contacts(due, some[0].policy.contact_hours):
            if contact.kind is kind:
                found[contact] = [named[one] for one in contact.about]
    return found


def _due(work: Work, now: datetime) -> DueContact:
    facts = work.item.facts
    return DueContact(
        customer_id=work.item.claim.ladder.customer_id,
        invoice_id=work.item.invoice_id,
        step=work.step,
        at=begun_at(work, now),
        time_zone=facts.time_zone if facts is not None else None,
    )


def _contact(work: Work, day: date) -> Contact:
    kind: ContactKind = ActionKind.EMAIL if work.kind is ActionKind.EMAIL else ActionKind.OUTREACH_TASK
    return Contact(work.item.claim.ladder.customer_id, day, kind, ())


def _about(contact: Contact, works: Sequence[Work]) -> Contact:
    about = tuple((work.item.invoice_id, work.step.key) for work in works)
    return Contact(contact.customer_id, contact.day, contact.kind, about)


def _wait(work: Work, error: O2CError) -> None:
    work.failed(error, "Another run makes this contact")
