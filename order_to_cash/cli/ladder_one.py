"""`o2c ladder show`: all that the ledger knows of one ladder. Nobody outside is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import typer

from order_to_cash.cli.ladder_shown import reasons_of, standing, subject_of
from order_to_cash.cli.wiring import make_clock, read_ledger
from order_to_cash.domain.clock import Clock
from order_to_cash.domain.dunning.decision import next_undone
from order_to_cash.domain.dunning.due import Shift, timing
from order_to_cash.domain.dunning.facts import Facts, InvoiceFacts, InvoiceStatus
from order_to_cash.domain.dunning.notes import note_in_words
from order_to_cash.domain.dunning.pages import timeline_key
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.reasons import why_then
from order_to_cash.domain.dunning.steps import Step, heard_of_us
from order_to_cash.domain.errors import RecordGone
from order_to_cash.domain.messages import one_line, record_url
from order_to_cash.domain.records import CollectionMethod, Environment
from order_to_cash.domain.redaction import redact
from order_to_cash.ledger.effect_search import Written, effects_under
from order_to_cash.ledger.ladder_records import Ladder, LadderFilter, LadderStatus, LadderStep
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import Settings
from tasks.dunning_holds import invoice_named

_MOMENT = "%Y-%m-%d %H:%M"
_NEAR = timedelta(minutes=1)
_MANY = 1000
_RECORD_ID = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?", re.ASCII)


def show(settings: Settings, typed: str) -> None:
    """Print it. Raises RecordGone (`ladder_unknown`)."""
    clock = make_clock(settings)
    with read_ledger(settings, clock) as ledger:
        subject = subject_of(invoice_named(ledger, typed), "INVOICE", invoice=True)
        ladder = _ladder(ledger, subject.id)
        policy = _policy(ledger, ladder)
        whole = ledger.ladders.find(LadderFilter(customer_ids=(ladder.customer_id,)), _MANY)
        written = effects_under(ledger.database, _keys(ladder))
        said = [
            *_about(ladder, policy),
            *_hold(ledger, ladder),
            *_next(ladder, policy, whole, clock),
        ]
    for name, value in [*said, *_trouble(ladder), *_links(settings, ladder)]:
        if value:
            typer.echo(f"{name:<9} {value}")
    _show_journal(ladder, policy)
    _show_written(settings, written)


def _ladder(ledger: Ledger, invoice_id: str) -> Ladder:
    ladder = ledger.ladders.get(invoice_id)
    if ladder is None:
        raise RecordGone(
            "This invoice has no ladder, and never had one.",
            code="ladder_unknown",
            ids={"invoice": invoice_id},
            remedy="`o2c ladder list` shows those that are open. One begins when a charge fails, or at a due date.",
        )
    return ladder


def _policy(ledger: Ledger, ladder: Ladder) -> DunningPolicy | None:
    body = ledger.ladders.policy(ladder.state.policy_version)
    return None if body is None else read_policy(body)


def _keys(ladder: Ladder) -> list[str]:
    """How the keys of its effects begin: its own, and those of contacts with the customer."""
    kinds = ("email", "outreach_task")
    return [f"ladder:{ladder.invoice_id}:", *(f"o2c:contact:{kind}:{ladder.customer_id}:" for kind in kinds)]


def _about(ladder: Ladder, policy: DunningPolicy | None) -> Iterator[tuple[str, str]]:
    subject, state = ladder.subject, ladder.state
    yield "invoice", f"{ladder.invoice_id} {subject.invoice_number}".strip()
    yield "customer", f"{redact(one_line(subject.account_name))} ({ladder.customer_id})".strip()
    owed = subject.amount_remaining
    when = "when it was last chased" if state.ended else "as last read"
    yield "owed", f"not known: it was never read ({when})" if owed is None else f"{owed} ({when})"
    charged = state.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY
    named = f"{policy.name}, " if policy else ""
    kind = "charged by Stripe" if charged else "sent to the customer"
    yield "ladder", f"of an invoice that is {kind}; policy {named}version {state.policy_version}"
    failed = f", first failure {state.first_failed_at:{_MOMENT}}" if state.first_failed_at else ""
    yield "began", f"{state.opened_at:{_MOMENT}} UTC{failed}"
    if ladder.ended_at:
        yield "ended", f"{ladder.ended_at:{_MOMENT}} UTC: {(state.ended or '').replace('_', ' ')}"
    else:
        yield "stands", standing(ladder)


def _hold(ledger: Ledger, ladder: Ladder) -> Iterator[tuple[str, str]]:
    if ladder.state.ended is not None:
        return
    for hold in ledger.ladders.holds():
        if hold.subject_id in {ladder.invoice_id, ladder.customer_id}:
            until = f"until {hold.until:{_MOMENT}} UTC" if hold.until else "until resumed"
            why = f": {hold.reason}" if hold.reason else ""
            what = "the whole customer" if hold.subject_id == ladder.customer_id else "this invoice"
            yield "hold", f"{what} {until}, said by {hold.placed_by} on {hold.placed_at:{_MOMENT}}{why}"


def _next(
    ladder: Ladder, policy: DunningPolicy | None, whole: Sequence[Ladder], clock: Clock
) -> Iterator[tuple[str, str]]:
    """Held and resting ladders have a time too: when they are looked at, though nothing is done."""
    if ladder.state.ended is not None or ladder.due_at is None:
        return
    step = next_undone(ladder.state, policy) if policy else None
    at = f"{ladder.due_at:{_MOMENT}} UTC"
    if ladder.due_at <= clock.now():
        at = f"as soon as it is taken up: due since {at}"
    if ladder.status is not LadderStatus.WAITING or ladder.hold is not None or step is None or policy is None:
        after = f", then {ladder.next_step}" if ladder.next_step else ""
        yield "next", f"it is read again {at}{after}"
        return
    counted = why_then(
        step, policy.ladder(ladder.state.collection_method), _shifts(step, ladder, policy, whole)
    )
    yield "next", f"{step.key} ({step.name}) {at}: {counted}"


def _shifts(step: Step, ladder: Ladder, policy: DunningPolicy, whole: Sequence[Ladder]) -> tuple[Shift, ...]:
    """By what was read last. None where that leads to another moment: the ladder went by more than the ledger knows."""
    contacts = [one.contacted_at for each in whole for one in each.steps if one.contacted_at is not None]
    invoice = InvoiceFacts(
        status=InvoiceStatus.OPEN,
        amount_remaining=ladder.subject.amount_remaining,
        next_payment_attempt=ladder.subject.next_payment_attempt,
        collection_method=ladder.state.collection_method,
    )
    facts = Facts(invoice=invoice, ladder=ladder.state, last_contact_at=max(contacts, default=None))
    begun = max([ladder.state.opened_at, *(one.decided_at or one.begun_at for one in ladder.steps)])
    known = timing(step, facts, policy, begun)
    near = ladder.due_at is not None and abs(known.at - ladder.due_at) <= _NEAR
    return known.shifts if near else ()


def _trouble(ladder: Ladder) -> Iterator[tuple[str, str]]:
    for reason in reasons_of(ladder):
        yield "why", reason


def _links(settings: Settings, ladder: Ladder) -> Iterator[tuple[str, str]]:
    if ladder.subject.account_id:
        yield "Account", record_url(settings.salesforce_login_url, ladder.subject.account_id)
    if settings.environment is not Environment.EMULATOR:
        mode = "" if settings.environment is Environment.LIVE else "test/"
        yield "Stripe", f"https://dashboard.stripe.com/{mode}invoices/{ladder.invoice_id}"
    ui = settings.prefect_api_url.rstrip("/").removesuffix(
        "/api"
    )  # where Prefect serves its UI, as o2c up starts it
    yield "timeline", f"{ui}/artifacts/key/{timeline_key(ladder.invoice_id)}"
    if ladder.alarm_run_id and ladder.alarm_generation == ladder.generation:
        yield "alarm", f"{ui}/runs/flow-run/{ladder.alarm_run_id}"


def _show_journal(ladder: Ladder, policy: DunningPolicy | None) -> None:
    steps = policy.ladder(ladder.state.collection_method).steps if policy else ()
    known = {step.key: step for step in steps}
    typer.echo("\nWhat was done (UTC):" if ladder.steps else "\nNothing was done yet.")
    for one in ladder.steps:
        typer.echo(f"  {_line(one, known.get(one.key))}")
    left = [step.key for step in steps if step.key not in ladder.state.journal]
    if left and ladder.state.ended is None:
        typer.echo(f"  to come: {', '.join(left)}")


def _line(one: LadderStep, step: Step | None) -> str:
    at: datetime = one.decided_at or one.begun_at
    contacted = ""
    if one.contacted_at is not None and heard_of_us(one.contacted_at, step):
        contacted = f"; the customer was contacted {one.contacted_at:{_MOMENT}}"
    note = f"; {note_in_words(one.note)}" if one.note else ""
    run = f"; run {one.run_id}" if one.run_id else ""
    named = f"{one.key} ({step.name})" if step is not None and step.name else one.key
    return f"{at:{_MOMENT}}  {one.state:<6}  {named}{contacted}{note}{run}"


def _show_written(settings: Settings, written: Sequence[Written]) -> None:
    """A contact is with the customer: it may be about other invoices of theirs too."""
    if not written:
        return
    typer.echo("\nWhat was written and sent (UTC):")
    for one in written:
        given = {name: value for name, value in one.outcome.items() if isinstance(value, str) and value}
        told = one.error or ", ".join(_shown(settings, name, value) for name, value in given.items())
        typer.echo(f"  {one.at:{_MOMENT}}  {one.said:<8}  {one.key}{f'  {told}' if told else ''}")


def _shown(settings: Settings, name: str, value: str) -> str:
    if name == "note":
        return note_in_words(value)
    is_record = _RECORD_ID.fullmatch(value) and not value.isdecimal()
    return record_url(settings.salesforce_login_url, value) if is_record else value
