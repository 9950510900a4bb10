"""Salesforce as a batch calls it: 25 calls at once over all batches of the process, never two on one Account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from order_to_cash.domain.errors import Refused
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from order_to_cash.gateways.salesforce_rows import RowResult
from order_to_cash.gateways.salesforce_together import QUERIES_A_CALL, Part
from tasks.company import Company
from tasks.sync_batch import Batch

T = TypeVar("T")
Record = Mapping[str, Any]

CALLS_AT_ONCE = 25


class _Traffic:
    """What all batches of one company share in this process."""

    def __init__(self) -> None:
        self.seats = asyncio.Semaphore(CALLS_AT_ONCE)
        self.anew = asyncio.Lock()
        self._busy: set[str] = set()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def alone_on(self, account_ids: Iterable[str]) -> AsyncIterator[None]:
        """No other block of this process works on any of these Accounts meanwhile."""
        wanted = set(account_ids)
        async with self._freed:
            await self._freed.wait_for(lambda: self._busy.isdisjoint(wanted))
            self._busy |= wanted
        try:
            yield
        finally:
            async with self._freed:
                self._busy -= wanted
                self._freed.notify_all()


_traffic: WeakKeyDictionary[Company, _Traffic] = WeakKeyDictionary()


@asynccontextmanager
async def alone_on(company: Company, account_ids: Iterable[str]) -> AsyncIterator[None]:
    """Salesforce locks the Account when a row below it is written: two calls at once would refuse each other's."""
    async with _of(company).alone_on(account_ids):
        yield


@asynccontextmanager
async def writing_anew(company: Company) -> AsyncIterator[None]:
    """One batch of this process after another."""
    async with _of(company).anew:
        yield


async def ask(
    company: Company, batch: Batch, queries: Iterable[str], *, deleted: bool = False
) -> list[dict[str, Any]]:
    """The rows of all queries, in their order; `deleted`: with what was deleted or merged. Raises what the first
    failing one raised.
    """

    async def one(soql: str) -> list[dict[str, Any]]:
        return await _call(company, batch, lambda salesforce: salesforce.query(soql, deleted=deleted))

    answers = await asyncio.gather(*map(one, queries))
    return [row for rows in answers for row in rows]


async def ask_named(
    company: Company, batch: Batch, queries: Mapping[str, Sequence[str]]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of several lists of queries under their names; five queries are one call."""
    texts = [text for listed in queries.values() for text in listed]
    parts = [texts[start : start + QUERIES_A_CALL] for start in range(0, len(texts), QUERIES_A_CALL)]

    async def some(part: Sequence[str]) -> list[list[dict[str, Any]]]:
        return await _call(company, batch, lambda salesforce: salesforce.query_together(part))

    answers = chain.from_iterable(await asyncio.gather(*map(some, parts)))
    return {name: list(chain.from_iterable(islice(answers, len(listed)))) for name, listed in queries.items()}


async def upsert(
    company: Company, batch: Batch, sobject: str, external_id: str, rows: Sequence[Record]
) -> list[RowResult]:
    """One result a row, in order; `Id` as External ID updates. At most 200 rows: one call."""
    if external_id == "Id":
        return await _call(company, batch, lambda salesforce: salesforce.update_rows(sobject, rows))
    return await _call(company, batch, lambda salesforce: salesforce.upsert_rows(sobject, external_id, rows))


async def upsert_together(company: Company, batch: Batch, parts: Sequence[Part]) -> list[list[RowResult]]:
    """Up to five lists of rows, one after another in one call. Raises the error of a call that failed as a whole."""
    return await _call(company, batch, lambda salesforce: salesforce.upsert_together(parts))


async def insert(company: Company, batch: Batch, sobject: str, rows: Sequence[Record]) -> list[RowResult]:
    """One result a row, in order. Look for what an earlier try may have made first."""
    return await _call(company, batch, lambda salesforce: salesforce.insert_rows(sobject, rows))


async def _call(company: Company, batch: Batch, do: Callable[[SalesforceGateway], T]) -> T:
    salesforce = company.salesforce.on_lane(batch.lane)
    async with _of(company).seats:
        batch.calls += 1
        return await asyncio.to_thread(do, salesforce)


def _of(company: Company) -> _Traffic:
    if company not in _traffic:
        _traffic[company] = _Traffic()
    return _traffic[company]


def naming_field(error: Refused) -> Refused:
    """The refusal, its message with the field that it is about: a parked event shows message and remedy."""
    field = error.ids.get("field", "")
    if not field or field in error.message:
        return error
    return type(error)(
        f"{error.message} (field {field})", code=error.code, remedy=error.remedy, ids=error.ids
    )
