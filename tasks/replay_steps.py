"""A replay as steps of a run: open events again, and show which."""

from __future__ import annotations

from collections.abc import Iterable

from prefect.artifacts import acreate_markdown_artifact

from order_to_cash.domain.tables import cell
from order_to_cash.ledger.inbox_search import EventFilter
from tasks.company import Company
from tasks.replay import Replayed, replay
from tasks.retrying import step

KEY = "replayed-events"
_SHOWN = 200
_HEAD = ("Event", "Type", "Object", "Created (UTC)", "Stood as", "Why")


@step("open events again")
async def open_again(company: Company, selection: EventFilter, cap: int, dry_run: bool) -> Replayed:
    """What matches waits for the drain again; what was named and never came is fetched from Stripe first."""
    return await replay(company.ledger.inbox, company.stripe, selection, cap, dry_run=dry_run)


async def show_replayed(replayed: Replayed) -> None:
    """Which events, as an artifact. Ids, types and reasons only: nothing personal."""
    await acreate_markdown_artifact(
        key=KEY,
        markdown=replayed_markdown(replayed),
        description="Stripe events that a replay opens again.",
    )


def replayed_markdown(replayed: Replayed) -> str:
    """The replay as Markdown."""
    parts = [f"# {replayed.in_words}"]
    parts.append(
        "A dry run: nothing was changed." if replayed.dry_run else "The drain applies them at its next turn."
    )
    opened = [
        (row.event_id, row.type, row.object_id, f"{row.created:%Y-%m-%d %H:%M:%S}", row.state, row.reason)
        for row in replayed.reopened.events
    ]
    opened += [
        (event.event_id, event.type, event.object_id, f"{event.created:%Y-%m-%d %H:%M:%S}", "not there", "")
        for event in replayed.fetched
    ]
    if opened:
        lines = [_HEAD, ("---",) * len(_HEAD), *(_line(*row) for row in opened[:_SHOWN])]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += [f"… and {len(opened) - _SHOWN} more."] if len(opened) > _SHOWN else []
    parts += _named("Neither the inbox nor Stripe, which keeps events for 30 days, knows", replayed.missing)
    parts += _named("Done so long ago that their content is forgotten:", replayed.reopened.without_body)
    return "\n\n".join(parts)


def _line(event_id: str, kind: str, object_id: str, *rest: str) -> list[str]:
    return [_code(event_id), cell(kind), _code(object_id), *map(cell, rest)]


def _code(text: str) -> str:
    """An id that can be copied as it is."""
    plain = text.replace("`", "").replace("|", "")
    return f"`{plain}`" if plain else ""


def _named(words: str, event_ids: Iterable[str]) -> list[str]:
    ids = [_code(event_id) for event_id in event_ids]
    more = f" … and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return [f"{words} {', '.join(ids[:_SHOWN])}{more}"] if ids else []
