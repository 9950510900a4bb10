"""Accounts that the days alone have changed, brought up to date; and cards that are about to expire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.aging import aged_accounts, aging_queries, expiry_signal
from order_to_cash.domain.sync.shapes import ObjectKey
from tasks.company import Company
from tasks.sync_batch import Batch
from tasks.sync_calls import ask_named
from tasks.sync_rollups import roll_up
from tasks.sync_rows import cards_that_pay
from tasks.sync_signals import raise_signals

_AT_ONCE = 1000


@dataclass(frozen=True)
class Aged:
    """What was found; `failures`: Account, or what was to be told, → why it was left for the next time."""

    accounts: Sequence[str]
    cards: int
    failures: dict[str, O2CError]


async def age_accounts(company: Company, run_id: str) -> Aged:
    """Roll up what changed with the days, and tell of cards that expire. Raises what the asking raises."""
    now, field = company.clock.now(), company.rules.field_names.account_customer_id
    asking = Batch(claims=(), run_id=run_id, now=now)
    answers = await ask_named(company, asking, aging_queries(now.date(), field))
    accounts, failures = aged_accounts(answers), dict[str, O2CError]()
    for start in range(0, len(accounts), _AT_ONCE):
        batch = Batch(claims=(), run_id=run_id, now=now)
        some = accounts[start : start + _AT_ONCE]
        batch.touched_accounts = {one: {ObjectKey("account", one)} for one in some}
        await roll_up(company, batch, len(some))
        failures |= {key.id: error for key, error in batch.failures.items()}
    owners = {str(row[field]): str(row["Id"]) for row in answers["expiring"]}
    told = 0
    for start in range(0, len(owners), _AT_ONCE):
        batch = Batch(claims=(), run_id=run_id, now=now)
        batch.account_of = dict(list(owners.items())[start : start + _AT_ONCE])
        told += await _tell(company, batch)
        failures |= batch.event_failures
    return Aged(accounts, told, failures)


async def _tell(company: Company, batch: Batch) -> int:
    """How many cards there are to be told of; each is told once, also when its event told of it before."""
    batch.cards = tuple(sorted(batch.account_of))
    cards = await cards_that_pay(company, batch)
    found = (expiry_signal(customer, cards.get(customer), batch.now) for customer in batch.cards)
    batch.signals = [signal for signal in found if signal is not None]
    if batch.signals:
        await raise_signals(company, batch, len(batch.signals))
    return len(batch.signals)
