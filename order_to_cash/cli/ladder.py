"""`o2c ladder`: the commands and their options. What they do stands in the modules beside, each named for its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from order_to_cash.cli.ladder_hands import hands
from order_to_cash.cli.ladder_policy import policy

ladder = typer.Typer(no_args_is_help=True, help="The dunning ladder: who chases an unpaid invoice, and when.")
ladder.add_typer(hands)  # without a name: its commands are ours
ladder.add_typer(policy, name="policy")

_WHEN = "2026-03-01, 2026-03-01T14:30 (UTC)"


@ladder.command("preview")
def ladder_preview(
    template: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="payment_failed, invoice_overdue, executive, or one of your own.",
            show_default="as fits the invoice",
        ),
    ] = "",
    invoice: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Of an invoice in Stripe: in_…, or its number.", show_default="an example"
        ),
    ] = "",
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the HTML there, to open it in a browser.")
    ] = None,
) -> None:
    """Show a mail of the ladder as it would read: the text, and the HTML in a file. Sends nothing."""
    from order_to_cash.cli import ladder_preview as command
    from order_to_cash.settings import load_settings

    command.run(load_settings(), template, invoice, html)


@ladder.command("simulate")
def ladder_simulate(  # noqa: PLR0913, PLR0917 - the options of a command
    policy_file: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            exists=True,
            dir_okay=False,
            readable=True,
            help="A policy as JSON or YAML; none: the default one.",
        ),
    ] = None,
    retries: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS",
            help="When Stripe tries again, from the first failure on: 1,3,5 or 36h,3d; none: never.",
            show_default="1,3,5; none with --sent",
        ),
    ] = None,
    cancel_after: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="When Stripe cancels: 14d; never.", show_default="as the policy says"
        ),
    ] = None,
    amount: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="What is owed, such as 1200.00.")
    ] = None,
    currency: Annotated[str, typer.Option(metavar="CODE", help="Of the amount.")] = "USD",
    segment: Annotated[str, typer.Option(help="Of the Account.")] = "",
    decline: Annotated[str, typer.Option(metavar="CODE", help="Such as insufficient_funds.")] = "",
    one_off: Annotated[bool, typer.Option("--one-off", help="An invoice of no subscription.")] = False,
    sent: Annotated[
        bool, typer.Option("--sent", help="Sent, not charged: it begins at the due date.")
    ] = False,
    due: Annotated[str, typer.Option(metavar="WHEN", help=f"Due date of a sent invoice: {_WHEN}.")] = "",
    starts: Annotated[
        str,
        typer.Option(metavar="WHEN", help=f"First failed attempt: {_WHEN}.", show_default="now"),
    ] = "",
    time_zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The customer's, such as Asia/Tokyo; none: the policy's.")
    ] = "",
    paid_by_retry: Annotated[
        int, typer.Option(metavar="N", min=0, help="Which of the retries collects; 0: none.")
    ] = 0,
) -> None:
    """Show the calendar of a ladder beside Stripe's own retries, and what does not go together. Touches nothing."""
    from order_to_cash.cli import ladder_simulated as command

    asked = command.Asked(
        policy=policy_file,
        retries=retries,
        cancel_after=cancel_after,
        amount=amount,
        currency=currency,
        segment=segment,
        decline=decline,
        one_off=one_off,
        sent=sent,
        due=due,
        starts=starts,
        time_zone=time_zone,
        paid_by_retry=paid_by_retry,
    )
    command.run(asked)
