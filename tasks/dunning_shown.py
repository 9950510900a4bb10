"""What an invoice's record in Salesforce shows of its ladder: the newest step, and when the next one comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect.logging import get_logger

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import INVOICE, longest_text
from tasks.company import Company
from tasks.dunning_debts import Debts
from tasks.dunning_items import LadderItem
from tasks.dunning_work import Work
from tasks.sync_batch import Batch
from tasks.sync_calls import upsert
from tasks.sync_writes import result_errors

LOG = get_logger("o2c.ladders")
_STEP, _NEXT = "Dunning_Step__c", "Dunning_Next_Step_At__c"
_ROWS = 200


async def show_steps(company: Company, batch: Batch, works: Sequence[Work], debts: Debts) -> None:
    """The step that is taken, and what is known of the next. That it is not shown keeps no ladder from climbing."""
    rows = {}
    for work in {work.item.invoice_id: work for work in works}.values():
        coming = debts.debt(work.item, work.step).coming
        rows.update(_row(work.item, work.step.name, None if coming is None else coming.at))
    for error in (await _write(company, batch, rows)).values():
        LOG.warning("An invoice does not show its step: %s", error)


async def show_ended(company: Company, batch: Batch, items: Sequence[LadderItem]) -> dict[str, O2CError]:
    """Nothing any more; invoice → why it still shows a step."""
    rows: dict[str, dict[str, Any]] = {}
    for item in items:
        rows.update(_row(item, None, None))
    return await _write(company, batch, rows)


def _row(item: LadderItem, step: str | None, at: datetime | None) -> dict[str, dict[str, Any]]:
    record = item.account.invoice_record_id
    if not record:
        return {}
    shown = step[: longest_text(INVOICE, _STEP)] if step is not None else None
    return {item.invoice_id: {"Id": record, _STEP: shown, _NEXT: at}}


async def _write(
    company: Company, batch: Batch, rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, O2CError]:
    errors: dict[str, O2CError] = {}
    names = list(rows)
    for start in range(0, len(names), _ROWS):
        some = names[start : start + _ROWS]
        results = await upsert(company, batch, INVOICE, "Id", [rows[name] for name in some])
        errors |= result_errors(results, some)
    return errors
