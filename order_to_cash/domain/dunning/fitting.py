"""Whether a step is for this invoice: its conditions against what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from order_to_cash.domain.dunning.facts import Facts
from order_to_cash.domain.dunning.steps import Conditions, IfUnknown
from order_to_cash.domain.money import Money


@dataclass(frozen=True, slots=True)
class Fit:
    """`why`: the first condition that does not hold, in words. `unknown`: facts that were asked for in vain."""

    holds: bool
    why: str = ""
    unknown: tuple[str, ...] = ()


def fits(when: Conditions, facts: Facts) -> Fit:
    """Whether every condition holds. One whose fact is not known holds or not as `if_unknown` says."""
    judged = list(_judged(when, facts))
    failed = [words for _, holds, words in judged if holds is False]
    unknown = tuple(dict.fromkeys(fact for fact, holds, _ in judged if holds is None))
    if failed:
        return Fit(False, failed[0], unknown)
    if unknown and when.if_unknown is IfUnknown.PASS:
        return Fit(False, f"not known: {', '.join(unknown)}", unknown)
    return Fit(True, "", unknown)


def _judged(when: Conditions, facts: Facts) -> Iterator[tuple[str, bool | None, str]]:
    """Each condition that is given: the fact that it asks for, whether it holds, and what to say where it does not."""
    invoice = facts.invoice
    owed, attempts = invoice.amount_remaining, invoice.attempt_count
    if when.amount_at_least:
        holds = None if owed is None else owed >= _limit(when.amount_at_least, owed)
        yield "amount", holds, f"only {owed} are owed"
    if when.amount_below:
        holds = None if owed is None else owed < _limit(when.amount_below, owed)
        yield "amount", holds, f"{owed} are owed"
    if when.segments:
        yield (
            "segment",
            None if facts.segment is None else facts.segment.casefold() in map(str.casefold, when.segments),
            f"the segment is {facts.segment}",
        )
    if when.attempts_at_least is not None:
        holds = None if attempts is None else attempts >= when.attempts_at_least
        yield "attempts", holds, f"there were {attempts} attempts"
    if when.attempts_at_most is not None:
        holds = None if attempts is None else attempts <= when.attempts_at_most
        yield "attempts", holds, f"there were {attempts} attempts"
    if when.declines:
        found = invoice.decline_class
        yield "decline", None if found is None else found in when.declines, f"the decline is {found}"
    if when.billing is not None:
        billing = invoice.billing
        kind = str(billing).replace("_", "-")
        yield "billing", None if billing is None else billing is when.billing, f"it is a {kind} invoice"


def _limit(limits: Mapping[str, Decimal], owed: Money) -> Money:
    return Money.from_major(limits.get(owed.currency.upper(), Decimal(0)), owed.currency)
