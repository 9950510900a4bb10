"""`o2c events`: the commands and their options. What they do stands in `events_shown` and `events_replayed`."""

from __future__ import annotations

from typing import Annotated

import typer

from order_to_cash.domain.events import EventState

events = typer.Typer(no_args_is_help=True, help="Stripe events: what came, what became of it, and replays.")

_SINCE = "Events created from then on: 2026-03-01, 2026-03-01T14:30 (UTC), or how long ago: 30m, 12h, 7d."
_TYPE = "Such as invoice.paid, or 'invoice.*' for all of a kind; may be given several times."
Types = Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help=_TYPE)]
Since = Annotated[str, typer.Option(metavar="WHEN", help=_SINCE)]
Until = Annotated[str, typer.Option(metavar="WHEN", help="Events created before then, written alike.")]
Object = Annotated[
    str, typer.Option("--object", metavar="ID", help="About this Stripe object, such as in_….")
]
Parked = Annotated[bool, typer.Option("--parked", help="Only events that are parked.")]


@events.command("list")
def events_list(
    state: Annotated[
        list[EventState] | None,
        typer.Option("--state", help="Only these states; may be given several times."),
    ] = None,
    types: Types = None,
    since: Since = "",
    until: Until = "",
    object_id: Object = "",
    parked: Parked = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 50,
) -> None:
    """List Stripe events: when, which, about what, what became of them, and what to do."""
    from order_to_cash.cli import events_shown as command
    from order_to_cash.settings import load_settings
    from tasks.replay import Wanted

    wanted = Wanted((), types or (), since, until, object_id, parked, state or ())
    command.show_list(load_settings(), wanted, limit=limit)


@events.command("show")
def events_show(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Stripe's id: evt_…")],
    body: Annotated[bool, typer.Option("--body", help="Print also what Stripe sent: personal data.")] = False,
) -> None:
    """Show one event: its envelope, what became of it and when, and what to do."""
    from order_to_cash.cli import events_shown as command
    from order_to_cash.settings import load_settings

    command.show_one(load_settings(), event_id, with_body=body)


@events.command("replay")
def events_replay(  # noqa: PLR0913, PLR0917 - the options of a command
    event_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVENT_ID", help="Which; one that never came is fetched from Stripe."),
    ] = None,
    types: Types = None,
    since: Since = "",
    until: Until = "",
    object_id: Object = "",
    parked: Parked = False,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many at most, the oldest first.")
    ] = 1000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be opened again.")] = False,
) -> None:
    """Apply events once more: named ones, or all that match. What Salesforce shows already does not change."""
    from order_to_cash.cli import events_replayed as command
    from order_to_cash.settings import load_settings
    from tasks.replay import Wanted

    wanted = Wanted(event_ids or (), types or (), since, until, object_id, parked)
    raise typer.Exit(command.run(load_settings(), wanted, limit=limit, dry_run=dry_run))
