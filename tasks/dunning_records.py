"""Tasks and Cases of ladders, each made once: looked for by its key before it is made, also the first time.

The ledger may be an hour old after it was restored; Salesforce knows what was made since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import CASE, KEY, TASK
from order_to_cash.domain.sync.shapes import Fields
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.ledger.intents import Operation
from tasks.company import Company
from tasks.dunning_work import begin
from tasks.here import here
from tasks.retrying import step
from tasks.sync_batch import Batch
from tasks.sync_calls import ask, insert
from tasks.sync_writes import result_errors

_ROWS = 200
_THERE_ALREADY = "DUPLICATE_VALUE"  # a Case's key is unique
CONTACT_KEYS = "o2c:contact:"
_OF_LADDERS = f"(O2C_Key__c LIKE 'ladder:%' OR O2C_Key__c LIKE '{CONTACT_KEYS}%')"
TASK_FIELDS = ("Id", KEY, "Description", "IsClosed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Task or Case to make for the effect `key`; `fields` carry the key of the record."""

    key: str
    sobject: str
    account_id: str
    fields: Fields


Made = dict[str, str | O2CError]
"""Effect → the record's Id, or why there is none."""


async def make_once(company: Company, batch: Batch, wanted: Sequence[Wanted]) -> Made:
    """Make what is not there yet; what came of each. A row that is refused holds up no other."""
    made: Made = {}
    if not wanted:
        return made
    try:
        await here(make_records)(company, batch, wanted, made, len(wanted))
    except O2CError as error:
        made.update({one.key: error for one in wanted if one.key not in made})
    return made


@step("make {count} Tasks and Cases")
async def make_records(
    company: Company, batch: Batch, wanted: Sequence[Wanted], made: Made, count: int
) -> None:
    """Into `made` what came of each. Raises what another try may cure, after all others are written down."""
    del count
    left = {one.key: one for one in wanted if not isinstance(made.get(one.key), str)}
    ready, done, elsewhere = await begin(company, list(left), batch.run_id)
    made.update({key: str(operation.outcome.get("id") or "") for key, operation in done.items()})
    made.update(elsewhere)
    try:
        found = await _found(company, batch, [left[key] for key in ready])
        await _settle(company, {key: (ready[key], found[key]) for key in found}, made)
        errors = await _insert(company, batch, [left[key] for key in ready if key not in found], ready, made)
    except O2CError:
        await asyncio.to_thread(company.ledger.effects.release, list(ready.values()))
        raise
    again = next((error for error in errors.values() if error.retryable), None)
    if again is not None:
        raise again


async def tasks_of_ladders(
    company: Company, batch: Batch, account_ids: Iterable[str], *, open_only: bool = False
) -> list[dict[str, Any]]:
    """The Tasks of ladders on these Accounts: Id, key, Description, IsClosed.

    By Account: Salesforce has an index on that, and none on the key of a Task.
    """
    also = f"{_OF_LADDERS} AND IsClosed = false" if open_only else _OF_LADDERS
    return await ask(company, batch, chunked(TASK_FIELDS, TASK, "WhatId", account_ids, also=also))


async def cases_by_key(company: Company, batch: Batch, keys: Iterable[str]) -> list[dict[str, Any]]:
    """The Cases with these keys: Id, key, Description, IsClosed."""
    return await ask(company, batch, chunked(TASK_FIELDS, CASE, KEY, keys))


async def _found(company: Company, batch: Batch, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Effect → the Id of the record that is there already."""
    names = {str(one.fields[KEY]): one.key for one in wanted}
    accounts = {one.account_id for one in wanted if one.sobject == TASK}
    cases = [str(one.fields[KEY]) for one in wanted if one.sobject == CASE]
    rows = [
        *await tasks_of_ladders(company, batch, accounts),
        *await cases_by_key(company, batch, cases),
    ]
    return {names[str(row[KEY])]: str(row["Id"]) for row in rows if str(row[KEY]) in names}


async def _insert(
    company: Company,
    batch: Batch,
    wanted: Sequence[Wanted],
    ready: Mapping[str, Operation],
    made: Made,
) -> dict[str, O2CError]:
    failed: dict[str, O2CError] = {}
    for sobject in (TASK, CASE):
        rows = [one for one in wanted if one.sobject == sobject]
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            results = await insert(company, batch, sobject, [one.fields for one in some])
            errors: dict[str, O2CError] = result_errors(results, [one.key for one in some])
            there = {key for key, error in errors.items() if error.code == _THERE_ALREADY}
            kept = {
                one.key: (ready[one.key], result.id)
                for one, result in zip(some, results, strict=True)
                if one.key not in errors or one.key in there
            }
            await _settle(company, kept, made)
            batch.written += len(kept)
            failed |= {key: error for key, error in errors.items() if key not in there}
    made.update(failed)
    refused = [(ready[key], error) for key, error in failed.items() if not error.retryable]
    await asyncio.to_thread(company.ledger.effects.refuse, refused)
    await asyncio.to_thread(
        company.ledger.effects.release, [ready[key] for key, error in failed.items() if error.retryable]
    )
    return failed


async def _settle(company: Company, there: Mapping[str, tuple[Operation, str]], made: Made) -> None:
    done = {key: (operation, {"id": record_id}) for key, (operation, record_id) in there.items()}
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    made.update({key: record_id for key, (_, record_id) in there.items()})
