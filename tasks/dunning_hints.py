"""What a batch of Stripe's events means for ladders, written down before the events are done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from order_to_cash.domain.dunning.hints import Hints, hints_of
from order_to_cash.domain.dunning.opening import Opening, oldest_anchor, opening
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.shapes import Body, Fetched, ObjectKey
from order_to_cash.ledger.ladder_records import NewLadder
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_batch import Batch

BEGAN = "dunning-began"
"""The watermark: when dunning was first found switched on."""


async def note_ladders(company: Company, batch: Batch) -> None:
    """Open a ladder for what failed or is overdue, wake those that an event may end or move.

    What cannot be read of an invoice does not hold up its event: the sweep opens what is missing. Raises what the
    ledger raises; the batch is then tried again.
    """
    hints = hints_of(claim.event for claim in batch.claims)
    opens = bool(hints.failed) and company.dunning is not None
    if opens or (hints and any((await asyncio.to_thread(company.ledger.ladders.counts)).values())):
        await _note(company, batch, hints, len(batch.claims))


@step("note ladders of {count} events")
async def _note(company: Company, batch: Batch, hints: Hints, count: int) -> None:
    del count
    if company.dunning is not None and hints.failed:
        bodies = await _invoices(company, batch, hints.failed)
        now = company.clock.now()
        found = [opening(body, now, hints.failed[invoice_id]) for invoice_id, body in bodies.items()]
        await open_ladders(company, company.dunning, [one for one in found if one is not None])
    customers = hints.customers | _customers(batch, hints)
    if hints.invoices or customers:
        await asyncio.to_thread(
            company.ledger.ladders.wake,
            invoice_ids=sorted(hints.invoices),
            customer_ids=sorted(customers),
        )


async def open_ladders(company: Company, policy: DunningPolicy, found: Sequence[Opening]) -> set[str]:
    """Open those that have none yet and are no history; the invoices that got one now. They are due at once."""
    began = await asyncio.to_thread(_began, company)
    now = company.clock.now()
    new = [
        NewLadder(
            invoice_id=one.invoice_id,
            customer_id=one.customer_id,
            collection_method=one.method,
            policy_version=policy.version,
            due_at=now,
            first_failed_at=one.first_failed_at,
        )
        for one in found
        if one.anchor >= oldest_anchor(policy, one.method, began)
    ]
    if not new:
        return set()
    body = policy.model_dump(mode="json")
    await asyncio.to_thread(company.ledger.ladders.keep_policy, policy.version, body, policy.name)
    return await asyncio.to_thread(company.ledger.ladders.open, new)


def _began(company: Company) -> datetime:
    marks = company.ledger.watermarks
    mark = marks.get(BEGAN)
    if mark is None:
        marks.set(BEGAN, company.clock.now())
        mark = marks.get(BEGAN)
    return mark.modstamp if mark is not None else company.clock.now()


async def _invoices(company: Company, batch: Batch, wanted: Iterable[str]) -> Mapping[str, Body]:
    """As the batch holds them, else as Stripe says now."""
    keys = [ObjectKey("invoice", invoice_id) for invoice_id in wanted]
    held = {key.id: batch.states[key].body for key in keys if key in batch.states}
    missing = [key for key in keys if key.id not in held]
    read: Mapping[ObjectKey, Fetched | O2CError | None] = (
        await company.stripe.fetch_many(missing) if missing else {}
    )
    return {**held, **{key.id: one.body for key, one in read.items() if isinstance(one, Fetched)}}


def _customers(batch: Batch, hints: Hints) -> set[str]:
    """Of events whose object alone names its customer."""
    keys = [ObjectKey(event.object_type, event.object_id) for event in hints.unplaced]
    states = [batch.states.get(key) or batch.aside.get(key) for key in keys]
    return {batch.customer(state) for state in states if state is not None} - {""}
