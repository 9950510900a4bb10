"""What if: the arguments of `o2c ladder simulate` as a scenario, and its calendar as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from order_to_cash.cli.ladder_policy_file import read_policy_file
from order_to_cash.cli.output import show_table
from order_to_cash.domain.dunning.calendar import known_zone
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.misalignment import misalignments, remarks
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reasons import why_then
from order_to_cash.domain.dunning.simulate import Calendar, Scenario, final_action_after, simulate
from order_to_cash.domain.dunning.spans import read_span, span_in_words
from order_to_cash.domain.dunning.steps import Action, ActionKind
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.moments import moment
from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.sync.declines import is_known
from order_to_cash.gateways.clock import SystemClock

_MOST_RETRIES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as they were typed; None or empty: not given."""

    policy: Path | None
    retries: str | None
    cancel_after: str | None
    amount: str | None
    currency: str
    segment: str
    decline: str
    one_off: bool
    sent: bool
    due: str
    starts: str
    time_zone: str
    paid_by_retry: int


def show_policy() -> None:
    """Print the default policy; `o2c ladder simulate --policy` reads it back."""
    typer.echo(json.dumps(DEFAULT_POLICY, indent=2))


def run(asked: Asked) -> None:
    """Print the calendar and what does not go together. A wrong argument is told with status 2."""
    policy = default_policy() if asked.policy is None else read_policy_file(asked.policy).policy
    scenario = _scenario(asked, policy, SystemClock().now().replace(second=0, microsecond=0))
    calendar = simulate(scenario, policy)
    zone = policy.contact_hours.zone()
    typer.echo(f"Policy {policy.name}, version {policy.version}. Times in {zone.key}; nothing is touched.\n")
    show_table(("when", "after", "who", "what", "why"), list(_rows(calendar, policy, zone)))
    _show_rest(calendar)
    typer.echo("")
    for sentence in remarks(calendar):
        typer.echo(f"{typer.style('note', bold=True)}     {sentence}")
    if not show_warnings(calendar, policy):
        typer.echo("The ladder and Stripe's own attempts go together.")


def show_warnings(calendar: Calendar, policy: DunningPolicy) -> bool:
    """Print what does not go together; whether there is anything."""
    found = misalignments(calendar, policy)
    for sentence in found:
        typer.echo(f"{typer.style('warning', fg='yellow', bold=True)}  {sentence}")
    return bool(found)


def _scenario(asked: Asked, policy: DunningPolicy, now: datetime) -> Scenario:
    if asked.sent and asked.retries not in {None, "none"}:
        raise _wrong("--retries", "Stripe does not charge a sent invoice: leave --retries out with --sent.")
    if asked.due and not asked.sent:
        raise _wrong(
            "--due", "A charged invoice has no due date: add --sent, or give --starts instead of --due."
        )
    if asked.due and asked.starts:
        raise _wrong(
            "--due",
            "The ladder of a sent invoice begins at its due date: give --due alone, without --starts.",
        )
    starts = _moment("--due" if asked.due else "--starts", asked.due or asked.starts, now)
    retries = () if asked.sent else _retries("1,3,5" if asked.retries is None else asked.retries)
    if asked.paid_by_retry > len(retries):
        raise _wrong("--paid-by-retry", f"There are {len(retries)} retries.")
    cancel_after = _cancel_after(asked, policy)
    if cancel_after is not None and asked.paid_by_retry and retries[asked.paid_by_retry - 1] > cancel_after:
        raise _wrong("--paid-by-retry", "Stripe cancels before that retry.")
    if asked.time_zone and known_zone(asked.time_zone) is None:
        raise _wrong(
            "--time-zone", f"{asked.time_zone[:40]!r} is no time zone: write one such as Asia/Tokyo."
        )
    if asked.decline and not is_known(asked.decline):
        raise _wrong(
            "--decline", f"{asked.decline[:40]!r} is no decline code of Stripe's, such as expired_card."
        )
    return Scenario(
        starts=starts,
        retries=retries,
        cancel_after=cancel_after,
        sent=asked.sent,
        amount=_amount(asked),
        segment=asked.segment.strip() or None,
        decline_code=asked.decline.strip() or None,
        one_off=asked.one_off,
        time_zone=asked.time_zone or None,
        paid_by_retry=asked.paid_by_retry,
    )


def _moment(option: str, written: str, now: datetime) -> datetime:
    try:
        at = moment(written, now) if written else now
    except RecordRejected as error:
        raise _wrong(option, f"{error.message} {error.remedy}") from None
    if not 1971 <= at.year <= 9000:
        raise _wrong(option, "Choose a year between 1971 and 9000.")
    return at


def _retries(written: str) -> tuple[timedelta, ...]:
    if written.strip().lower() == "none":
        return ()
    spans = tuple(_span("--retries", part, "1,3,5 (days) or 36h,3d") for part in written.split(","))
    if len(spans) > _MOST_RETRIES:
        raise _wrong("--retries", f"At most {_MOST_RETRIES} retries.")
    if any(not one < later for one, later in zip((timedelta(0), *spans), spans, strict=False)):
        raise _wrong(
            "--retries", "Each retry must come later than the one before it, and after the first failure."
        )
    return spans


def _cancel_after(asked: Asked, policy: DunningPolicy) -> timedelta | None:
    written = asked.cancel_after
    if asked.one_off and written not in {None, "never"}:
        raise _wrong(
            "--cancel-after", "An invoice of no subscription is never canceled: leave it out with --one-off."
        )
    if written is None:
        return None if asked.one_off else final_action_after(policy, sent=asked.sent)
    if written.strip().lower() == "never":
        return None
    span = _span("--cancel-after", written, "14d, 36h or never")
    if not span:
        raise _wrong(
            "--cancel-after", "Stripe cannot cancel at the first failure: write such as 14d, or never."
        )
    return span


def _span(option: str, written: str, example: str) -> timedelta:
    """A length of time; a bare number counts days."""
    text = written.strip()
    try:
        return read_span(f"{text}d" if text.isdecimal() and text.isascii() else text)
    except ValueError:
        raise _wrong(option, f"{text[:20]!r} is no length of time up to 366 days: write {example}.") from None


def _amount(asked: Asked) -> Money | None:
    if not known_currency(asked.currency):
        raise _wrong(
            "--currency", f"Stripe does not bill in the currency {asked.currency[:8]!r}: write such as USD."
        )
    if asked.amount is None:
        return None
    try:
        money = Money.from_major(Decimal(asked.amount.strip()), asked.currency)
    except InvalidOperation:
        raise _wrong("--amount", f"{asked.amount[:20]!r} is no amount: write such as 1200.00.") from None
    except RecordRejected as error:
        raise _wrong("--amount", error.message) from None
    if money.amount_minor <= 0:
        raise _wrong("--amount", "Nothing is owed: write an amount above zero.")
    return money


def _wrong(option: str, sentence: str) -> typer.BadParameter:
    return typer.BadParameter(sentence, param_hint=option)


Row = tuple[datetime, tuple[str, str, str]]


def _rows(calendar: Calendar, policy: DunningPolicy, zone: ZoneInfo) -> Iterator[tuple[str, ...]]:
    """By time; what Stripe does comes before the step that it calls for, and an end after all else."""
    start = calendar.scenario.starts
    rows = [*_stripes(calendar), *_steps(calendar, policy)]
    for at, told in sorted(rows, key=lambda row: row[0]):
        yield (f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}", _after(at - start), *told)


def _after(span: timedelta) -> str:
    return f"+{span_in_words(span)}" if span else "start"


def _stripes(calendar: Calendar) -> Iterator[Row]:
    scenario = calendar.scenario
    if scenario.sent:
        yield scenario.starts, ("Stripe", "the invoice is due", "not paid")
    else:
        yield scenario.starts, ("Stripe", "charges the invoice", "the first attempt fails")
    for number, at in enumerate(scenario.attempts, 1):
        outcome = "succeeds" if at == scenario.paid_at else "fails"
        yield at, ("Stripe", f"tries again: retry {number} {outcome}", "Stripe's own schedule")
    if calendar.ended_by is EndReason.SUBSCRIPTION_CANCELED and calendar.ended_at is not None:
        given = "Stripe's final action: the ladder ends"
        yield calendar.ended_at, ("Stripe", "cancels the subscription", given)
    elif calendar.ended_by is EndReason.PAID and calendar.ended_at is not None:
        yield calendar.ended_at, ("o2c", "ends the ladder, clears the flags", "the invoice is paid")


def _steps(calendar: Calendar, policy: DunningPolicy) -> Iterator[Row]:
    for one in calendar.taken:
        ladder = policy.ladder(calendar.scenario.method)
        why = f"{one.step.key}: {why_then(one.step, ladder, one.shifts)}"
        if one.passed:
            yield one.at, ("nobody", "the step is passed over", f"{one.step.key}: {one.passed}")
            continue
        for action in one.step.actions:
            yield one.at, (_who(action), _what(action), why)


def _who(action: Action) -> str:
    match action.kind:
        case ActionKind.EMAIL:
            return "billing contact"
        case ActionKind.SLACK:
            return action.channel or "Slack"
        case ActionKind.PAYMENT_HEALTH | ActionKind.ACCOUNT_STATUS | ActionKind.ACCOUNT_FLAG:
            return "Account"
        case ActionKind.EXECUTIVE_ALERT:
            return str(action.owner) if action.owner else "executive sponsor"
    return str(action.owner).replace("csm", "CSM") if action.owner else "CSM"


def _what(action: Action) -> str:
    urgent = f" ({action.priority} priority)" if action.priority else ""
    return {
        ActionKind.PAYMENT_HEALTH: "Payment Health = Failed",
        ActionKind.ACCOUNT_STATUS: "status Payment Overdue",
        ActionKind.ACCOUNT_FLAG: "flagged as about to be lost",
        ActionKind.TASK: f"Task{urgent}",
        ActionKind.OUTREACH_TASK: f"Task to call the customer{urgent}",
        ActionKind.CASE: f"Case{urgent}",
        ActionKind.SLACK: "Slack message",
        ActionKind.EMAIL: "e-mail",
        ActionKind.EXECUTIVE_ALERT: "alert by Slack and e-mail",
    }[action.kind]


def _show_rest(calendar: Calendar) -> None:
    if not calendar.taken and not calendar.never:
        typer.echo("\nThe policy has no step for such an invoice.")
    left = [one.step.key for one in calendar.never if not one.passed]
    if left and calendar.ended_by is EndReason.PAID:
        typer.echo(f"\nPaid before they were due: {', '.join(left)}.")
