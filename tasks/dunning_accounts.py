"""The Account of a customer whose invoice is unpaid: its health and status, and the flag before it may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_to_cash.domain.dunning.decision import Cleanup, to_clear
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import ACCOUNT
from order_to_cash.domain.sync.shapes import ObjectKey
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.ledger.ladder_records import LadderFilter, LadderStatus
from tasks.company import Company
from tasks.dunning_items import LadderItem
from tasks.dunning_work import LadderBatch, Work
from tasks.here import here
from tasks.retrying import step
from tasks.sync_batch import Batch
from tasks.sync_calls import alone_on, ask, upsert
from tasks.sync_rollups import roll_up
from tasks.sync_writes import result_errors

HEALTH, STATUS, FLAG = "Stripe_Payment_Health__c", "Stripe_Account_Status__c", "Payment_Escalated__c"
_SHOWN: Mapping[ActionKind, tuple[str, Any]] = {
    ActionKind.PAYMENT_HEALTH: (HEALTH, "Failed"),
    ActionKind.ACCOUNT_STATUS: (STATUS, "Payment Overdue"),
    ActionKind.ACCOUNT_FLAG: (FLAG, True),
}
_AGAIN = {
    Cleanup.PAYMENT_HEALTH: ActionKind.PAYMENT_HEALTH,
    Cleanup.ACCOUNT_STATUS: ActionKind.ACCOUNT_STATUS,
}
_ROWS = 200
_OPEN = (LadderStatus.WAITING, LadderStatus.HELD, LadderStatus.RESTING)
_MOST_LADDERS = 10_000

Errors = dict[str, O2CError]
"""Account → why it does not show what it should."""


async def show_accounts(
    company: Company, batch: LadderBatch, items: Sequence[LadderItem], works: Sequence[Work]
) -> None:
    """Roll the Accounts up, then see to it that they show what the steps say.

    What earlier steps of a ladder showed is shown again: a sent invoice is overdue for the roll-up from the day after
    its due date, and an attempt may be known to Stripe before Salesforce hears of it.
    """
    mine = [work for work in works if work.kind in _SHOWN]
    for work in mine:
        if not work.account_id:
            work.without_account()
    wanted = _wanted(items, mine)
    errors = await show(company, batch, wanted) if wanted else {}
    for work in mine:
        if work.outcome is None:
            error = errors.get(work.account_id)
            field = _SHOWN[work.kind][0]
            if error is None:
                work.done()
            else:
                work.failed(error, f"The Account does not show it ({field})")


async def show(company: Company, batch: Batch, wanted: Mapping[str, Mapping[str, Any]]) -> Errors:
    """Account → the values that it must show once it is rolled up. Why some do not."""
    try:
        errors = await rolled_up(company, batch, wanted)
        await here(write_shown)(company, batch, wanted, errors, len(wanted))
    except O2CError as error:
        return dict.fromkeys(wanted, error)
    return errors


async def rolled_up(company: Company, batch: Batch, account_ids: Iterable[str]) -> Errors:
    """Compute the Accounts' roll-ups from their records. Raises what stops all of it."""
    batch.touched_accounts = {account: {ObjectKey("account", account)} for account in account_ids}
    if batch.touched_accounts:
        await here(roll_up)(company, batch, len(batch.touched_accounts))
    return {key.id: error for key, error in batch.failures.items() if key.type == "account"}


@step("see what {count} Accounts show")
async def write_shown(
    company: Company, batch: Batch, wanted: Mapping[str, Mapping[str, Any]], errors: Errors, count: int
) -> None:
    """Write the values that an Account does not show, and into `errors` why that failed."""
    del count
    async with alone_on(company, wanted):
        rows = await ask(company, batch, chunked(("Id", HEALTH, STATUS, FLAG), ACCOUNT, "Id", wanted))
        changes = [
            {"Id": row["Id"], **changed} for row in rows if (changed := _changed(row, wanted[str(row["Id"])]))
        ]
        parts = [changes[start : start + _ROWS] for start in range(0, len(changes), _ROWS)]
        written = await asyncio.gather(*(upsert(company, batch, ACCOUNT, "Id", part) for part in parts))
    for part, results in zip(parts, written, strict=True):
        failed = result_errors(results, [str(row["Id"]) for row in part])
        errors.update(failed)
        batch.written += len(part) - len(failed)


async def clear_accounts(company: Company, batch: Batch, items: Sequence[LadderItem]) -> Errors:
    """As `show`, for Accounts of ladders that end: rolled up again, unflagged where no other ladder flagged them."""
    accounts: dict[str, list[LadderItem]] = {}
    for item in items:
        if item.account.account_id:
            accounts.setdefault(item.account.account_id, []).append(item)
    return await unflag(company, batch, accounts)


async def unflag(company: Company, batch: Batch, accounts: Mapping[str, Sequence[LadderItem]]) -> Errors:
    """The same for these Accounts, each with the ladders that may have flagged it and end."""
    ending = {item.invoice_id for items in accounts.values() for item in items}
    flagged = {account for account, items in accounts.items() if any(map(_flagged, items))}
    still = await _flagged_by_others(company, flagged, ending)
    wanted = {account: {FLAG: False} if account in flagged - still else {} for account in accounts}
    return await show(company, batch, wanted) if wanted else {}


async def _flagged_by_others(company: Company, accounts: set[str], ending: set[str]) -> set[str]:
    if not accounts:
        return set()
    wanted = LadderFilter(account_ids=tuple(sorted(accounts)), statuses=_OPEN)
    others = await asyncio.to_thread(company.ledger.ladders.find, wanted, _MOST_LADDERS)
    policies = await asyncio.to_thread(_policies, company, {one.state.policy_version for one in others})
    return {
        ladder.subject.account_id
        for ladder in others
        if ladder.invoice_id not in ending
        and Cleanup.ACCOUNT_FLAG in to_clear(ladder.state, policies[ladder.state.policy_version])
    }


def _policies(company: Company, versions: Iterable[str]) -> dict[str, DunningPolicy]:
    """As they were kept when the ladders began."""
    return {version: read_policy(company.ledger.ladders.policy(version)) for version in versions}


def _flagged(item: LadderItem) -> bool:
    if item.policy is None:
        return True
    return Cleanup.ACCOUNT_FLAG in to_clear(item.claim.ladder.state, item.policy)


def _wanted(items: Sequence[LadderItem], works: Sequence[Work]) -> dict[str, dict[str, Any]]:
    wanted: dict[str, dict[str, Any]] = {}
    for work in works:
        if work.account_id:
            field, value = _SHOWN[work.kind]
            wanted.setdefault(work.account_id, {})[field] = value
    for item in items:
        if item.account.account_id and item.policy is not None:
            for cleanup in to_clear(item.claim.ladder.state, item.policy) & _AGAIN.keys():
                field, value = _SHOWN[_AGAIN[cleanup]]
                wanted.setdefault(item.account.account_id, {})[field] = value
    return wanted


def _changed(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if row.get(name) != value}
