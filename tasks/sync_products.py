"""Which Product2 stands for a Stripe product: nearly every batch asks, and the answer hardly ever changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from order_to_cash.domain.errors import RowLocked
from order_to_cash.domain.sync.lookups import product_ids, product_queries
from order_to_cash.domain.sync.shapes import Row, State
from order_to_cash.gateways.salesforce_rows import RowResult
from tasks.company import Company
from tasks.sync_accounts import CATALOGUE
from tasks.sync_batch import Batch
from tasks.sync_calls import ask

Record = Mapping[str, Any]

REMEMBERED = timedelta(minutes=5)
# As Salesforce says it: "Foreign key external ID: prod_1 not found for field Stripe_Product_Id__c in entity Product2".
_NOT_THERE = "in entity Product2"

_shelves: WeakKeyDictionary[Company, dict[str, tuple[datetime, Record]]] = WeakKeyDictionary()


async def product_rows(company: Company, batch: Batch, states: Sequence[State]) -> list[Record]:
    """The answers to `product_queries`, from this process's memory where all of them were given within five minutes.

    A batch that changes the catalogue asks, and so does one whose product had no Product2 when it was last asked for.
    """
    now, shelf = company.clock.now(), _shelves.setdefault(company, {})
    wanted = product_ids(states)
    if not any(state.key.type in CATALOGUE for state in states):
        known = [shelf[name][1] for name in wanted if name in shelf and now - shelf[name][0] < REMEMBERED]
        if len(known) == len(wanted):
            return known
    _forget(company, wanted)
    rows: list[Record] = [*await ask(company, batch, product_queries(states))]
    found = [str(row.get("Stripe_Product_Id__c") or "") for row in rows]
    # Two records for one product: the choice between them is the mapping's, which sees both.
    shelf |= {
        name: (now, row) for name, row in zip(found, rows, strict=True) if found.count(name) == 1 and name
    }
    return rows


def asked_anew(company: Company, row: Row, result: RowResult) -> RowResult:
    """The result; one that another try cures where the row names a Product2 that was remembered and is gone."""
    error, lookup = result.error, row.fields.get("Product__r")
    if error is None or _NOT_THERE not in error.message or not isinstance(lookup, Mapping):
        return result
    if not _forget(company, lookup.values()):
        return result
    again = RowLocked(
        "The Product2 of this row is not there any more.",
        code="product_gone",
        remedy="Nothing to do: it is looked for again.",
        ids=error.ids,
        retry_after_seconds=0,
    )
    return replace(result, error=again)


def _forget(company: Company, products: Iterable[str]) -> bool:
    """Whether any of them was remembered."""
    shelf = _shelves.get(company, {})
    gone = [shelf.pop(name) for name in products if name in shelf]
    return bool(gone)
