"""The Account as a whole: health, revenue, next renewal, from what its records say by now (R30)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import uuid4

from order_to_cash.domain.errors import O2CError, RowLocked
from order_to_cash.domain.sync.rollups import account_facts, rollup, rollup_queries
from order_to_cash.domain.sync.shapes import Applied, ObjectKey
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_batch import Batch
from tasks.sync_calls import alone_on, ask_named, upsert
from tasks.sync_followed import bring_along, question, remember_led
from tasks.sync_writes import result_errors

# Of one call: a wave of roll-ups is written in calls at once, and a full one took 1.2 s.
_ROWS = 100


_TRIES = 5
# In the ledger beside Stripe's objects: who rolled an Account up last.
_TURN = "account_rollup"


@step("roll up {count} Accounts")
async def roll_up(company: Company, batch: Batch, count: int) -> None:
    """Write each touched Account's roll-ups where they changed. What is refused holds the events that touched it.

    Customers whose Account does not carry their id are asked after: their records follow to the one that does.
    """
    del count
    await bring_along(company, batch)
    errors, carried = await _rolled_up(company, batch, sorted(batch.touched_accounts))
    led = set(batch.left)
    if await question(company, batch, carried):
        await bring_along(company, batch)
        again = {
            one for name in batch.left.keys() - led for one in (batch.left[name][0], batch.account_of[name])
        }
        errors = {name: error for name, error in errors.items() if name not in again}
        errors |= (await _rolled_up(company, batch, sorted(again)))[0]
    for account_id, error in errors.items():
        for key in batch.touched_accounts[account_id]:
            batch.fail(key, error)
    await remember_led(company, batch, errors)


async def _rolled_up(
    company: Company, batch: Batch, account_ids: Sequence[str]
) -> tuple[dict[str, O2CError], dict[str, str]]:
    """Account → why its roll-ups were not written; Account → the customer's id that it carries."""
    turns = [ObjectKey(_TURN, account_id) for account_id in account_ids]
    async with alone_on(company, account_ids):
        for _ in range(_TRIES):
            before = await asyncio.to_thread(company.ledger.applied.get_many, turns)
            answered = await _write(company, batch, account_ids)
            if not await _overtaken(company, turns, before):
                return answered
    raise RowLocked("Other processes keep writing to the same Accounts.", code="accounts_contended")


async def _write(
    company: Company, batch: Batch, account_ids: Sequence[str]
) -> tuple[dict[str, O2CError], dict[str, str]]:
    """As `_rolled_up`, once."""
    name = company.rules.field_names.account_customer_id
    queries = rollup_queries(account_ids, multi_currency=company.rules.multi_currency, also=(name,))
    answers = await ask_named(company, batch, queries)
    facts = await asyncio.to_thread(account_facts, answers)
    changes = {account_id: rollup(each, batch.now) for account_id, each in facts.items()}
    rows = [{"Id": account_id, **fields} for account_id, fields in changes.items() if fields]
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    written = await asyncio.gather(*(upsert(company, batch, "Account", "Id", part) for part in parts))
    errors: dict[str, O2CError] = {}
    for part, results in zip(parts, written, strict=True):
        errors |= result_errors(results, [row["Id"] for row in part])
    batch.written += len(rows) - len(errors)
    return errors, {account_id: str(each.account.get(name) or "") for account_id, each in facts.items()}


async def _overtaken(
    company: Company, turns: Sequence[ObjectKey], before: Mapping[ObjectKey, Applied]
) -> bool:
    """Whether another process rolled one of these up since `before`: one of the two then wrote what it had read too
    early. `alone_on` holds within this process only.
    """
    now = company.clock.now()
    taken: dict[ObjectKey, Applied] = {}
    known: dict[ObjectKey, Applied | None] = {}
    for turn in turns:
        held = known[turn] = before.get(turn)
        # Clocks differ, and the later one of two must still be the one that stays.
        as_of = now if held is None else max(now, held.as_of + timedelta(microseconds=1))
        taken[turn] = Applied(as_of, True, uuid4().hex)
    return bool(await asyncio.to_thread(company.ledger.applied.remember, taken, known))
