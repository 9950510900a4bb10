"""Several open invoices of one customer: one contact a day, not one an invoice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.steps import ActionKind, Step

ContactKind = Literal[ActionKind.EMAIL, ActionKind.OUTREACH_TASK]


@dataclass(frozen=True, slots=True)
class DueContact:
    """A step that contacts a customer, to be taken at `at`. `time_zone`: the customer's, None where it is not known."""

    customer_id: str
    invoice_id: str
    step: Step
    at: datetime
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """One e-mail, or one Task to call, about all of `about`: invoice id and step key, in the order of `at`.

    `day` is the customer's.
    """

    customer_id: str
    day: date
    kind: ContactKind
    about: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """The same for whoever groups again: of two e-mails with one key one is sent."""
        return f"o2c:contact:{self.kind}:{self.customer_id}:{self.day.isoformat()}"


def group_contacts(due: Iterable[DueContact], hours: ContactHours) -> tuple[Contact, ...]:
    """One contact for each customer, day and kind, whatever the order of `due`; an invoice stands in each once."""
    groups: dict[tuple[str, date, ContactKind], dict[tuple[str, str], None]] = {}
    for one in sorted(due, key=lambda each: (each.at, each.invoice_id, each.step.key)):
        day = one.at.astimezone(hours.zone(one.time_zone)).date()
        for kind in _KINDS:
            if kind in one.step.kinds:
                about = groups.setdefault((one.customer_id, day, kind), {})
                about.setdefault((one.invoice_id, one.step.key))
    return tuple(
        Contact(customer, day, kind, tuple(about)) for (customer, day, kind), about in sorted(groups.items())
    )


_KINDS: tuple[ContactKind, ...] = (ActionKind.EMAIL, ActionKind.OUTREACH_TASK)
