"""`o2c ladder hold|snooze|resume`: a person's word is written down, with who said it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

import typer

from order_to_cash.cli.wiring import make_clock, open_ledger
from order_to_cash.domain.dunning.holding import HoldAction, HoldWords
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.settings import Settings
from tasks.dunning_holds import Ordered, carry_out

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The options as they were typed; empty: not given."""

    action: str
    invoice: str
    customer: str
    until: str
    lasts: str
    reason: str


def run(settings: Settings, said: Said) -> None:
    """Write it down and tell what it is about. A wrong argument is told with status 2, a wrong id with status 1."""
    if bool(said.invoice) == bool(said.customer):
        raise typer.BadParameter("Name an invoice, or a customer with --customer: one of them.")
    if said.until and said.lasts:
        raise typer.BadParameter("Both --until and --for say how long: give one of them.")
    words = HoldWords(
        action=HoldAction(said.action),
        subject=said.invoice or said.customer,
        until=said.until or said.lasts,
        reason=said.reason,
        by=_user(),
    )
    clock = make_clock(settings)
    with open_ledger(settings, clock) as ledger:
        try:
            ordered = carry_out(ledger, words, clock.now())
        except RecordRejected as error:
            if "field" not in error.ids:
                raise
            hint = _option(error.ids["field"], said)
            raise typer.BadParameter(f"{error.message} {error.remedy}", param_hint=hint) from None
    _tell(ordered)


def _tell(ordered: Ordered) -> None:
    typer.echo(f"{ordered.in_words[0].upper()}{ordered.in_words[1:]}.")
    for ladder in ordered.ladders[:_SHOWN]:
        subject = ladder.subject
        owed = "" if subject.amount_remaining is None else str(subject.amount_remaining)
        parts = (ladder.invoice_id, subject.invoice_number, subject.account_name or ladder.customer_id, owed)
        typer.echo(f"  {'  '.join(part for part in parts if part)}")
    if len(ordered.ladders) > _SHOWN:
        typer.echo(f"  … and {len(ordered.ladders) - _SHOWN} more.")
    for remark in ordered.remarks:
        typer.echo(remark)


def _option(field: str, said: Said) -> str:
    options = {
        "subject": "INVOICE" if said.invoice else "'--customer'",
        "until": "'--for'" if said.lasts else "'--until'",
        "reason": "'--reason'",
    }
    return options.get(field, field)


def _user() -> str:
    """Who types: the name by which the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "somebody at the terminal"
