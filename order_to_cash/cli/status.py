"""How the work does, on one page: `o2c status` in a terminal, an artifact in the Prefect UI."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, read_ledger
from order_to_cash.domain.alerts import AlertKind, Standing, Vitals
from order_to_cash.domain.status import LATE, LadderCounts, StatusRow, status_markdown, status_rows
from order_to_cash.ledger.ladder_records import LadderFilter, LadderStatus
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.vitals import ledger_vitals
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

KEY = "o2c-status"
USAGE = "salesforce-api-usage"  # a watermark
_MOST_FAILING = 100  # are counted: beyond that it does not matter how many
_WINDOW = timedelta(hours=24)  # over which Salesforce counts


def page_url(ui_url: str) -> str:
    """Where the artifact stands in the Prefect UI."""
    return f"{ui_url.rstrip('/')}/artifacts/key/{KEY}"


def show(settings: Settings) -> None:
    """Print what the ledger knows. Nobody outside is asked."""
    clock = make_clock(settings)
    with read_ledger(settings, clock) as ledger:
        rows = read(ledger, ledger_vitals(ledger.database, clock.now()))
    show_table(("", "how it stands", "what to do"), rows)


def read(ledger: Ledger, vitals: Vitals) -> list[StatusRow]:
    """The page's rows. Raises Unavailable."""
    return status_rows(
        _with_usage(ledger, vitals),
        held=len(ledger.quarantine.open()),
        unfinished=len(ledger.obligations.unfinished()),
        standings=standings(ledger),
        ladders=ladder_counts(ledger, vitals.at),
    )


def ladder_counts(ledger: Ledger, now: datetime) -> LadderCounts:
    """How the open ladders stand. Raises Unavailable."""
    counts, late = ledger.ladders.counts(), ledger.ladders.due(now - LATE)
    failing = ledger.ladders.find(LadderFilter(failing=True), _MOST_FAILING)
    return LadderCounts(
        waiting=counts[LadderStatus.WAITING],
        held=counts[LadderStatus.HELD],
        resting=counts[LadderStatus.RESTING],
        late=late.count,
        late_since=late.oldest,
        failing=len(failing),
        first_reason=failing[0].reason if failing else "",
    )


def remember_usage(ledger: Ledger, vitals: Vitals) -> None:
    """Keep the org's API calls, which only a process that calls is told. Raises Unavailable."""
    if vitals.calls_used is not None and vitals.calls_limit:
        ledger.watermarks.set(USAGE, vitals.at, f"{vitals.calls_used}/{vitals.calls_limit}")


def _with_usage(ledger: Ledger, vitals: Vitals) -> Vitals:
    """As the drain was told last, unless `vitals` know better. What is older than the 24 hours says nothing."""
    mark = ledger.watermarks.get(USAGE) if vitals.calls_used is None else None
    if mark is None or vitals.at - mark.modstamp >= _WINDOW:
        return vitals
    used, limit = mark.record_id.split("/")
    return replace(vitals, calls_used=int(used), calls_limit=int(limit))


def standings(ledger: Ledger) -> dict[AlertKind, Standing]:
    """What is remembered of each alert."""
    found = {}
    for kind in AlertKind:
        mark = ledger.watermarks.get(mark_of(kind))
        if mark is not None:
            found[kind] = Standing.from_text(mark.record_id)
    return found


def mark_of(kind: AlertKind) -> str:
    """The watermark under which the ledger remembers an alert."""
    return f"alert:{kind}"


class StatusPage:
    """The artifact `o2c-status`: made once by each drain, then brought up to date."""

    def __init__(self) -> None:
        self._id: UUID | None = None

    async def renew(self, ledger: Ledger, vitals: Vitals) -> None:
        """Raises Unavailable, and what Prefect's client raises."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        rows = await asyncio.to_thread(read, ledger, vitals)
        markdown = status_markdown(rows, vitals.at)
        async with get_client() as client:
            if self._id is not None:
                await client.update_artifact(self._id, ArtifactUpdate(data=markdown))
                return
            made = await client.create_artifact(
                ArtifactCreate(
                    key=KEY,
                    type="markdown",
                    description="How order to cash does: deals, events, webhooks, calls, alerts.",
                    data=markdown,
                )
            )
            self._id = made.id
