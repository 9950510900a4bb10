"""A person's word on a ladder, from what they typed: hold it, let it sleep until then, or let it go on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from order_to_cash.domain.dunning.spans import read_span
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.messages import one_line
from order_to_cash.domain.moments import moment
from order_to_cash.domain.redaction import redact

LONGEST_HOLD = timedelta(days=366)
"""A moment later than that is a slip of the pen; who means it holds without an end."""

LONGEST_REASON = 300
_SPAN = re.compile(r"\d+\s?[mhd]", re.ASCII)
_STRIPE_ID = re.compile(r"(in|cus)_[A-Za-z0-9]{1,250}", re.ASCII)


class HoldAction(StrEnum):
    """`hold`: until it is resumed, or until then. `snooze`: until then. `resume`: go on."""

    HOLD = "hold"
    SNOOZE = "snooze"
    RESUME = "resume"


class SubjectKind(StrEnum):
    INVOICE = "invoice"
    CUSTOMER = "customer"
    ACCOUNT = "account"  # all customers that it is linked with


@dataclass(frozen=True, slots=True)
class HoldSubject:
    """What is held: an invoice or a customer of Stripe's by its id, or an Account by its 18 characters."""

    kind: SubjectKind
    id: str


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """What a person asked for. `until` None: until it is resumed. `by`: who said so."""

    action: HoldAction
    subject: HoldSubject
    until: datetime | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldWords:
    """The same as they typed it. `until`: a day or a moment (UTC), or how long from now on, such as 3d."""

    action: HoldAction
    subject: str
    until: str = ""
    reason: str = ""
    by: str = ""

    def read(self, now: datetime) -> HoldOrder:
        """Raises RecordRejected for what cannot be meant, with the `field` that says it."""
        subject = read_subject(self.subject)
        until = read_until(self.until, now) if self.until.strip() else None
        if self.action is HoldAction.SNOOZE and until is None:
            raise _unclear(
                "A ladder is snoozed until a moment.",
                "Say until when, or for how long; or hold it without an end.",
                "until",
            )
        if self.action is HoldAction.RESUME and until is not None:
            raise _unclear(
                "What is resumed goes on now.", "Leave the moment out, or snooze until then.", "until"
            )
        reason = str(redact(one_line(self.reason)))
        if len(reason) > LONGEST_REASON:
            raise _unclear(f"The reason has more than {LONGEST_REASON} characters.", "Shorten it.", "reason")
        return HoldOrder(self.action, subject, until, reason, one_line(self.by))


def read_subject(text: str) -> HoldSubject:
    """Which invoice, customer or Account. Raises RecordRejected (`ladder_hold_unclear`, field `subject`)."""
    words = text.strip()
    if found := _STRIPE_ID.fullmatch(words):
        return HoldSubject(SubjectKind.INVOICE if found[1] == "in" else SubjectKind.CUSTOMER, words)
    try:
        account_id = salesforce_id(words)
    except RecordRejected:
        account_id = ""
    if not account_id.startswith("001"):  # the key prefix of Account, the same in every org
        raise _unclear(
            f"{words[:40]!r} is no id of an invoice, a customer or an Account, nor the number of a chased invoice.",
            "Ids begin with in_, cus_ or 001. `o2c ladder list` shows ids and numbers.",
            "subject",
        )
    return HoldSubject(SubjectKind.ACCOUNT, account_id)


def read_until(text: str, now: datetime) -> datetime:
    """``2026-03-01`` (when that day begins), ``2026-03-01T14:30`` (UTC unless it says otherwise), or ``3d`` from `now`.

    Raises RecordRejected (field `until`), also for what has passed and for what is more than 366 days away.
    """
    words = text.strip()
    try:
        until = now + (read_span(words) if _SPAN.fullmatch(words) else _moment(words, now) - now)
    except ValueError:  # of more days than a span may have
        until = now + 2 * LONGEST_HOLD
    if until <= now:
        raise _unclear(f"{words[:40]!r} has passed.", "Give a moment that is to come.", "until")
    if until > now + LONGEST_HOLD:
        remedy = "Hold it without an end: it then lasts until it is resumed."
        raise _unclear(f"{words[:40]!r} is more than {LONGEST_HOLD.days} days away.", remedy, "until")
    return until


def _moment(text: str, now: datetime) -> datetime:
    try:
        return moment(text, now)
    except RecordRejected:
        remedy = "Write 2026-03-01, 2026-03-01T14:30 (UTC), or how long: 12h, 3d."
        raise _unclear(f"{text[:40]!r} is no moment.", remedy, "until") from None


def _unclear(message: str, remedy: str, field: str) -> RecordRejected:
    return RecordRejected(message, code="ladder_hold_unclear", remedy=remedy, ids={"field": field})
