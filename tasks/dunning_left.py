"""What ladders left on Accounts that their customers do not belong to any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.sync.fields import TASK
from order_to_cash.domain.sync.soql import chunked
from tasks.company import Company
from tasks.dunning_accounts import Errors, unflag
from tasks.dunning_items import LadderItem
from tasks.dunning_records import TASK_FIELDS
from tasks.dunning_work import keyed
from tasks.sync_batch import Batch
from tasks.sync_calls import ask

_TASKS = frozenset({ActionKind.TASK, ActionKind.OUTREACH_TASK})
_ACCOUNT = "001"  # the key prefix of Account, the same in every org
Row = dict[str, Any]


async def left_elsewhere(
    company: Company, batch: Batch, items: Sequence[LadderItem]
) -> list[tuple[LadderItem, Row]]:
    """Tasks of these ladders, by the ledger's word, that stand on another Account than the customer's is now."""
    by_key = {key: item for item in items for key in _keys(item)}
    made = await asyncio.to_thread(company.ledger.effects.outcomes, sorted(by_key))
    by_id = {str(outcome["id"]): by_key[key] for key, outcome in made.items() if outcome.get("id")}
    if not by_id:
        return []
    rows = await ask(company, batch, chunked((*TASK_FIELDS, "WhatId"), TASK, "Id", by_id))
    found = [(by_id[str(row["Id"])], row) for row in rows if str(row["WhatId"]).startswith(_ACCOUNT)]
    return [(item, row) for item, row in found if row["WhatId"] != item.account.account_id]


async def clear_left(company: Company, batch: Batch, left: Sequence[tuple[LadderItem, Row]]) -> Errors:
    """Take back the flags that these ladders set there; Account → why that failed."""
    accounts: dict[str, list[LadderItem]] = {}
    for item, row in left:
        accounts.setdefault(str(row["WhatId"]), []).append(item)
    return await unflag(company, batch, accounts)


def _keys(item: LadderItem) -> list[str]:
    if item.policy is None:
        return []
    steps = item.policy.ladder(item.claim.ladder.state.collection_method).steps
    return [key for step in steps for action, key in keyed(item.invoice_id, step) if action.kind in _TASKS]
