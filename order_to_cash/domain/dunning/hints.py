"""Which ladders an event may open, move or end. It only says where to look: what it tells is not believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.handled import SCANNED, snapshot_type

_OPENS = frozenset({"invoice.payment_failed", "invoice.overdue"})
# Nothing that a ladder goes by changes with these.
_TELL_NOTHING = frozenset(
    {
        *("invoice.created", "invoice.finalized", "invoice.finalization_failed", "invoice.sent"),
        "invoice.will_be_due",
    }
)
# By these an invoice of the customer may be owed no more, or the customer be reached in another way.
_OF_CUSTOMER = ("customer.", "credit_note.", "payment_method.")


@dataclass(frozen=True, slots=True)
class Hints:
    """`failed`: invoices that may need a ladder → when one was first told to have failed, None for an overdue one.

    `invoices` and `customers`: whose ladders are looked at. `unplaced`: events about an object of a customer whom only
    the object itself names.
    """

    failed: dict[str, datetime | None] = field(default_factory=dict)
    invoices: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    unplaced: list[StripeEvent] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.failed or self.invoices or self.customers or self.unplaced)


def hints_of(events: Iterable[StripeEvent]) -> Hints:
    """What a batch of events, in any order, hints at."""
    hints = Hints()
    for event in sorted(events, key=lambda one: (one.created, one.event_id)):
        kind = snapshot_type(event.type)
        if event.object_type == "invoice" and event.object_id:
            if kind in _OPENS:
                told = event.created if kind == "invoice.payment_failed" else None
                hints.failed[event.object_id] = hints.failed.get(event.object_id) or told
            if kind not in _TELL_NOTHING and kind.startswith(("invoice.", SCANNED)):
                hints.invoices.add(event.object_id)
        elif kind.startswith(_OF_CUSTOMER) or kind == SCANNED:
            if event.object_type == "customer":
                hints.customers.add(event.object_id)
            elif event.partition and event.partition != event.object_id:
                hints.customers.add(event.partition)
            else:
                hints.unplaced.append(event)
    return hints
