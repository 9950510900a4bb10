"""`o2c init`: make what the settings describe. Every part may be repeated and then says "unchanged"."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import typer

from order_to_cash.cli.wiring import open_ledger
from order_to_cash.domain.errors import Unavailable
from order_to_cash.settings import Settings


def run(settings: Settings) -> None:
    """Migrate the ledger, save the blocks. Raises Unavailable when the Prefect server does not answer."""
    with open_ledger(settings):
        typer.echo("ledger          ready")
    require_prefect(settings)
    asyncio.run(save_blocks_now(settings, typer.echo))
    typer.echo("\nNext: o2c doctor")


async def save_blocks_now(settings: Settings, say: Callable[[str], None]) -> None:
    """Register block types and save the blocks named o2c; one line each, never a value."""
    use_prefect(settings)
    from blocks.registry import save

    for report in await save(settings):
        changed = f" ({', '.join(report.fields)})" if report.fields else ""
        say(f"{report.slug:<15} {report.state}{changed}")


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
