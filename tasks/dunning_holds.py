"""People hold, snooze and resume ladders. Imports no Prefect: `o2c ladder hold` does the same without a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.dunning.holding import HoldAction, HoldOrder, HoldWords, SubjectKind
from order_to_cash.domain.errors import RecordGone, RecordRejected
from order_to_cash.ledger.ladder_records import Ladder, LadderFilter, LadderStatus, PlacedHold
from order_to_cash.ledger.ledger import Ledger

OPEN = (LadderStatus.WAITING, LadderStatus.HELD, LadderStatus.RESTING)
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Ordered:
    """What was done. `ladders`: the open ones that it is about, as they stood before. `lifted`: how many holds a
    `resume` took back. `left`: holds of other subjects that go on for some of `ladders`. `elsewhere`: those that
    no word in the ledger holds, and that were held all the same when they were last read.
    """

    order: HoldOrder
    ladders: tuple[Ladder, ...]
    lifted: int = 0
    left: tuple[PlacedHold, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """Such as “held until 2026-03-05 09:00 UTC: 2 ladders”."""
        number = f"{len(self.ladders)} {'ladder' if len(self.ladders) == 1 else 'ladders'}"
        if self.order.action is HoldAction.RESUME:
            return f"resumed: {number}" if self.lifted else f"was not on hold here: {number}"
        until = self.order.until
        lasts = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until resumed"
        return f"held {lasts}: {number}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else the person should know."""
        return tuple(_remarks(self))


def carry_out(ledger: Ledger, words: HoldWords, now: datetime) -> Ordered:
    """Do it. Saying the same again changes nothing but who said so and when. Blocking.

    Raises RecordRejected for what cannot be meant, and for a ladder that has ended; RecordGone (`ladder_unknown`) for
    an invoice without a ladder, a customer or an Account that nobody heard of; Unavailable.
    """
    order = replace(words, subject=invoice_named(ledger, words.subject)).read(now)
    if order.subject.kind is SubjectKind.INVOICE:
        return _of_invoice(ledger, order)
    return _of_customers(ledger, order)


def invoice_named(ledger: Ledger, typed: str) -> str:
    """The id of the invoice that has this number, where one ladder's has; anything else as it was typed. Blocking."""
    number = typed.strip()
    if not number:
        return typed
    found = ledger.ladders.find(LadderFilter(invoice_numbers=(number, number.upper())), 2)
    return found[0].invoice_id if len(found) == 1 else typed


def _of_invoice(ledger: Ledger, order: HoldOrder) -> Ordered:
    ladder = ledger.ladders.get(order.subject.id)
    if ladder is None:
        raise _unknown(order, "This invoice has no ladder.", "`o2c ladder list` shows those that are open.")
    if ladder.state.ended is not None:
        raise RecordRejected(
            f"The ladder of this invoice has ended: {ladder.state.ended.replace('_', ' ')}. Nothing is sent any more.",
            code="ladder_ended",
            remedy=f"`o2c ladder show {ladder.invoice_id}` shows what was done.",
            ids={"invoice": ladder.invoice_id},
        )
    lifted = _say(ledger, order, invoice_id=ladder.invoice_id)
    return _ordered(ledger, order, [ladder], lifted)


def _of_customers(ledger: Ledger, order: HoldOrder) -> Ordered:
    customers = _customers(ledger, order)
    if not customers:
        raise _unknown(
            order, "Nobody heard of this customer.", "Copy its id from Stripe, or from the Account."
        )
    ladders = ledger.ladders.find(LadderFilter(customer_ids=customers, statuses=OPEN), _MOST)
    lifted = sum(_say(ledger, order, customer_id=customer_id) for customer_id in customers)
    return _ordered(ledger, order, ladders, lifted)


def _customers(ledger: Ledger, order: HoldOrder) -> tuple[str, ...]:
    """Those that are meant: of an Account all that it is linked with, or has had ladders."""
    subject = order.subject
    if subject.kind is SubjectKind.ACCOUNT:
        linked = ledger.links.by_salesforce("Account", subject.id, stripe_type="customer")
        laddered = ledger.ladders.find(LadderFilter(account_ids=(subject.id,)), _MOST)
        found = {link.stripe_id for link in linked} | {ladder.customer_id for ladder in laddered}
        return tuple(sorted(found))
    known = (
        ledger.ladders.find(LadderFilter(customer_ids=(subject.id,)), 1)
        or ledger.links.by_stripe("customer", subject.id)
        or ledger.customers.get(subject.id)
    )
    return (subject.id,) if known else ()


def _say(ledger: Ledger, order: HoldOrder, *, invoice_id: str = "", customer_id: str = "") -> int:
    """How many holds a `resume` took back: one or none."""
    ladders = ledger.ladders
    if order.action is HoldAction.RESUME:
        return int(ladders.resume(invoice_id=invoice_id, customer_id=customer_id, by=order.by))
    ladders.hold(
        invoice_id=invoice_id, customer_id=customer_id, until=order.until, reason=order.reason, by=order.by
    )
    return 0


def _ordered(ledger: Ledger, order: HoldOrder, before: Sequence[Ladder], lifted: int) -> Ordered:
    if order.action is not HoldAction.RESUME:
        return Ordered(order, tuple(before))
    subjects = {subject for ladder in before for subject in (ladder.invoice_id, ladder.customer_id)}
    left = tuple(hold for hold in ledger.ladders.holds() if hold.subject_id in subjects)
    elsewhere = (one.invoice_id for one in before if one.status is LadderStatus.HELD and one.hold is None)
    return Ordered(order, tuple(before), lifted, left, tuple(elsewhere))


def _remarks(ordered: Ordered) -> Iterator[str]:
    order = ordered.order
    if order.action is HoldAction.RESUME:
        for hold in ordered.left:
            yield f"Still on hold: {hold.subject_id} {_lasts(hold)}. `o2c ladder resume` takes that back as well."
        for invoice_id in ordered.elsewhere:
            yield f"{invoice_id} was held by its Account's Dunning Hold when it was last read: untick it in Salesforce."
        if ordered.ladders and ordered.lifted:
            yield "What is due is taken up at once, one step after the other, within business hours as ever."
        return
    begun = [one for ladder in ordered.ladders for one in ladder.steps if one.state is StepState.BEGUN]
    if begun:
        steps = ", ".join(sorted({one.key for one in begun}))
        yield f"Under way already and not stopped: {steps}. Its mail may leave, or have left."
    elif ordered.ladders:
        yield "Nothing is sent meanwhile. A mail that leaves in this very moment is not stopped."
    if not ordered.ladders:
        yield "No ladder is open there now; one that begins later is held too."
    yield "Stripe's own attempts go on. A payment ends the ladder all the same."


def _lasts(hold: PlacedHold) -> str:
    until = f"until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else "until resumed"
    why = f" ({hold.reason})" if hold.reason else ""
    return f"{until}, said by {hold.placed_by}{why}"


def _unknown(order: HoldOrder, message: str, remedy: str) -> RecordGone:
    subject = order.subject
    return RecordGone(message, code="ladder_unknown", remedy=remedy, ids={subject.kind.value: subject.id})
