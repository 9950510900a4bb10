"""The words of a ladder's Tasks and Cases: who owes what and why, what was tried, what helps, what comes next.

They are read by the one who calls the customer. Decline reasons are those of `declines.plain_words`: nobody is told
that a card was reported stolen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from order_to_cash.domain.dunning.facts import EndReason, StepState, decline_class
from order_to_cash.domain.dunning.outlook import Coming
from order_to_cash.domain.dunning.policy import FinalAction
from order_to_cash.domain.dunning.sending import named_line
from order_to_cash.domain.dunning.steps import ActionKind, DeclineClass, Step
from order_to_cash.domain.dunning.wording import day, moment
from order_to_cash.domain.messages import one_line
from order_to_cash.domain.money import Money
from order_to_cash.domain.sync.declines import plain_words, shown_code
from order_to_cash.domain.sync.reaction_texts import Text

_LONGEST_NAME = 120
_MOST_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One failed attempt to collect. `code`: Stripe's, "" where it is not known."""

    at: datetime | None
    amount: Money | None = None
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step that was taken, or passed over."""

    title: str
    at: datetime
    state: StepState
    contacted: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Addresses; "" for what there is none of. `hold`: the form that puts the ladder on hold."""

    account: str = ""
    invoice: str = ""  # its record in Salesforce
    payment_page: str = ""  # what the customer sees
    stripe: str = ""
    run: str = ""
    hold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """One unpaid invoice as people are told of it. What is not known is None or "".

    `name`: of the Account, else what the customer is called in Stripe. `stripe_ends_at`: by the policy; None for an
    invoice that is sent. `zone`: in which times are shown. `attempts`, `taken`: oldest first.
    """

    invoice_id: str
    number: str
    name: str
    zone: ZoneInfo
    amount: Money | None = None
    charged: bool = True
    subscription: bool = False
    decline_code: str = ""
    attempt_count: int | None = None
    next_attempt_at: datetime | None = None
    first_failed_at: datetime | None = None
    due_at: datetime | None = None
    stripe_ends_at: datetime | None = None
    final_action: FinalAction | None = None
    attempts: tuple[Attempt, ...] = ()
    taken: tuple[Taken, ...] = ()
    coming: Coming | None = None
    owner_name: str = ""
    billing_contact: str = ""  # name and address: for Salesforce only
    links: Links = Links()

    @property
    def amount_in_words(self) -> str:
        return "an amount that is not known" if self.amount is None else str(self.amount)

    @property
    def short_name(self) -> str:
        return one_line(self.name)[:_LONGEST_NAME] or "a customer without a name"


def task_text(debt: Debt, step: Step) -> Text:
    """The Task at the beginning of a ladder, or at any of its steps."""
    return Text(f"{step.name}: {debt.amount_in_words}, invoice {debt.number}", _whole(debt))


def case_text(debt: Debt, step: Step) -> Text:
    """The Case of a step; what happens later is seen in its ladder and on the Account's timeline."""
    del step
    what = "could not be collected" if debt.charged else "is overdue"
    return Text(f"Unpaid invoice {debt.number}: {debt.amount_in_words} {what}", _whole(debt))


def outreach_text(debts: Sequence[Debt], step: Step) -> Text:
    """One Task to talk to a customer about all of `debts`, with the whole history of each."""
    first = debts[0]
    about = f"invoice {first.number}" if len(debts) == 1 else f"{len(debts)} invoices"
    lines = [
        f"Talk to {first.short_name} about {about}: {totals(debts)} unpaid.",
        f"Billing contact: {one_line(first.billing_contact)}" if first.billing_contact else "",
    ]
    for debt in debts:
        lines += ["", *history_section(debt, step)]
    return Text(f"{step.name}: {totals(debts)} unpaid, {about}", tuple(lines))


def history_section(debt: Debt, step: Step) -> tuple[str, ...]:
    """Everything about one invoice: how it stands, each attempt, each step. `sending.is_about` finds it."""
    shown = debt.attempts[-_MOST_ATTEMPTS:]
    left_out = len(debt.attempts) - len(shown)
    return tuple(
        line
        for line in (
            named_line(debt.number, debt.invoice_id, step.key),
            *_whole(debt),
            "Failed attempts:" if shown else "",
            f"- {left_out} earlier ones" if left_out else "",
            *(_attempt(attempt, debt.zone) for attempt in shown),
            _not_listed(debt),
            "What was done so far:" if debt.taken else "",
            *(_taken(taken, debt.zone) for taken in debt.taken),
        )
        if line
    )


def trouble_text(debt: Debt, step: Step, subject: str, lines: Iterable[str]) -> Text:
    """A Task that says what a step could not do, and leaves it to a person."""
    return Text(f"{subject}: invoice {debt.number}", (*lines, "", f"Step: {step.name}", *_whole(debt)))


def why(debt: Debt) -> str:
    """Why it is unpaid, in words, and what helps."""
    if not debt.decline_code:
        return "" if not debt.charged else "Stripe gives no reason that is known here."
    decline = decline_class(debt.decline_code)
    helps = "" if decline is None else _HELPS.get(decline, "")
    return " ".join(part for part in (plain_words(debt.decline_code), helps) if part)


def next_attempt(debt: Debt) -> str:
    if not debt.charged:
        return (
            f"It was due on {day(debt.due_at, debt.zone)}. Stripe does not charge it." if debt.due_at else ""
        )
    tried = "" if debt.attempt_count is None else f"Attempts so far: {debt.attempt_count}. "
    if debt.next_attempt_at is None:
        return f"{tried}Stripe plans no further attempt."
    return f"{tried}Stripe tries again on {moment(debt.next_attempt_at, debt.zone)}."


def stripes_end(debt: Debt) -> str:
    """What Stripe does in the end. By the policy: no API shows this setting of Stripe's."""
    if debt.stripe_ends_at is None or debt.final_action is None or not debt.subscription:
        return ""
    what = _FINAL[debt.final_action]
    return f"If it stays unpaid, Stripe {what} on about {day(debt.stripe_ends_at, debt.zone)}."


def what_is_next(debt: Debt) -> str:
    """What the ladder does next."""
    if debt.coming is None:
        return "No further step is planned."
    told = name_and_deeds(debt.coming.step)
    return f"Next step, if it stays unpaid: {told} on {moment(debt.coming.at, debt.zone)}."


def name_and_deeds(step: Step) -> str:
    """Such as "Ask for another payment method (e-mail to the customer, Case)"."""
    does = ", ".join(dict.fromkeys(_DOES[action.kind] for action in step.actions if action.kind in _DOES))
    return f"{step.name} ({does})" if does else step.name


def ended_in_words(reason: EndReason) -> str:
    """Why a ladder ended, in a sentence."""
    return _ENDED[reason]


def totals(debts: Iterable[Debt]) -> str:
    """What is owed altogether, by currency."""
    sums: dict[str, Money] = {}
    for amount in (debt.amount for debt in debts):
        if amount is not None:
            known = sums.get(amount.currency)
            sums[amount.currency] = amount if known is None else known + amount
    return " and ".join(map(str, sums.values())) or "an amount that is not known"


def closing_note(reason: EndReason, number: str, at: datetime, zone: ZoneInfo) -> str:
    """What is added to a Task or Case when it is closed with its ladder."""
    return f"{moment(at, zone)}: closed. {settled_line(reason, number)}"


def settled_line(reason: EndReason, number: str) -> str:
    """What is added to a Task about several invoices when one of them needs no more chasing."""
    return f"Invoice {number}: {_ENDED[reason]}"


def _whole(debt: Debt) -> tuple[str, ...]:
    links = debt.links
    lines = (
        f"{debt.short_name} owes {debt.amount_in_words} for invoice {debt.number}.",
        f"Why: {why(debt)}" if why(debt) else "",
        next_attempt(debt),
        stripes_end(debt),
        what_is_next(debt),
        f"Payment page for the customer: {links.payment_page}" if links.payment_page else "",
        f"In Stripe: {links.stripe}" if links.stripe else "",
        f"Ladder: {links.run}" if links.run else "",
        f"Put it on hold: {links.hold}" if links.hold else "",
    )
    return tuple(line for line in lines if line)


def _attempt(attempt: Attempt, zone: ZoneInfo) -> str:
    when = "at a time that is not known" if attempt.at is None else moment(attempt.at, zone)
    amount = "" if attempt.amount is None else f", {attempt.amount}"
    reason = f": {plain_words(attempt.code)} ({shown_code(attempt.code)})" if attempt.code else ""
    return f"- {when}{amount}{reason}"


def _not_listed(debt: Debt) -> str:
    """Payments reach Salesforce with their events: the list may lag behind Stripe's count."""
    missing = (debt.attempt_count or 0) - len(debt.attempts)
    if missing <= 0 or not debt.charged:
        return ""
    lacks = (
        "is not listed: Salesforce does not have it"
        if missing == 1
        else "are not listed: Salesforce lacks them"
    )
    return f"{missing} of the attempts that Stripe counts {lacks} yet."


def _taken(taken: Taken, zone: ZoneInfo) -> str:
    passed = " (not for this invoice)" if taken.state is StepState.PASSED else ""
    contacted = ", the customer was contacted" if taken.contacted else ""
    note = f". {one_line(taken.note)}" if taken.note and taken.state is StepState.DONE else ""
    return f"- {moment(taken.at, zone)}: {taken.title}{contacted}{passed}{note}"


_HELPS = {
    DeclineClass.HARD: "Stripe does not charge this payment method again: only another one helps.",
    DeclineClass.CONFIRMATION: "The customer can confirm it on the payment page.",
}
_FINAL = {
    FinalAction.CANCEL: "cancels the subscription",
    FinalAction.MARK_UNPAID: "marks the subscription unpaid",
    FinalAction.LEAVE_PAST_DUE: "stops trying and leaves the subscription past due",
}
_DOES = {
    ActionKind.EMAIL: "e-mail to the customer",
    ActionKind.CASE: "Case",
    ActionKind.TASK: "Task",
    ActionKind.OUTREACH_TASK: "Task to call the customer",
    ActionKind.EXECUTIVE_ALERT: "executive sponsor is told",
    ActionKind.ACCOUNT_FLAG: "Account is flagged",
}
_ENDED = {
    EndReason.PAID: "it is paid.",
    EndReason.VOIDED: "it was voided in Stripe; nothing is owed.",
    EndReason.UNCOLLECTIBLE: "it was marked uncollectible in Stripe.",
    EndReason.SUBSCRIPTION_CANCELED: "its subscription was canceled.",
    EndReason.CUSTOMER_DELETED: "the customer was deleted in Stripe.",
    EndReason.WRITTEN_OFF: "it was written off by a person.",
    EndReason.INVOICE_GONE: "it does not exist in Stripe any more.",
    EndReason.NOT_FINAL: "it is a draft; nothing is owed yet.",
}
