"""A dunning policy: the steps of a ladder, and the hours, pauses and Stripe settings that they go by (R45)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.spans import Span, show_span
from order_to_cash.domain.dunning.steps import Anchor, Owner, Step
from order_to_cash.domain.identity import digest
from order_to_cash.domain.records import CollectionMethod, Record


class FinalAction(StrEnum):
    """What Stripe does with the subscription when its last attempt fails: a setting of its dashboard."""

    CANCEL = "cancel"
    MARK_UNPAID = "mark_unpaid"
    LEAVE_PAST_DUE = "leave_past_due"


class Ladder(Record):
    """The steps for one kind of invoice, in the order in which they are taken.

    `days_to_final_action` and `final_action` repeat settings of Stripe's dashboard that its API does not show
    (Billing → Revenue recovery → Retries; for sent invoices Billing → Invoices): days from the first failure, or from
    the due date. `lead`: how long before that a step with the anchor `stripes_end` comes.
    """

    steps: tuple[Step, ...] = Field(default=(), max_length=30)
    days_to_final_action: Annotated[int, Field(ge=1, le=365)]
    final_action: FinalAction = FinalAction.CANCEL
    lead: Span = timedelta(days=2)

    @model_validator(mode="after")
    def _climbs(self) -> Ladder:
        for step in self.steps:
            if step.anchor is Anchor.STRIPES_END and self.lead_of(step) >= self.window:
                raise ValueError(
                    f"step {step.key}: lead {show_span(self.lead_of(step))} is not shorter than the "
                    f"{self.days_to_final_action} days to Stripe's final action"
                )
        for one, later in pairwise(self.steps):
            if Anchor.STRIPES_END not in {one.anchor, later.anchor} and later.delay < one.delay:
                raise ValueError(
                    f"step {later.key}: delay {show_span(later.delay)} is shorter than the {show_span(one.delay)} "
                    f"of {one.key}, the step before it"
                )
            if one.anchor is Anchor.STRIPES_END and later.anchor is not Anchor.STRIPES_END:
                raise ValueError(
                    f"step {later.key}: anchor {later.anchor} cannot follow {one.key}, which waits for Stripe's end"
                )
            if one.anchor is later.anchor is Anchor.STRIPES_END and self.lead_of(later) > self.lead_of(one):
                raise ValueError(
                    f"step {later.key}: lead {show_span(self.lead_of(later))} is longer than the "
                    f"{show_span(self.lead_of(one))} of {one.key}, the step before it"
                )
        return self

    @property
    def window(self) -> timedelta:
        """From the first failure, or the due date, to Stripe's final action."""
        return timedelta(days=self.days_to_final_action)

    def lead_of(self, step: Step) -> timedelta:
        return self.lead if step.lead is None else step.lead


class DunningPolicy(Record):
    """What an organisation decides about unpaid invoices. `charged`: invoices that Stripe charges; `sent`: all others.

    Between two contacts with one customer lies `quiet_period`, and there is at most one a day. For `retry_margin`
    before and after an attempt of Stripe's own no contact is made: its outcome is waited for, a day at most.
    """

    name: str = Field(default="default", min_length=1, max_length=60)
    charged: Ladder
    sent: Ladder
    contact_hours: ContactHours = ContactHours()
    quiet_period: Span = timedelta(hours=20)
    retry_margin: Span = timedelta(hours=1)
    fallback_owner: Owner | None = None  # where the Account has neither CSM nor owner

    @field_validator("retry_margin")
    @classmethod
    def _short(cls, margin: timedelta) -> timedelta:
        if margin > timedelta(hours=12):
            raise ValueError("at most 12h")
        return margin

    @model_validator(mode="after")
    def _whole(self) -> DunningPolicy:
        keys: set[str] = set()
        for kind, ladder, anchor in (
            ("charged", self.charged, Anchor.FIRST_FAILURE),
            ("sent", self.sent, Anchor.DUE_DATE),
        ):
            for step in ladder.steps:
                if step.key in keys:
                    raise ValueError(f"step {step.key}: key {step.key} stands twice in the policy")
                keys.add(step.key)
                if step.anchor not in {anchor, Anchor.STRIPES_END}:
                    raise ValueError(
                        f"step {step.key}: anchor {step.anchor} does not fit invoices that are {kind}; "
                        f"write {anchor} or stripes_end"
                    )
        if not keys:
            raise ValueError("name at least one step")
        return self

    def ladder(self, method: CollectionMethod) -> Ladder:
        """The steps for invoices that are collected by `method`."""
        return self.charged if method is CollectionMethod.CHARGE_AUTOMATICALLY else self.sent

    @cached_property
    def version(self) -> str:
        """The digest of all that decides, without the name. A ladder keeps the one it began with.

        Defaults are left out: a field that is added later changes no version. A default's value must never change.
        """
        return digest(self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True))[:16]
