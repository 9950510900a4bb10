"""What the ledger and its users hand to each other about ladders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from order_to_cash.domain.dunning.facts import Hold, LadderState, StepState
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLadder:
    """A ladder to open for an invoice that has none. `due_at`: when it is looked at first."""

    invoice_id: str
    customer_id: str
    collection_method: CollectionMethod
    policy_version: str
    due_at: datetime
    first_failed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom and what a ladder is about, for lists and names of runs; "" and None until it was read."""

    account_name: str = ""
    account_id: str = ""  # Salesforce
    invoice_number: str = ""
    amount_remaining: Money | None = None
    next_payment_attempt: datetime | None = None


class LadderStatus(StrEnum):
    """How a ladder stands. Waiting: a step has a time. Resting: all steps are taken and the invoice is open."""

    WAITING = "waiting"
    HELD = "held"
    RESTING = "resting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderStep:
    """One line of a ladder's journal. `contacted_at`: when it reached the customer, None when it did not.

    `note`: why it was passed, or what was done instead of what the policy says (codes and names of fields).
    """

    key: str
    state: StepState
    begun_at: datetime
    decided_at: datetime | None = None
    contacted_at: datetime | None = None
    run_id: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One ladder with its journal.

    `due_at`: when it is to be looked at next; None once it has ended. `generation` counts each time that `due_at` or
    `next_step` changed: an alarm of an older one is stale. `alarm_run_id`: the Prefect flow run that was scheduled for
    `generation` when `alarm_generation` equals it. `hold`: of the invoice or of its customer, whichever lasts longer.
    `code` and `reason`: what failed at the last try, "" when nothing did; `failures` counts since the last success.
    """

    invoice_id: str
    customer_id: str
    state: LadderState
    status: LadderStatus
    subject: Subject
    steps: tuple[LadderStep, ...]
    next_step: str
    due_at: datetime | None
    generation: int
    alarm_generation: int
    alarm_run_id: str
    hold: Hold | None
    ended_at: datetime | None
    failures: int = 0
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedLadder:
    """A ladder that this process alone may move until `lease_until`. `last_contact_at`: see `domain.dunning.Facts`.

    Claims come by customer: all open ladders of one are held together, so that two processes never contact the same
    customer.
    """

    ladder: Ladder
    token: str
    lease_until: datetime
    due: bool  # or only held because another ladder of the customer is due
    last_contact_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A ladder whose next waking has no Prefect run yet, or one of an older generation."""

    invoice_id: str
    customer_id: str
    generation: int
    due_at: datetime
    next_step: str
    subject: Subject
    stale_run_id: str = ""  # of the older generation: to be cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What became of a step of a claimed ladder. `contacted_at`: see `LadderStep`.

    `state`: done or passed; or still begun, for a contact that was made while the rest is to be tried again.
    """

    claim: ClaimedLadder
    key: str
    state: StepState
    note: str = ""
    contacted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a claimed ladder goes to sleep again. `due_at` None: until something wakes it.

    `subject` None: as it was. `first_failed_at`: what was learned of it; what is known already stays.
    """

    claim: ClaimedLadder
    status: LadderStatus
    next_step: str
    due_at: datetime | None
    subject: Subject | None = None
    first_failed_at: datetime | None = None
    failures: int = 0
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderFilter:
    """Which ladders; what is empty does not narrow. `due_before` leaves out what has no time."""

    invoice_ids: tuple[str, ...] = ()
    invoice_numbers: tuple[str, ...] = ()
    customer_ids: tuple[str, ...] = ()
    account_ids: tuple[str, ...] = ()  # Salesforce
    statuses: tuple[LadderStatus, ...] = ()
    due_before: datetime | None = None
    failing: bool = False  # whose last try failed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHold:
    """A hold that is in force, and who placed it when. `subject_id`: the invoice's id, or the customer's."""

    subject_id: str
    until: datetime | None
    reason: str
    placed_by: str
    placed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLadders:
    """How many ladders are due and nobody works on, and since when the one that waits longest is."""

    count: int
    oldest: datetime | None
