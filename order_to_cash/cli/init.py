"""`o2c init`: make what the settings describe. Every part may be repeated and then says "unchanged"."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.wiring import open_ledger
from order_to_cash.domain.errors import Unavailable
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from blocks.registry import BlockReport

_NAMED = 7  # as many as there are blocks


def run(settings: Settings) -> None:
    """Migrate the ledger, save the blocks, apply the automations.

    Raises Unavailable when the Prefect server does not answer.
    """
    with open_ledger(settings):
        typer.echo("Ledger          ready")
    require_prefect(settings)
    asyncio.run(make_parts(settings, typer.echo))
    typer.echo("\nNext: o2c doctor")


async def make_parts(settings: Settings, say: Callable[[str], None]) -> None:
    """Register block types, save the blocks named o2c, have Prefect alert people: a line each, never a value."""
    use_prefect(settings)
    from blocks.registry import save
    from order_to_cash.cli.automations import apply

    say(f"Blocks          {_in_words(await save(settings))}")
    alerts = await apply(settings)
    off = "off: no Slack channel is set, and Alert Thresholds name no notification block"
    say(f"Alerts          {_in_words(alerts) if alerts else off}")


def _in_words(reports: Sequence[BlockReport]) -> str:
    """Such as "billing-policy updated (days_until_due); 4 unchanged": a few that changed by name, others counted."""
    names: dict[str, list[str]] = {}
    for one in reports:
        fields = f" ({', '.join(one.fields)})" if one.fields else ""
        names.setdefault(f"{one.state}{fields}", []).append(one.slug)
    rest = len(names.pop("unchanged", []))
    parts = [
        f"{', '.join(slugs) if len(slugs) <= _NAMED else len(slugs)} {state}"
        for state, slugs in names.items()
    ]
    return "; ".join([*parts, f"{rest} unchanged"] if rest else parts)


def use_prefect(settings: Settings) -> None:
    """Point Prefect at the configured server. Call it before the first import of prefect, which reads it."""
    os.environ["PREFECT_API_URL"] = settings.prefect_api_url
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def require_prefect(settings: Settings) -> None:
    """Raises Unavailable unless the Prefect API answers."""
    import httpx

    try:
        ok = httpx.get(f"{settings.prefect_api_url.rstrip('/')}/health", timeout=5.0).is_success
    except httpx.HTTPError:
        ok = False
    if not ok:
        raise Unavailable(
            f"The Prefect API at {settings.prefect_api_url} does not answer.",
            code="prefect_unavailable",
            remedy="Start it (`o2c up`, or `prefect server start`), or correct O2C_PREFECT_API_URL.",
        )
