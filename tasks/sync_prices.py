"""Stripe's prices as entries of the standard price book (R28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from order_to_cash.domain.errors import O2CError, RecordRejected
from order_to_cash.domain.sync.fields import PRICEBOOK_ENTRY
from order_to_cash.domain.sync.lookups import (
    price_entry_queries,
    price_entry_writes,
    product_facts,
    product_queries,
)
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_batch import Batch
from tasks.sync_calls import ask, insert, upsert
from tasks.sync_writes import result_errors

_ROWS = 200


@step("write {count} prices")
async def write_prices(company: Company, batch: Batch, count: int) -> None:
    """Update the entries that are there, insert the others: a product has one for each currency."""
    del count
    states = batch.standing()
    # Asked anew: the batch may have made the products just now.
    facts = product_facts(states, await ask(company, batch, product_queries(states)))
    book, *others = price_entry_queries(batch.prices, multi_currency=company.rules.multi_currency)
    books = await ask(company, batch, [book])
    if not books:
        for entry in batch.prices:
            batch.fail(entry.source, _no_price_book())
        return
    found = await ask(company, batch, others)
    writes = price_entry_writes(
        batch.prices,
        found,
        str(books[0]["Id"]),
        facts,
        multi_currency=company.rules.multi_currency,
        default_currency=company.rules.default_currency,
    )
    changed = [row for row in writes if row.get("Id")]
    new = [row for row in writes if not row.get("Id")]
    errors = await _write(company, batch, changed, known=True)
    errors |= await _write(company, batch, new, known=False)
    product_of = {str(row["Id"]): str(row["Product2Id"]) for row in found}
    refused = {product_of.get(name, name): error for name, error in errors.items()}
    for entry in batch.prices:
        error = refused.get(facts[entry.product_id].record_id) if entry.product_id in facts else None
        if error is not None:
            batch.fail(entry.source, error)


async def _write(
    company: Company, batch: Batch, rows: Sequence[Mapping[str, Any]], *, known: bool
) -> dict[str, O2CError]:
    """Entry, or the Product2 that it was to be made for, → why it was not written."""
    errors: dict[str, O2CError] = {}
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        if known:
            results = await upsert(company, batch, PRICEBOOK_ENTRY, "Id", some)
        else:
            results = await insert(company, batch, PRICEBOOK_ENTRY, some)
        failed = result_errors(results, [str(row.get("Id") or row.get("Product2Id")) for row in some])
        batch.written += len(some) - len(failed)
        errors |= failed
    return errors


def _no_price_book() -> RecordRejected:
    return RecordRejected(
        "The standard price book is not there, or hidden from the integration user.",
        code="price_book_missing",
        remedy="Activate the standard price book in Salesforce, then replay the event.",
    )
