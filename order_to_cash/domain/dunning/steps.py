"""One step of a ladder as data: when, what, for whom, on which conditions (R45)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, field_validator, model_serializer, model_validator

from order_to_cash.domain.dunning.spans import Span
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import Money
from order_to_cash.domain.policy import policy_currency
from order_to_cash.domain.records import Record


class Anchor(StrEnum):
    """What a step's time is counted from."""

    FIRST_FAILURE = "first_failure"  # the first failed attempt; later ones feed the same ladder
    DUE_DATE = "due_date"
    STRIPES_END = "stripes_end"  # counted backward, from Stripe's final action


class ActionKind(StrEnum):
    """What a step does."""

    PAYMENT_HEALTH = "payment_health"  # Account: Payment Health = Failed
    ACCOUNT_STATUS = "account_status"  # Account: Payment Overdue
    ACCOUNT_FLAG = "account_flag"  # Account: about to be lost
    TASK = "task"
    OUTREACH_TASK = "outreach_task"  # a Task to call the customer, with the whole failure history
    CASE = "case"
    SLACK = "slack"
    EMAIL = "email"  # to the customer's billing contact
    EXECUTIVE_ALERT = "executive_alert"  # to the executive sponsor, by Slack and e-mail


CONTACTS = frozenset({ActionKind.EMAIL, ActionKind.OUTREACH_TASK})
"""By these the customer hears of us: business hours, and the quiet period between two of them."""

PERSONAL = CONTACTS | {ActionKind.EXECUTIVE_ALERT}
"""What a person receives, and so within business hours only. Records and channels may change at night."""

_OWNED = frozenset(
    {ActionKind.TASK, ActionKind.OUTREACH_TASK, ActionKind.CASE, ActionKind.EXECUTIVE_ALERT, ActionKind.SLACK}
)
_PRIORITIZED = frozenset({ActionKind.TASK, ActionKind.OUTREACH_TASK, ActionKind.CASE})


class OwnerKind(StrEnum):
    """Who an action is for. Who is missing or inactive is replaced as `reactions.owner_of` says (R46)."""

    CSM = "csm"
    ACCOUNT_OWNER = "account_owner"
    EXECUTIVE_SPONSOR = "executive_sponsor"
    USER = "user"
    QUEUE = "queue"


_NAMED = frozenset({OwnerKind.USER, OwnerKind.QUEUE})


class Owner(Record):
    """`csm`, `account_owner`, `executive_sponsor`, `user:NAME` or `queue:NAME`; written as one word in a policy."""

    kind: OwnerKind
    name: str = Field(default="", max_length=80)  # of a user or queue in Salesforce

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        kind, colon, name = value.strip().partition(":")
        named = kind in set(_NAMED)
        if kind not in set(OwnerKind) or named != bool(colon and name.strip()) or (colon and not named):
            raise ValueError(
                f"{value[:40]!r} is no owner: write csm, account_owner, executive_sponsor, user:NAME or queue:NAME"
            )
        return {"kind": kind, "name": name.strip()}

    @model_serializer
    def _as_text(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)

    def __str__(self) -> str:
        return self.name or self.kind.replace("_", " ")


class Priority(StrEnum):
    """Salesforce's own values."""

    HIGH = "High"
    NORMAL = "Normal"
    LOW = "Low"


class Action(Record):
    """One thing that a step does; a bare kind, such as `slack`, where nothing else has to be said."""

    kind: ActionKind
    owner: Owner | None = None
    channel: str = Field(default="", max_length=80)  # of Slack; empty: the default one
    priority: Priority | None = None
    template: str = Field(default="", pattern=r"^[a-z0-9_-]*$", max_length=60)  # of an e-mail

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Action:
        said = {
            "owner": (self.owner is not None, self.kind in _OWNED),
            "priority": (self.priority is not None, self.kind in _PRIORITIZED),
            "channel": (bool(self.channel), self.kind in {ActionKind.SLACK, ActionKind.EXECUTIVE_ALERT}),
            "template": (bool(self.template), self.kind in {ActionKind.EMAIL, ActionKind.EXECUTIVE_ALERT}),
        }
        for name, (given, fits) in said.items():
            if given and not fits:
                raise ValueError(f"{self.kind} has no {name}")
        return self

    @model_serializer(mode="wrap")
    def _short(self, serialize: Any) -> Any:
        told = {name: value for name, value in serialize(self).items() if value}
        return told.get("kind") if len(told) == 1 else told


class DeclineClass(StrEnum):
    """What may help after a decline."""

    HARD = "hard"  # only another payment method: Stripe does not charge this one again
    CONFIRMATION = "confirmation"  # the customer confirms (3D Secure)
    SOFT = "soft"  # trying again may work


class Billing(StrEnum):
    SUBSCRIPTION = "subscription"
    ONE_OFF = "one_off"


class IfUnknown(StrEnum):
    """What becomes of a step when a fact that its conditions ask for is not known."""

    DO = "do"
    PASS = "pass"  # noqa: S105 - no password


Amounts = dict[str, Annotated[Decimal, PlainSerializer(str, when_used="json")]]


class Conditions(Record):
    """When a step is for an invoice at all: every condition that is given must hold.

    Amounts are what is still owed, in major units by upper-case currency. A currency that a table leaves out has the
    limit 0 there: the step for large amounts takes it, the one for small amounts does not.
    """

    amount_at_least: Amounts = Field(default_factory=dict)
    amount_below: Amounts = Field(default_factory=dict)
    segments: tuple[str, ...] = ()
    attempts_at_least: int | None = Field(default=None, ge=0, le=100)
    attempts_at_most: int | None = Field(default=None, ge=0, le=100)
    declines: tuple[DeclineClass, ...] = ()
    billing: Billing | None = None
    if_unknown: IfUnknown = IfUnknown.DO

    @field_validator("amount_at_least", "amount_below")
    @classmethod
    def _exact(cls, amounts: dict[str, Decimal]) -> dict[str, Decimal]:
        return {policy_currency(code): _amount(code, amount) for code, amount in sorted(amounts.items())}

    @field_validator("segments")
    @classmethod
    def _no_blanks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        stripped = tuple(name.strip() for name in names)
        if not all(stripped):
            raise ValueError("an empty name is not allowed")
        return tuple(dict.fromkeys(stripped))

    @model_validator(mode="after")
    def _possible(self) -> Conditions:
        least, most = self.attempts_at_least, self.attempts_at_most
        if least is not None and most is not None and least > most:
            raise ValueError("attempts_at_least is more than attempts_at_most: it would never hold")
        return self


class StepHours(StrEnum):
    """`auto`: within business hours where a person receives something. `business`: always so."""

    AUTO = "auto"
    BUSINESS = "business"


class Step(Record):
    """One step. `delay` counts from its anchor; before Stripe's end it is `lead`, the ladder's own where it is None."""

    key: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")  # stands in the journal and in keys of effects
    title: str = Field(default="", max_length=120)
    anchor: Anchor
    delay: Span = timedelta(0)
    lead: Span | None = None
    actions: tuple[Action, ...] = Field(min_length=1, max_length=12)
    when: Conditions = Conditions()
    hours: StepHours = StepHours.AUTO

    @model_validator(mode="after")
    def _one_way_of_counting(self) -> Step:
        if self.anchor is Anchor.STRIPES_END and self.delay:
            raise ValueError("delay: a step before Stripe's end has a lead, not a delay")
        if self.anchor is not Anchor.STRIPES_END and self.lead is not None:
            raise ValueError("lead: only a step with the anchor stripes_end has a lead")
        kinds = [(action.kind, action.owner) for action in self.actions]
        if len(kinds) != len(set(kinds)):
            raise ValueError("actions: the same one stands there twice")
        if sum(action.kind is ActionKind.EMAIL for action in self.actions) > 1:
            raise ValueError("actions: one e-mail a step")
        return self

    @property
    def kinds(self) -> frozenset[ActionKind]:
        return frozenset(action.kind for action in self.actions)

    @property
    def contacts_customer(self) -> bool:
        return bool(self.kinds & CONTACTS)

    @property
    def in_business_hours(self) -> bool:
        return self.hours is StepHours.BUSINESS or bool(self.kinds & PERSONAL)

    @property
    def name(self) -> str:
        return self.title or re.sub("-", " ", self.key)


def heard_of_us(contacted_at: datetime | None, step: Step | None) -> bool:
    """Whether the customer was written to by a step that was taken. Of a Task to talk to them nobody knows it."""
    return contacted_at is not None and (step is None or ActionKind.EMAIL in step.kinds)


def _amount(code: str, amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"the amount for {code.upper()} must be zero or more")
    try:
        return Money.from_major(amount, code).to_major()
    except RecordRejected as error:
        raise ValueError(error.message) from None
