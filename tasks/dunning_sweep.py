"""What the sweep makes good: invoices without a ladder, ladders without an alarm, alarms without a ladder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from order_to_cash.domain.dunning.opening import Opening, opening
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.shapes import Body, Fetched, ObjectKey
from order_to_cash.ledger.ladder_records import LadderFilter, LadderStatus
from tasks.company import Company
from tasks.dunning_alarms import MOST_AT_ONCE, arm, check, relieve_crowd
from tasks.dunning_facts import peoples_word
from tasks.dunning_hints import open_ladders
from tasks.here import here
from tasks.retrying import step

_LOOKED_UP_AT_ONCE = 500
MOST_LADDERS = 20_000


@dataclass(frozen=True, slots=True)
class Alarms:
    """What was made good. `missing`: Prefect did not have them; `orphans`: nobody waits for them any more."""

    set: int = 0
    missing: int = 0
    orphans: int = 0
    relieved: int = 0  # of a crowd: taken back, to be done together


@step("open missing ladders")
async def open_missing(company: Company) -> int:
    """Open a ladder for each failed or overdue invoice that has none; how many. Lost events are why there are any.

    Raises what the gateway and the ledger raise.
    """
    if company.dunning is None:
        return 0
    opened = 0
    async for invoices in _chasable(company):
        missing = await _without_ladder(company, invoices)
        found = await _openings(company, missing)
        opened += len(await open_ladders(company, company.dunning, found))
    return opened


async def wake_peoples_word(company: Company) -> int:
    """Have looked at what people held, released or wrote off in Salesforce, of which no event tells; how many.

    Raises what the gateway and the ledger raise.
    """
    ladders = company.ledger.ladders
    if not any((await asyncio.to_thread(ladders.counts)).values()):
        return 0
    word = await here(peoples_word)(company)
    by_status = {
        status: await asyncio.to_thread(ladders.find, LadderFilter(statuses=(status,)), MOST_LADDERS)
        for status in (LadderStatus.WAITING, LadderStatus.HELD)
    }
    held_now = [one for one in by_status[LadderStatus.WAITING] if one.customer_id in word.on_hold]
    released = [
        one
        for one in by_status[LadderStatus.HELD]
        if one.hold is None and one.customer_id not in word.on_hold and company.dunning is not None
    ]
    wanted = {one.invoice_id for one in (*held_now, *released)} | word.written_off
    return await asyncio.to_thread(ladders.wake, invoice_ids=sorted(wanted))


@step("check alarms")
async def make_good_alarms(company: Company) -> Alarms:
    """Take a crowd from its alarms, find what Prefect lacks and what it has too many, and set what is missing."""
    relieved = await relieve_crowd(company)
    missing, orphans = await check(company)
    made = 0
    while True:
        now_set = await arm(company)
        made += now_set
        if now_set < MOST_AT_ONCE:
            return Alarms(made, missing, orphans, relieved)


async def _chasable(company: Company) -> AsyncIterator[list[Body]]:
    """Open invoices that are charged and were tried, and sent ones past their due date: some hundreds at a time."""
    now = company.clock.now()
    kinds: tuple[dict[str, Any], ...] = (
        {"collection_method": CollectionMethod.CHARGE_AUTOMATICALLY.value},
        {
            "collection_method": CollectionMethod.SEND_INVOICE.value,
            "due_date": {"lte": int(now.timestamp())},
        },
    )
    for filters in kinds:
        some: list[Body] = []
        async for one in company.stripe.list_objects("invoice", status="open", **filters):
            sent = filters["collection_method"] == CollectionMethod.SEND_INVOICE
            if sent or one.body.get("attempt_count"):
                some.append(one.body)
            if len(some) == _LOOKED_UP_AT_ONCE:
                yield some
                some = []
        if some:
            yield some


async def _without_ladder(company: Company, invoices: Sequence[Body]) -> list[Body]:
    ids = tuple(str(body["id"]) for body in invoices)
    have = await asyncio.to_thread(company.ledger.ladders.find, LadderFilter(invoice_ids=ids), len(ids))
    known = {ladder.invoice_id for ladder in have}
    return [body for body in invoices if body["id"] not in known]


async def _openings(company: Company, invoices: Sequence[Body]) -> list[Opening]:
    """Charged invoices are read with their payments, which lists leave out: they say whether one has failed."""
    now = company.clock.now()
    sent = [body for body in invoices if body.get("collection_method") == CollectionMethod.SEND_INVOICE]
    charged = [ObjectKey("invoice", str(body["id"])) for body in invoices if body not in sent]
    read = await company.stripe.fetch_many(charged) if charged else {}
    bodies = [*sent, *(one.body for one in read.values() if isinstance(one, Fetched))]
    found = [opening(body, now) for body in bodies]
    return [one for one in found if one is not None]
