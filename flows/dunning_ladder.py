"""Unpaid invoices are chased: each ladder takes the step that is due, and sleeps until its next one.

Runs: within seconds when a ladder is opened, woken or overdue (`o2c drain` hands over what it claimed); at the time of
    a ladder's next step, as the scheduled run that is its alarm; and when someone starts the deployment.
Reads: ladders and their policies from the ledger; invoices, subscriptions and customers from Stripe; Accounts from
    Salesforce: all of it anew, immediately before each step.
Writes: Accounts, Tasks and Cases in Salesforce, Slack, e-mail to the customer, all as the policy says; the ladder's
    journal and next time in the ledger; scheduled runs (alarms) and a timeline for each ladder in Prefect.
Safe to re-run because: a ladder is claimed by one process at a time; each step is begun in the journal before its
    effects and done after them; each effect has a key and is looked for before it is made again, an e-mail is never
    sent twice; and an invoice that is paid by now ends its ladder instead.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from order_to_cash.ledger.ladder_records import ClaimedLadder
from tasks.company import Company, company_named
from tasks.dunning_alarms import ladder_name, rename_run
from tasks.dunning_claims import Handed, claim_due, claim_named, handed_ladders, nothing_to_do
from tasks.dunning_progress import ClimbSummary
from tasks.dunning_runs import take_all


def _run_name() -> str:
    handed = handed_ladders()
    if handed is None:
        # An alarm has the name of its step already.
        parameters = runtime.flow_run.parameters
        invoice = parameters.get("invoice") or ""
        return str(runtime.flow_run.name) if parameters.get("generation") else invoice or "what is due"
    due = [claim.ladder for claim in handed.claims if claim.due]
    if len(due) != 1:
        return f"{len(due)} ladders"
    return ladder_name(due[0])


@flow(name="dunning-ladder", flow_run_name=_run_name, persist_result=False)
async def dunning_ladder(invoice: str = "", generation: int = 0, company: str = "o2c") -> Any:
    """Take the steps that are due.

    Args:
        invoice: Stripe's id (in_…) of one invoice whose ladder is looked at, due or not. Empty: all that is due.
        generation: Which alarm this is; alarms fill it in. A ladder that has moved on since is left alone.
        company: Name of the blocks with the accounts and the policy.
    """
    run_id = str(runtime.flow_run.id)
    async with company_named(company, run_id) as books:
        await books.bind()
        handed = handed_ladders()
        if handed is None and invoice:
            why = await nothing_to_do(books, invoice, generation)
            if why:
                await rename_run(run_id, f"{runtime.flow_run.name} · nothing to do")
                return Completed(message=f"Nothing to do: {why}.", data=ClimbSummary())
        if handed is None:
            handed = await _claimed(books, invoice)
        summary = await take_all(books, handed, run_id)
    if not summary.ladders:
        held = "another run is at it" if invoice else "no ladder is due"
        return Completed(message=f"Nothing to do: {held}.", data=summary)
    state = Failed if summary.broken else Completed
    return state(message=summary.in_words, data=summary)


async def _claimed(company: Company, invoice: str) -> Handed:
    async def due() -> list[ClaimedLadder]:
        return await claim_due(company)

    async def nothing() -> list[ClaimedLadder]:
        return []

    if invoice:
        return Handed(await claim_named(company, invoice), nothing)
    return Handed(await due(), due)


async def summary_of(state: State[Any]) -> ClimbSummary | None:
    """What became of the ladders, from the state of a finished run; None when it broke off before it knew."""
    result = await state.aresult(raise_on_failure=False)
    return result if isinstance(result, ClimbSummary) else None
