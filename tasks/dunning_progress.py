"""One claimed ladder on its way through a run, and what all of them came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from order_to_cash.domain.dunning.decision import Decision
from order_to_cash.domain.dunning.facts import EndReason, Facts
from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStep, Settled
from tasks.dunning_items import LadderItem


@dataclass(slots=True)
class Progress:
    """Mutable on purpose. `claim` as the journal stands by now; `item` as it was read last.

    It is over when one of `ended`, `settled`, `error` or `lost` is set. `taken` and `passed`: keys of steps.
    """

    claim: ClaimedLadder
    item: LadderItem | None = None
    decision: Decision | None = None
    taken: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    ended: EndReason | None = None
    settled: Settled | None = None
    error: O2CError | None = None
    lost: bool = False

    @property
    def invoice_id(self) -> str:
        return self.claim.ladder.invoice_id

    @property
    def customer_id(self) -> str:
        return self.claim.ladder.customer_id

    @property
    def over(self) -> bool:
        return self.lost or any(one is not None for one in (self.ended, self.settled, self.error))

    @property
    def acted(self) -> bool:
        return bool(self.taken or self.passed) or self.ended is not None

    def record(self, step: LadderStep) -> None:
        """The journal has this line now; the same key takes the place of an older one."""
        ladder = self.claim.ladder
        steps = (*(one for one in ladder.steps if one.key != step.key), step)
        state = replace(ladder.state, journal={**ladder.state.journal, step.key: step.state})
        self.claim = replace(self.claim, ladder=replace(ladder, steps=steps, state=state))

    def begun_at(self, key: str, now: datetime) -> datetime:
        """When the step was begun; now, where it was not."""
        return next((one.begun_at for one in self.claim.ladder.steps if one.key == key), now)

    def contacted(self, at: datetime) -> None:
        """The customer heard of us, through this ladder or another."""
        last = self.claim.last_contact_at
        self.claim = replace(self.claim, last_contact_at=at if last is None else max(at, last))

    def facts(self) -> Facts | None:
        """What was read last, beside the journal as it stands by now."""
        if self.item is None or self.item.facts is None:
            return None
        return replace(
            self.item.facts, ladder=self.claim.ladder.state, last_contact_at=self.claim.last_contact_at
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """One ladder that could not be moved, without anything personal."""

    invoice_id: str
    code: str
    reason: str
    retryable: bool


@dataclass(frozen=True)
class ClimbSummary:
    """What became of the ladders of a run. `lost`: another process took them over meanwhile."""

    ladders: int = 0
    steps: int = 0
    passed: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: tuple[Failure, ...] = ()
    lost: int = 0
    alarms: int = 0

    def __add__(self, other: ClimbSummary) -> ClimbSummary:
        return ClimbSummary(
            self.ladders + other.ladders,
            self.steps + other.steps,
            self.passed + other.passed,
            self.ended + other.ended,
            self.statuses + other.statuses,
            self.failures + other.failures,
            self.lost + other.lost,
            self.alarms + other.alarms,
        )

    @property
    def broken(self) -> bool:
        """Whether a person has to look at one."""
        return any(not failure.retryable for failure in self.failures)

    @property
    def in_words(self) -> str:
        """Such as "3 ladders: 2 steps taken, 1 ended (paid)"."""
        wait = [one for one in self.failures if one.retryable]
        ends = ", ".join(
            reason.replace("_", " ") if count == self.ended.total() else f"{count} {reason.replace('_', ' ')}"
            for reason, count in self.ended.most_common()
        )
        parts = [
            f"{_many(self.steps, 'step')} taken" if self.steps else "",
            f"{_many(self.passed, 'step')} passed over" if self.passed else "",
            f"{self.ended.total()} ended ({ends})" if self.ended else "",
            f"{self.statuses['held']} held" if self.statuses["held"] else "",
            f"{self.statuses['resting']} with all steps taken" if self.statuses["resting"] else "",
            f"{len(wait)} tried again later ({_codes(wait)})" if wait else "",
            f"{len(self.failures) - len(wait)} failed ({_codes(one for one in self.failures if not one.retryable)})"
            if self.broken
            else "",
            f"{self.lost} taken over elsewhere" if self.lost else "",
        ]
        told = ", ".join(part for part in parts if part)
        return f"{_many(self.ladders, 'ladder')}: {told or 'nothing to do yet'}"


def summary_of_climb(progress: Sequence[Progress]) -> ClimbSummary:
    """What these came to."""
    return ClimbSummary(
        ladders=len(progress),
        steps=sum(len(one.taken) for one in progress),
        passed=sum(len(one.passed) for one in progress),
        ended=Counter(str(one.ended) for one in progress if one.ended is not None),
        statuses=Counter(str(one.settled.status) for one in progress if one.settled and not one.error),
        failures=tuple(
            Failure(one.invoice_id, one.error.code, one.error.message, one.error.retryable)
            for one in progress
            if one.error is not None
        ),
        lost=sum(one.lost for one in progress),
    )


def by_customer(progress: Iterable[Progress]) -> list[list[Progress]]:
    """The ladders of each customer together."""
    found: dict[str, list[Progress]] = {}
    for one in progress:
        found.setdefault(one.customer_id, []).append(one)
    return list(found.values())


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _codes(failures: Iterable[Failure]) -> str:
    counts = Counter(one.code for one in failures)
    return ", ".join(f"{code} {count}×" if count > 1 else code for code, count in counts.most_common())
