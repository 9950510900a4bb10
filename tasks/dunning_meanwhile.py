"""What may have come between reading a ladder and contacting somebody about it: a hold, a payment under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.errors import O2CError, Unavailable
from order_to_cash.ledger.ladder_records import LadderFilter
from tasks.company import Company
from tasks.dunning_items import LadderItem


async def let_wait(company: Company, items: Sequence[LadderItem]) -> None:
    """Give those that are not to be acted on now an `error`; their steps stay begun, and the next look decides."""
    wanted = LadderFilter(invoice_ids=tuple(item.invoice_id for item in items))
    ladders = await asyncio.to_thread(company.ledger.ladders.find, wanted, len(items)) if items else []
    held = {ladder.invoice_id for ladder in ladders if ladder.hold is not None}
    for item in items:
        if item.error is None and item.invoice_id in held:
            item.error = _waits("The ladder was put on hold meanwhile.", "held_meanwhile")
        elif item.error is None and _pays(item):
            item.error = _waits("A payment is under way by now.", "payment_under_way")


def _pays(item: LadderItem) -> bool:
    """Whether the customer is about to be contacted though they have paid, and the bank has not said so yet."""
    contacts = isinstance(item.decision, Do) and item.decision.step.contacts_customer
    return contacts and item.facts is not None and item.facts.invoice.payment_under_way is True


def _waits(message: str, code: str) -> O2CError:
    return Unavailable(message, code=code, remedy="Nothing to do: the ladder is looked at again.")
