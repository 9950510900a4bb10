"""`o2c ladder list`: ladders as a table. Nobody outside is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, read_ledger
from order_to_cash.domain.dunning.holding import HoldSubject, SubjectKind, read_subject
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.messages import one_line
from order_to_cash.domain.redaction import redact
from order_to_cash.ledger.ladder_records import Ladder, LadderFilter, LadderStatus
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import Settings
from tasks.dunning_holds import OPEN

_MOMENT = "%Y-%m-%d %H:%M"
_LONGEST_NAME = 28
_HEAD = ("due (UTC)", "invoice", "number", "customer", "owed", "next step", "how it stands")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as they were typed."""

    held: bool
    overdue: bool
    failing: bool
    ended: bool
    customer: str


def show_list(settings: Settings, asked: Asked, *, limit: int) -> None:
    """Print open ladders, the sooner due the earlier, or ended ones; then how many there are in all."""
    if asked.ended and (asked.held or asked.overdue or asked.failing):
        raise typer.BadParameter("What has ended is not held, overdue or failing: give --ended alone.")
    if sum((asked.held, asked.overdue, asked.failing)) > 1:
        raise typer.BadParameter("Give one of --held, --overdue and --failing.")
    whose = subject_of(asked.customer, "'--customer'", invoice=False) if asked.customer else None
    clock = make_clock(settings)
    with read_ledger(settings, clock) as ledger:
        found = _found(ledger, asked, whose, clock.now(), limit + 1)
        counts = ledger.ladders.counts()
    if found:
        show_table(_HEAD, [_line(ladder) for ladder in found[:limit]])
        _show_reasons(found[:limit])
    else:
        narrowed = asked.held or asked.overdue or asked.failing or asked.ended or whose
        typer.echo("No ladder matches." if narrowed else "No ladder is open.")
    if len(found) > limit:
        typer.echo(f"… and more: --limit shows more than {limit}.")
    said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    typer.echo(f"\nOpen in all: {said or 'none'}.")


def subject_of(typed: str, hint: str, *, invoice: bool) -> HoldSubject:
    """What an id stands for. One of another kind is a wrong argument: status 2."""
    try:
        subject = read_subject(typed)
    except RecordRejected as error:
        raise typer.BadParameter(f"{error.message} {error.remedy}", param_hint=hint) from None
    if (subject.kind is SubjectKind.INVOICE) != invoice:
        wanted = "an invoice's: in_…" if invoice else "a customer's (cus_…) or an Account's (001…)"
        raise typer.BadParameter(f"{typed[:40]!r} is not {wanted}.", param_hint=hint)
    return subject


def _found(
    ledger: Ledger, asked: Asked, whose: HoldSubject | None, now: datetime, limit: int
) -> list[Ladder]:
    statuses = (LadderStatus.ENDED,) if asked.ended else OPEN

    def find(**more: object) -> list[Ladder]:
        given = {"statuses": statuses, "failing": asked.failing, **_of(whose), **more}
        return ledger.ladders.find(LadderFilter(**given), limit)  # type: ignore[arg-type]  # names and types of its fields

    if asked.overdue:
        return find(due_before=now)
    return _held(ledger, whose, find) if asked.held else find()


def _held(ledger: Ledger, whose: HoldSubject | None, find: Callable[..., list[Ladder]]) -> list[Ladder]:
    """Held when last read, be it by a field of the Account, or by a word since then."""
    subjects = {hold.subject_id for hold in ledger.ladders.holds()}
    invoices = {one for one in subjects if one.startswith("in_")}
    customers = subjects - invoices
    if whose is not None and whose.kind is SubjectKind.CUSTOMER:
        customers &= {whose.id}
    found = find(statuses=(LadderStatus.HELD,))
    found += find(invoice_ids=tuple(sorted(invoices))) if invoices else []
    found += find(customer_ids=tuple(sorted(customers))) if customers else []
    return sorted({one.invoice_id: one for one in found}.values(), key=_when)


def _when(ladder: Ladder) -> tuple[bool, datetime | None, str]:
    return ladder.due_at is None, ladder.due_at or ladder.state.opened_at, ladder.invoice_id


def _of(whose: HoldSubject | None) -> dict[str, tuple[str, ...]]:
    if whose is None:
        return {}
    return {"account_ids" if whose.kind is SubjectKind.ACCOUNT else "customer_ids": (whose.id,)}


def _line(ladder: Ladder) -> tuple[str, ...]:
    subject, at = ladder.subject, ladder.ended_at or ladder.due_at
    name = str(redact(one_line(subject.account_name))) or ladder.customer_id
    return (
        "" if at is None else f"{at:{_MOMENT}}",
        ladder.invoice_id,
        subject.invoice_number,
        name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…",
        "" if subject.amount_remaining is None else str(subject.amount_remaining),
        ladder.next_step,
        standing(ladder),
    )


def standing(ladder: Ladder) -> str:
    """How a ladder stands, in a few words: ended, held, resting or waiting, and how often it failed."""
    if ladder.state.ended is not None:
        return f"ended: {ladder.state.ended.replace('_', ' ')}"
    failed = f", failed {ladder.failures}×" if ladder.failures else ""
    return f"{_held_or_not(ladder)}{failed}"


def _held_or_not(ladder: Ladder) -> str:
    hold = ladder.hold
    if hold is not None:
        return f"held until {hold.until:{_MOMENT}}" if hold.until else "held until resumed"
    if ladder.status is LadderStatus.RESTING:
        return "all steps taken"
    return "held" if ladder.status is LadderStatus.HELD else "waiting"


def _show_reasons(ladders: Sequence[Ladder]) -> None:
    """Why they are held, and what failed, below the table: sentences make no columns."""
    reasons = [(ladder.invoice_id, reason) for ladder in ladders for reason in reasons_of(ladder)]
    if reasons:
        typer.echo("\nWhy:")
    for invoice_id, reason in reasons:
        typer.echo(f"  {invoice_id}  {reason}")


def reasons_of(ladder: Ladder) -> Iterator[str]:
    """Why an open ladder is held, and what failed at its last try."""
    if ladder.state.ended is not None:
        return
    if ladder.hold is not None and ladder.hold.reason:
        yield f"held: {ladder.hold.reason}"
    if ladder.hold is None and ladder.status is LadderStatus.HELD:
        yield "held by its Account's Dunning Hold in Salesforce, or because ladders are switched off"
    if ladder.failures:
        yield f"failed {ladder.failures}×: {ladder.reason} [{ladder.code}]"
