"""Why a step comes when it comes, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from order_to_cash.domain.dunning.due import Cause, Shift
from order_to_cash.domain.dunning.policy import Ladder
from order_to_cash.domain.dunning.spans import show_span, span_in_words
from order_to_cash.domain.dunning.steps import Anchor, Step


def why_then(step: Step, ladder: Ladder, shifts: Iterable[Shift] = ()) -> str:
    """Such as "24h after the first failure; 1 d 18 h later (business hours)"."""
    counted = {
        Anchor.FIRST_FAILURE: f"{show_span(step.delay)} after the first failure",
        Anchor.DUE_DATE: f"{show_span(step.delay)} after the due date",
        Anchor.STRIPES_END: f"{show_span(ladder.lead_of(step))} before Stripe's final action",
    }[step.anchor]
    if not step.delay and step.anchor is not Anchor.STRIPES_END:
        counted = "at once"
    return "; ".join([counted, *map(_shift, shifts)])


def _shift(shift: Shift) -> str:
    way = "later" if shift.by > timedelta(0) else "earlier"
    cause = {
        Cause.CONTACT_HOURS: "business hours",
        Cause.QUIET_PERIOD: "quiet period",
        Cause.STRIPES_ATTEMPT: "Stripe tries then",
        Cause.PAYMENT_UNDER_WAY: "a payment is under way",
    }[shift.cause]
    return f"{span_in_words(shift.by)} {way} ({cause})"
