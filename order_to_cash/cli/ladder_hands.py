"""`o2c ladder list|show|hold|snooze|resume`: the commands and their options. What they do stands in `ladder_shown`,
`ladder_one` and `ladder_said`.
"""

from __future__ import annotations

from typing import Annotated

import typer

hands = typer.Typer()

_SUBJECT = "cus_…, or an Account's id (001…): all of its ladders, also those that begin later."
Invoice = Annotated[
    str, typer.Argument(metavar="INVOICE", help="Its number, or Stripe's id: in_…", show_default=False)
]
Customer = Annotated[str, typer.Option("--customer", metavar="ID", help=f"Instead of an invoice: {_SUBJECT}")]
Until = Annotated[
    str,
    typer.Option(metavar="WHEN", help="2026-03-01 (when that day begins) or 2026-03-01T14:30 (UTC)."),
]
For = Annotated[str, typer.Option("--for", metavar="SPAN", help="How long from now on: 12h, 3d.")]
Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why; it stands beside the hold. No personal data.")
]


@hands.command("list")
def ladder_list(
    held: Annotated[bool, typer.Option("--held", help="Only those on hold.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose time has come.")] = False,
    failing: Annotated[bool, typer.Option("--failing", help="Only those whose last try failed.")] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, the newest first.")] = False,
    customer: Annotated[
        str, typer.Option("--customer", metavar="ID", help="Of cus_…, or of an Account (001…).")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
) -> None:
    """List open ladders: whose, what is owed, what comes next and when, and what stands in the way."""
    from order_to_cash.cli import ladder_shown as command
    from order_to_cash.settings import load_settings

    asked = command.Asked(held=held, overdue=overdue, failing=failing, ended=ended, customer=customer)
    command.show_list(load_settings(), asked, limit=limit)


@hands.command("show")
def ladder_show(
    invoice: Annotated[str, typer.Argument(metavar="INVOICE", help="Its number, or Stripe's id: in_…")],
) -> None:
    """Show one ladder: what was done, what comes next and why then, holds, links, and what was written where."""
    from order_to_cash.cli import ladder_one as command
    from order_to_cash.settings import load_settings

    command.show(load_settings(), invoice)


@hands.command("hold")
def ladder_hold(
    invoice: Invoice = "", customer: Customer = "", until: Until = "", lasts: For = "", reason: Reason = ""
) -> None:
    """Have nothing done on a ladder, until then or until it is resumed. A payment ends it all the same."""
    _say("hold", invoice, customer, until, lasts, reason)


@hands.command("snooze")
def ladder_snooze(
    invoice: Invoice = "", customer: Customer = "", until: Until = "", lasts: For = "", reason: Reason = ""
) -> None:
    """Have nothing done on a ladder until then."""
    _say("snooze", invoice, customer, until, lasts, reason)


@hands.command("resume")
def ladder_resume(invoice: Invoice = "", customer: Customer = "") -> None:
    """Let a ladder go on: what is due is taken up at once, one step after the other."""
    _say("resume", invoice, customer)


def _say(
    action: str, invoice: str, customer: str, until: str = "", lasts: str = "", reason: str = ""
) -> None:
    from order_to_cash.cli import ladder_said as command
    from order_to_cash.settings import load_settings

    said = command.Said(
        action=action, invoice=invoice, customer=customer, until=until, lasts=lasts, reason=reason
    )
    command.run(load_settings(), said)
