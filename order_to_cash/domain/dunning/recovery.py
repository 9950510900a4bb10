"""What chasing brought within a period: what is open, recovered and lost, after which step and how soon (R64)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.money import Money, sum_money

CHURNED = frozenset({EndReason.SUBSCRIPTION_CANCELED, EndReason.UNCOLLECTIBLE})
"""Involuntary churn: the customer was lost because a payment failed."""

LOST = CHURNED | {EndReason.WRITTEN_OFF}
"""What was owed will not come. Voided invoices, drafts and deleted records are neither recovered nor lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chase:
    """One ladder as the report counts it.

    `began_at`: the first failure or the due date, else when it was opened. `last_step`: key of the last step that was
    taken; "": none was. `owed`: what is owed, of an ended ladder what was when it was last chased; None: not known.
    """

    invoice_id: str
    customer_id: str
    began_at: datetime
    opened_at: datetime
    ended_at: datetime | None = None
    ended: EndReason | None = None
    last_step: str = ""
    owed: Money | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """So many ladders of so many customers, and their amounts: one for each currency, by code.

    `unknown`: how many of them are not in the amounts, because what they owe is not known.
    """

    count: int = 0
    customers: int = 0
    amounts: tuple[Money, ...] = ()
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The figures of the ladders that ended from `since` until before `until`, and of those that are open at `until`.

    `by_step`: recovered ladders by the last step before the payment; "" stands for none. That the payment came after a
    step does not say that it came because of it. `median`, `p90`: from the first failure, or the due date, to the
    payment; None when nothing was recovered. `other_ends`: how many ended as neither recovered nor lost.
    """

    since: datetime
    until: datetime
    open: Tally
    held: int
    opened: int
    recovered: Tally
    churned: Tally
    lost: Tally
    by_step: Mapping[str, Tally] = field(default_factory=dict)
    other_ends: Mapping[EndReason, int] = field(default_factory=dict)
    median: timedelta | None = None
    p90: timedelta | None = None

    @property
    def rate(self) -> Fraction | None:
        """Recovered, of all that was recovered or lost; None when there was neither."""
        decided = self.recovered.count + self.lost.count
        return Fraction(self.recovered.count, decided) if decided else None


def recovery(chases: Iterable[Chase], since: datetime, until: datetime) -> Recovery:
    """The figures of a period. Ladders of other times may be among `chases`; each stands there once."""
    known = list(chases)
    still_open = [one for one in known if one.ended is None]
    ended = [one for one in known if one.ended_at is not None and since <= one.ended_at < until]
    paid = [one for one in ended if one.ended is EndReason.PAID]
    waits = sorted(one.ended_at - one.began_at for one in paid if one.ended_at is not None)
    steps: defaultdict[str, list[Chase]] = defaultdict(list)
    for one in paid:
        steps[one.last_step].append(one)
    neither = (
        one.ended for one in ended if one.ended is not None and one.ended not in LOST | {EndReason.PAID}
    )
    return Recovery(
        since=since,
        until=until,
        open=tally(still_open),
        held=sum(one.held for one in still_open),
        opened=sum(since <= one.opened_at < until for one in known),
        recovered=tally(paid),
        churned=tally(one for one in ended if one.ended in CHURNED),
        lost=tally(one for one in ended if one.ended in LOST),
        by_step={step: tally(those) for step, those in sorted(steps.items())},
        other_ends=dict(sorted(Counter(neither).items())),
        median=percentile(waits, 50),
        p90=percentile(waits, 90),
    )


def tally(chases: Iterable[Chase]) -> Tally:
    """Count and sum them. Amounts of different currencies are never added up."""
    those = list(chases)
    owed = [one.owed for one in those if one.owed is not None]
    currencies = sorted({money.currency for money in owed})
    return Tally(
        count=len(those),
        customers=len({one.customer_id for one in those}),
        amounts=tuple(sum_money([one for one in owed if one.currency == code], code) for code in currencies),
        unknown=len(those) - len(owed),
    )


def percentile(sorted_spans: Sequence[timedelta], percent: int) -> timedelta | None:
    """The smallest of them that `percent` % do not exceed (nearest rank); None of none. Negative ones count as zero."""
    if not sorted_spans:
        return None
    rank = -(-percent * len(sorted_spans) // 100)  # rounded up
    return max(sorted_spans[max(rank, 1) - 1], timedelta(0))
