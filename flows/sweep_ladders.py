"""The sweep: whatever was lost of the dunning ladders is made good within minutes.

Runs: every five minutes, one at a time (a sweep that is due while one runs is left out).
Reads: open invoices from Stripe; holds and write-offs from Salesforce; ladders from the ledger; scheduled runs from
    Prefect.
Writes: new ladders for failed or overdue invoices that have none; steps that are overdue, as `dunning_ladder` does;
    alarms that are missing, and alarms of which nothing is to come.
Safe to re-run because: an invoice has one ladder for ever; a ladder is claimed by one process at a time; an alarm has
    a key, and what rings without need finds nothing to do.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime
from prefect.states import Completed, Failed

from flows.dunning_ladder import dunning_ladder, summary_of
from order_to_cash.domain.errors import O2CError
from tasks.company import company_named
from tasks.dunning_claims import is_any_due
from tasks.dunning_progress import ClimbSummary
from tasks.dunning_sweep import Alarms, make_good_alarms, open_missing, wake_peoples_word


@flow(name="sweep-ladders", persist_result=False)
async def sweep_ladders(company: str = "o2c") -> Any:
    """Open the ladders that are missing, take what is overdue, set the alarms that are missing.

    Args:
        company: Name of the blocks with the accounts and the policy.
    """
    async with company_named(company, str(runtime.flow_run.id)) as books:
        await books.bind()
        opened, trouble = 0, ""
        try:
            opened = await open_missing(books)
            await wake_peoples_word(books)
        except O2CError as error:
            # Stripe or Salesforce being away is no reason to leave alone what is known already.
            trouble = str(error)
        climbed: ClimbSummary | None = ClimbSummary()
        if await is_any_due(books):
            climbed = await summary_of(await dunning_ladder(company=company, return_state=True))
        alarms = await make_good_alarms(books)
    told = _in_words(opened, climbed, alarms)
    if trouble or climbed is None or climbed.broken:
        broke = "the run over what is due broke off" if climbed is None else ""
        return Failed(message=". ".join(part for part in (told, broke, trouble) if part))
    return Completed(message=told)


def _in_words(opened: int, climbed: ClimbSummary | None, alarms: Alarms) -> str:
    """Such as "2 ladders opened; 3 ladders: 3 steps taken; 5 alarms set, 1 taken back"."""
    parts = [
        f"{opened} ladders opened" if opened else "",
        climbed.in_words if climbed is not None and climbed.ladders else "",
        ", ".join(
            part
            for part in (
                f"{alarms.set} alarms set" if alarms.set else "",
                f"{alarms.missing} were missing in Prefect" if alarms.missing else "",
                f"{alarms.orphans} without a ladder taken back" if alarms.orphans else "",
                f"{alarms.relieved} of a crowd taken back" if alarms.relieved else "",
            )
            if part
        ),
    ]
    return "; ".join(part for part in parts if part) or "nothing was missing"
