"""Rows into Salesforce: full calls, many at once, and the fate of every row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from order_to_cash.domain.bundles import Call, Chain, chains, together
from order_to_cash.domain.errors import O2CError, RecordGone, Refused, RowLocked
from order_to_cash.domain.sync.shapes import ObjectKey, Row
from order_to_cash.gateways.salesforce_rows import RowResult
from order_to_cash.gateways.salesforce_together import Part
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_accounts import find_again
from tasks.sync_batch import Batch
from tasks.sync_calls import alone_on, naming_field, upsert, upsert_together
from tasks.sync_products import asked_anew


@step("write {count} records")
async def write_rows(company: Company, batch: Batch, count: int) -> None:
    """Upsert all rows. A refused one holds its own object, and those whose lookup needs it; nobody else."""
    del count
    lost = _waiting_parents(batch)
    made = chains(batch.rows)
    # Rows of no Account, such as products, are what others look up.
    for chain in (chain for chain in made if not chain.account_ids):
        await _follow(company, batch, chain, lost)
    homeless: set[str] = set()
    for gone in await asyncio.gather(
        *(_follow(company, batch, chain, lost) for chain in made if chain.account_ids)
    ):
        homeless |= gone
    if homeless:
        await _move(company, batch, homeless)


# What rows refer to by External ID: object type → the field.
_LOOKED_UP = {
    "charge": "Stripe_Charge_Id__c",
    "invoice": "Stripe_Invoice_Id__c",
    "subscription": "Stripe_Subscription_Id__c",
}


def _waiting_parents(batch: Batch) -> dict[tuple[str, str], O2CError]:
    """(External ID's field, value) → why it is tried again later: of parents that Salesforce has not been shown yet.

    In a round of kills 30 payments, sent without the invoice that they pay, were parked for "Foreign key external ID
    not found".
    """
    return {
        (_LOOKED_UP[key.type], key.id): error
        for key, error in batch.failures.items()
        if key.type in _LOOKED_UP and error.retryable and batch.known.get(key) is None
    }


async def _follow(
    company: Company, batch: Batch, chain: Chain, lost: dict[tuple[str, str], O2CError]
) -> set[str]:
    """One kind after another, several in one call. The Accounts that turned out to be gone."""
    gone: set[str] = set()
    async with alone_on(company, chain.account_ids):
        for calls in together(chain.calls):
            known = await _at_once(company, batch, calls, lost)
            for call in calls:
                rows = _standing(batch, call, lost)
                results = await _results(company, batch, call, rows, known)
                results = [asked_anew(company, *one) for one in zip(rows, results, strict=True)]
                gone |= _note(batch, call, rows, results, lost)
    return gone


async def _at_once(
    company: Company, batch: Batch, calls: Sequence[Call], lost: dict[tuple[str, str], O2CError]
) -> dict[tuple[str, str], RowResult]:
    """(object, External ID's value) → its result, of what one call for all kinds could settle.

    A refused row is left out, as are all when Salesforce does not take the call: each kind is then written by itself,
    and a row whose parent was refused is not written. Writing one twice changes nothing.
    """
    standing = [(call, rows) for call in calls if (rows := _standing(batch, call, lost))]
    if len(standing) < 2:
        return {}
    parts = [Part(call.sobject, call.external_id, _bodies(call, rows)) for call, rows in standing]
    try:
        answers = await upsert_together(company, batch, parts)
    except O2CError as error:
        if not error.retryable:
            return {}
        failed = RowResult(0, "", ok=False, error=error)
        answers = [[failed] * len(rows) for _, rows in standing]
        return dict(_named(standing, answers))
    return {name: result for name, result in _named(standing, answers) if result.error is None}


def _named(
    standing: Sequence[tuple[Call, Sequence[Row]]], answers: Sequence[Sequence[RowResult]]
) -> Iterator[tuple[tuple[str, str], RowResult]]:
    for (call, rows), results in zip(standing, answers, strict=True):
        yield from (((call.sobject, row.value), result) for row, result in zip(rows, results, strict=True))


async def _results(
    company: Company,
    batch: Batch,
    call: Call,
    rows: Sequence[Row],
    known: Mapping[tuple[str, str], RowResult],
) -> list[RowResult]:
    """One result a row: what is known, and what writing the others comes to."""
    left = [row for row in rows if (call.sobject, row.value) not in known]
    if left:
        written = await upsert(company, batch, call.sobject, call.external_id, _bodies(call, left))
        known = {**known, **dict(_named([(call, left)], [written]))}
    return [known[call.sobject, row.value] for row in rows]


def _standing(batch: Batch, call: Call, lost: dict[tuple[str, str], O2CError]) -> list[Row]:
    return [kept for row in call.rows if (kept := _with_parents(batch, row, lost)) is not None]


def _bodies(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{call.external_id: row.value, **row.fields} for row in rows]


def _note(
    batch: Batch,
    call: Call,
    rows: Sequence[Row],
    results: Sequence[RowResult],
    lost: dict[tuple[str, str], O2CError],
) -> set[str]:
    gone = set()
    for row, result in zip(rows, results, strict=True):
        if result.error is None:
            batch.record_ids[call.sobject, row.value] = result.id
            batch.written += 1
            batch.landed |= {row.source, *row.also}
            if row.account_id:
                batch.touched_accounts.setdefault(row.account_id, set()).add(row.source)
            continue
        error = naming_field(result.error) if isinstance(result.error, Refused) else result.error
        lost[call.external_id, row.value] = error
        for key in (row.source, *row.also):
            batch.fail(key, error)
        if isinstance(error, RecordGone) and _about_account(call, error):
            gone.add(row.account_id)
    return gone - {""}


def _about_account(call: Call, error: RecordGone) -> bool:
    named = error.ids.get("field", "")
    return call.sobject == "Account" or not named or "Account" in named


def _with_parents(batch: Batch, row: Row, lost: dict[tuple[str, str], O2CError]) -> Row | None:
    """The row; None where a parent was just refused: it would be refused for a reason that misleads.

    A product that is refused for good is left out: what is billed and paid does not wait for the catalogue.
    """
    if not lost:
        return row
    fields = dict(row.fields)
    for name, value in row.fields.items():
        parents = value.items() if isinstance(value, Mapping) else ()
        error = next((lost[pair] for pair in parents if pair in lost), None)
        if error is None:
            continue
        if name == "Product__r" and not error.retryable:
            del fields[name]
            continue
        for key in (row.source, *row.also):
            batch.fail(key, error)
        lost[row.external_id, row.value] = (
            error  # what refers to it would be refused for a reason that misleads
        )
        return None
    return row if len(fields) == len(row.fields) else replace(row, fields=fields)


async def _move(company: Company, batch: Batch, account_ids: set[str]) -> None:
    """Customers whose Account is gone: those with another one now are tried again with it, the others told."""
    affected = {row.account_id: row for row in batch.rows if row.account_id in account_ids}
    customers = {name for name, account_id in batch.account_of.items() if account_id in affected}
    found = await find_again(company, batch, sorted(customers))
    for state in list(batch.states.values()):
        if not isinstance(batch.failures.get(state.key), RecordGone):
            continue
        outcome = found.get(batch.customer(state))
        if isinstance(outcome, O2CError):
            batch.failures[state.key] = outcome
        elif outcome is not None:
            batch.fail(state.key, _moved(state.key, outcome))


def _moved(key: ObjectKey, account_id: str) -> RowLocked:
    return RowLocked(
        "The customer's Account was merged into another one.",
        code="account_moved",
        remedy="Nothing to do: it is written to the other Account.",
        ids={"stripe_id": key.id, "account": account_id},
        retry_after_seconds=0,
    )


def result_errors(results: Sequence[RowResult], names: Sequence[Any]) -> dict[Any, O2CError]:
    """name → why its row was not written."""
    return {
        name: naming_field(result.error) if isinstance(result.error, Refused) else result.error
        for name, result in zip(names, results, strict=True)
        if result.error is not None
    }
