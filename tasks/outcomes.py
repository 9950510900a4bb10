"""What became of each deal of a run, for tables, counts and messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, O2CError, Permanent
from order_to_cash.domain.mapping import MappedDeal
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import BillingPlan, Problem, StripeInvoice
from order_to_cash.ledger.claims import Claim

# The `field` of a Problem that is about the channel and not about the deal.
SLACK = "Slack"
CHATTER = "Chatter"


class DealStatus(StrEnum):
    """Where a deal stands at the end of a run."""

    PLANNED = "planned"  # plan mode: would be billed
    BILLED = "billed"
    QUARANTINED = "held"  # a person must correct the record
    SKIPPED = "skipped"  # not this recipe's business
    NOT_FOUND = "not found"  # named, and Salesforce shows no such deal
    WAITING = "waiting"  # another run holds it
    UNFINISHED = "unfinished"  # an outage: the next run goes on
    FAILED = "failed"  # an error of ours: nothing is known to be wrong with the record


@dataclass(frozen=True)
class DealOutcome:
    """One deal's end in one run. `problems` say why it was not billed, or what is left to do."""

    mapped: MappedDeal
    status: DealStatus
    problems: tuple[Problem, ...] = ()
    plan: BillingPlan | None = None
    claim: Claim | None = None
    invoice: StripeInvoice | None = None
    account_customer_gone: bool = False  # the customer whose id the Account has is deleted in Stripe
    written_back: bool = False
    announced: bool = False
    needs_a_person: bool = False  # billed, but what is left cannot be done before somebody acts

    @property
    def concluded(self) -> bool:
        """Whether nothing is left to be done for a billed deal."""
        return self.written_back and self.announced

    @property
    def opportunity_id(self) -> str:
        return self.mapped.opportunity_id

    @property
    def amount(self) -> Money | None:
        if self.invoice is not None:
            return self.invoice.total
        return self.plan.total if self.plan is not None else None

    def now(self, status: DealStatus, *problems: Problem) -> DealOutcome:
        """The same deal, further on."""
        return replace(self, status=status, problems=(*self.problems, *problems))


@dataclass(frozen=True)
class RunSummary:
    """All deals of a run."""

    outcomes: tuple[DealOutcome, ...] = field(default=())

    def having(self, *statuses: DealStatus) -> list[DealOutcome]:
        return [outcome for outcome in self.outcomes if outcome.status in statuses]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(outcome.status.value for outcome in self.outcomes))

    @property
    def in_words(self) -> str:
        """Such as "3 billed, 1 held"."""
        order = {status.value: place for place, status in enumerate(DealStatus)}
        parts = sorted(self.counts.items(), key=lambda item: order[item[0]])
        return ", ".join(f"{count} {status}" for status, count in parts) or "nothing to bill"

    @property
    def left_over(self) -> list[DealOutcome]:
        """What ought to be done and is not, for another reason than the deal's own record."""
        open_ends = self.having(DealStatus.UNFINISHED, DealStatus.FAILED)
        unconcluded = [one for one in self.having(DealStatus.BILLED) if not one.concluded]
        return open_ends + [outcome for outcome in unconcluded if not outcome.needs_a_person]

    @property
    def incomplete(self) -> bool:
        return bool(self.left_over)


def ended_by(outcome: DealOutcome, error: BaseException) -> DealOutcome:
    """The outcome of a deal whose way was ended by `error`."""
    if isinstance(error, ClaimedElsewhere | ClaimLost):
        return outcome.now(DealStatus.WAITING, problem_of(error))
    if isinstance(error, Permanent):
        return outcome.now(DealStatus.QUARANTINED, problem_of(error))
    if isinstance(error, O2CError):
        return outcome.now(DealStatus.UNFINISHED, problem_of(error))
    return outcome.now(DealStatus.FAILED, problem_of(error))


def problem_of(error: BaseException) -> Problem:
    """An error as a Problem. What is not of our error tree may quote data: only its type is told."""
    if isinstance(error, O2CError):
        field_name = error.ids.get("field", "")
        return Problem(code=error.code, field=field_name, message=error.message, remedy=error.remedy)
    return Problem(
        code="internal_error",
        field="",
        message=f"An unexpected {type(error).__name__} ended the work on this deal.",
        remedy="See the run's log; report it. The next run goes on from where this one stood.",
    )
