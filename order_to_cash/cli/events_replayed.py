"""`o2c events replay`: events are opened again without Prefect; the drain applies them."""

from __future__ import annotations

import asyncio

import typer

from order_to_cash.cli.events_shown import checked
from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, read_ledger, stripe_gateway
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import Settings
from tasks.replay import Replayed, Wanted, replay

_SHOWN = 50
_ACTOR = "o2c events replay"


def run(settings: Settings, wanted: Wanted, *, limit: int, dry_run: bool) -> int:
    """Open again what is asked for and print it; 1 when something that was named is nowhere."""
    clock = make_clock(settings)
    selection = checked(lambda: wanted.to_replay(clock.now()))
    with read_ledger(settings, clock) as ledger:
        replayed = asyncio.run(_replay(settings, ledger, selection, limit, dry_run=dry_run))
    _show(replayed)
    return int(bool(replayed.missing or (selection.event_ids and replayed.reopened.without_body)))


async def _replay(
    settings: Settings, ledger: Ledger, selection: EventFilter, limit: int, *, dry_run: bool
) -> Replayed:
    if not selection.event_ids:
        return await replay(ledger.inbox, None, selection, limit, dry_run=dry_run)
    stripe = stripe_gateway(settings, ledger.audit, _ACTOR)
    try:
        return await replay(ledger.inbox, stripe, selection, limit, dry_run=dry_run)
    finally:
        await stripe.aclose()


def _show(replayed: Replayed) -> None:
    rows = [
        (row.event_id, row.type, row.object_id, row.state, row.reason) for row in replayed.reopened.events
    ]
    rows += [
        (event.event_id, event.type, event.object_id, "not there", "fetched from Stripe")
        for event in replayed.fetched
    ]
    if rows:
        show_table(("event", "type", "object", "stood as", "why"), rows[:_SHOWN])
    if len(rows) > _SHOWN:
        typer.echo(f"… and {len(rows) - _SHOWN} more.")
    for event_id in replayed.missing:
        typer.secho(
            f"{event_id}: neither here nor at Stripe, which keeps events for 30 days.", fg="red", err=True
        )
    for event_id in replayed.reopened.without_body[:_SHOWN]:
        typer.echo(f"{event_id}: done so long ago that its content is forgotten.", err=True)
    typer.echo(f"\n{replayed.in_words[0].upper()}{replayed.in_words[1:]}.")
    if replayed.dry_run:
        typer.echo("A dry run: nothing was changed.")
    elif replayed.count:
        typer.echo("The drain applies them at its next turn.")
    if replayed.left:
        typer.echo("Give the same command again for the rest, or a larger --limit.")
