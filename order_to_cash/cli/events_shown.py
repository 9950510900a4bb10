"""Stripe events for people: a table of many, and all that is known of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import typer

from order_to_cash.cli.events_written import show_written
from order_to_cash.cli.output import show_remedies, show_table
from order_to_cash.cli.wiring import make_clock, read_ledger
from order_to_cash.domain.errors import RecordGone, RecordRejected
from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_search import EventFilter, history_of
from order_to_cash.ledger.inbox_tables import InboxRow
from order_to_cash.settings import Settings
from tasks.replay import Wanted

_MOMENT = "%Y-%m-%d %H:%M:%S"
_ARGUMENTS = {"event_ids": "EVENT_ID", "types": "'--type'", "since": "'--since'", "until": "'--until'"}


def checked(select: Callable[[], EventFilter]) -> EventFilter:
    """What was asked for. What cannot be meant is a wrong argument: status 2."""
    try:
        return select()
    except RecordRejected as error:
        argument = _ARGUMENTS.get(error.ids.get("field", ""))
        raise typer.BadParameter(f"{error.message} {error.remedy}", param_hint=argument) from None


def show_list(settings: Settings, wanted: Wanted, *, limit: int) -> None:
    """Print the newest `limit` events that match, the newest last, as a log reads; then what is to be done."""
    clock = make_clock(settings)
    if wanted.parked_only and any(state is not EventState.PARKED for state in wanted.states):
        raise typer.BadParameter("--parked and another --state exclude each other.")
    with read_ledger(settings, clock) as ledger:
        selection = checked(lambda: wanted.selection(clock.now()))
        rows = ledger.inbox.find(selection, limit + 1)
        counts = ledger.inbox.counts()
    more, rows = len(rows) > limit, rows[:limit][::-1]
    if rows:
        show_table(("created (UTC)", "event", "type", "object", "state", "why"), [_line(row) for row in rows])
    else:
        typer.echo("No event matches." if selection != EventFilter() else "No event came yet.")
    if more:
        typer.echo(f"… and older ones: --limit shows more than {limit}.")
    _show_remedies(rows)
    waiting = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    typer.echo(f"\nIn all: {waiting or 'nothing waits'}.")


def show_one(settings: Settings, event_id: str, *, with_body: bool) -> None:
    """Print one event. Raises RecordGone when it never came."""
    clock = make_clock(settings)
    with read_ledger(settings, clock) as ledger:
        checked(lambda: Wanted((event_id,)).selection(clock.now()))
        row = ledger.inbox.get(event_id)
        body = ledger.inbox.body(row.seq) if row and with_body else None
        if row is None:
            raise RecordGone(
                "This event never came in.",
                code="event_unknown",
                ids={"event": event_id},
                remedy=f"`o2c events replay {event_id}` fetches it from Stripe, which keeps events for 30 days.",
            )
        for name, value in _facts(row):
            if value:
                typer.echo(f"{name:<12} {value}")
        typer.echo("\nWhat became of it (UTC):")
        for turn in history_of(row):
            typer.echo(f"  {turn.at:{_MOMENT}}  {turn.state}  {turn.why}".rstrip())
        show_written(ledger.audit, row, settings.salesforce_login_url, clock.now())
    if with_body:
        _show_body(body)


def _line(row: InboxRow) -> tuple[str, ...]:
    why = row.reason
    if row.state == EventState.RETRY and row.due_at is not None:
        why = f"{row.reason} Again at {row.due_at:{_MOMENT}}."
    return (f"{row.created:{_MOMENT}}", row.event_id, row.type, row.object_id, row.state, why)


def _show_remedies(rows: Sequence[InboxRow]) -> None:
    show_remedies((row.remedy, row.event_id) for row in rows)
    if any(row.state == EventState.PARKED and row.remedy for row in rows):
        typer.echo("  Then apply them once more: o2c events replay --parked")


def _facts(row: InboxRow) -> list[tuple[str, str]]:
    due = f", due {row.due_at:{_MOMENT}}" if row.due_at else ""
    held = f", by {row.claimed_by}" if row.state == EventState.CLAIMED else ""
    return [
        ("event", row.event_id),
        ("type", f"{row.type}{' (thin)' if row.thin else ''}"),
        ("object", f"{row.object_type} {row.object_id}".strip()),
        ("belongs to", row.partition),
        ("created", f"{row.created:{_MOMENT}}"),
        ("received", f"{row.received_at:{_MOMENT}} ({row.source})"),
        ("account", f"{row.account_id or 'own'}, {'live' if row.livemode else 'test'} mode"),
        ("API version", row.api_version),
        ("state", f"{row.state}{due}{held}"),
        ("tries", f"{row.attempts}{f', replayed {row.replays} times' if row.replays else ''}"),
        ("why", f"{row.reason} [{row.code}]" if row.reason or row.code else ""),
        ("to do", row.remedy),
    ]


def _show_body(body: bytes | None) -> None:
    if body is None:
        typer.echo("\nIts content is forgotten: bodies are kept for 90 days after an event is done.")
        return
    typer.secho("\nPersonal data follows: do not paste it into tickets or chats.", fg="yellow", err=True)
    try:
        # ASCII only: nothing in it reaches the terminal as a control sequence.
        typer.echo(json.dumps(json.loads(body), indent=2))
    except ValueError:
        typer.echo(ascii(body))
