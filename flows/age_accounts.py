"""What an Account says changes with the days, also when Stripe says nothing.

Runs: each night by its schedule, soon after the day has changed (UTC), and when someone starts it.
Reads: Accounts and overdue invoices from Salesforce, in one call where nothing changed; cards that expire soon
    from Stripe.
Writes: Account roll-ups that are others today (payment health, status, next renewal); one Task for each card that is
    about to expire.
Safe to re-run because: an Account that is up to date is found no more, and a card's Task has a key of its own.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime
from prefect.states import Completed, Failed

from tasks.company import company_named
from tasks.sync_aging import Aged
from tasks.sync_aging import age_accounts as brought_up_to_date


@flow(name="age-accounts", persist_result=False)
async def age_accounts(company: str = "o2c") -> Any:
    """Bring the Accounts up to date whose card, due dates or renewal the days have changed.

    Args:
        company: Name of the blocks with the accounts and the policy.
    """
    run_id = str(runtime.flow_run.id)
    async with company_named(company, run_id) as books:
        await books.bind()
        aged = await brought_up_to_date(books, run_id)
    if aged.failures:
        name, error = next(iter(sorted(aged.failures.items())))
        return Failed(message=f"{_in_words(aged)}; {len(aged.failures)} refused, the first {name}: {error}")
    return Completed(message=_in_words(aged))


def _in_words(aged: Aged) -> str:
    return f"{len(aged.accounts)} Accounts changed with the day; {aged.cards} cards expire within 60 days"
