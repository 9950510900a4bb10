"""A person puts a dunning ladder on hold, lets it sleep until then, or lets it go on.

Runs: when someone fills in its form; messages about a ladder link to it. The same from a terminal: `o2c ladder hold`,
    `snooze` and `resume`.
Reads: ladders and holds in the ledger.
Writes: the hold in the ledger, with who said so, and wakes the ladders that it is about. They are read again by the
    drain, which makes their alarms and timelines follow.
Safe to re-run because: the last word counts, and saying the same again changes nothing but its time.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime
from prefect.states import Completed

from order_to_cash.domain.dunning.holding import HoldAction, HoldWords
from tasks.company import company_named
from tasks.dunning_hold_steps import say, show_ordered


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    return f"{parameters.get('action', HoldAction.HOLD)} · {parameters.get('invoice') or 'nothing named'}"


@flow(name="hold-ladder", flow_run_name=_run_name, persist_result=False)
async def hold_ladder(
    invoice: str = "",
    action: HoldAction = HoldAction.HOLD,
    until: str = "",
    reason: str = "",
    by: str = "",
    company: str = "o2c",
) -> Any:
    """Put the ladder of an unpaid invoice on hold, snooze it, or let it go on.

    Args:
        invoice: Its number or id (in_…). Or a customer's (cus_…) or an Account's (001…): all of its ladders, later ones
            too.
        action: hold lasts until it is resumed, or until then; snooze until then; resume lets it go on.
        until: 2026-03-01 (when that day begins), 2026-03-01T14:30 (UTC), or how long from now on (12h, 3d).
        reason: Why, for whoever looks at the ladder. No personal data.
        by: Your name: it stands beside the hold.
        company: Name of the blocks with the accounts and the policy.
    """
    words = HoldWords(action=action, subject=invoice, until=until, reason=reason, by=by.strip() or "the form")
    async with company_named(company, str(runtime.flow_run.id)) as books:
        await books.bind()
        ordered = await say(books, words)
        await show_ordered(ordered)
    return Completed(message=ordered.in_words, data=ordered)
