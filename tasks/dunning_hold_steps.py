"""A hold as steps of a run: say it to the ledger, and show what it is about."""

from __future__ import annotations

import asyncio

from prefect.artifacts import acreate_markdown_artifact

from order_to_cash.domain.dunning.holding import HoldWords
from order_to_cash.domain.tables import cell
from order_to_cash.ledger.ladder_records import Ladder
from tasks.company import Company
from tasks.dunning_holds import Ordered, carry_out
from tasks.retrying import step

KEY = "held-ladders"
_SHOWN = 200
_HEAD = ("Invoice", "Customer", "Owed", "Next step")


@step("say it to the ledger")
async def say(company: Company, words: HoldWords) -> Ordered:
    """See `dunning_holds.carry_out`."""
    return await asyncio.to_thread(carry_out, company.ledger, words, company.clock.now())


async def show_ordered(ordered: Ordered) -> None:
    """What was said and which ladders it is about, as an artifact."""
    await acreate_markdown_artifact(
        key=KEY, markdown=ordered_markdown(ordered), description="Ladders that a person held or resumed."
    )


def ordered_markdown(ordered: Ordered) -> str:
    order = ordered.order
    parts = [f"# {ordered.in_words[0].upper()}{ordered.in_words[1:]}"]
    said = f"Said by {cell(order.by)}" + (f": {cell(order.reason)}" if order.reason else "")
    parts += [f"{said}.", "\n".join(f"- {cell(remark)}" for remark in ordered.remarks)]
    if ordered.ladders:
        lines = [_HEAD, ("---",) * len(_HEAD), *(_row(ladder) for ladder in ordered.ladders[:_SHOWN])]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    left_out = len(ordered.ladders) - _SHOWN
    return "\n\n".join([*filter(None, parts), *([f"… and {left_out} more."] if left_out > 0 else [])])


def _row(ladder: Ladder) -> tuple[str, ...]:
    subject = ladder.subject
    return (
        f"`{ladder.invoice_id}` {cell(subject.invoice_number)}".strip(),
        cell(subject.account_name or ladder.customer_id),
        "" if subject.amount_remaining is None else str(subject.amount_remaining),
        cell(ladder.next_step),
    )
