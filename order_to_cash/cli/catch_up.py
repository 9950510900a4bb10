"""The drain's hourly look for events that no webhook brought."""

from __future__ import annotations

import asyncio
import logging

from order_to_cash.domain.errors import O2CError
from tasks.company import Company
from tasks.missed_events import EVERY, Gap, Missed, missed_events

LOG = logging.getLogger("o2c.catch_up")
AFTER_ERROR_SECONDS = 60.0


async def catching_up(company: Company, stop: asyncio.Event) -> None:
    """Look at once and then every hour, until `stop`. No outage ends it: what was not read is read next time.

    A look that is under way at `stop` is broken off, which it is made for: the first may take minutes.
    """
    watch = asyncio.create_task(_watch(company))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if watch.done():
            watch.result()
    finally:
        for task in (watch, stopped):
            task.cancel()
        await asyncio.gather(watch, stopped, return_exceptions=True)


async def _watch(company: Company) -> None:
    pause_seconds = 0.0
    while True:
        await asyncio.sleep(pause_seconds)
        pause_seconds = await _look(company)


async def _look(company: Company) -> float:
    """One look; the seconds until the next."""
    try:
        found = await missed_events(company)
    except O2CError as error:
        LOG.error("%s", error)
        return AFTER_ERROR_SECONDS
    except Exception as error:
        # A fault of this watch ends neither billing nor what webhooks bring.
        LOG.error("The look for missed events failed with %s.", type(error).__name__, exc_info=error)
        return AFTER_ERROR_SECONDS
    if found is not None:
        _tell(found)
    return EVERY.total_seconds()


def _tell(found: Missed) -> None:
    if found.scanned:
        LOG.info("Read %d objects of Stripe, to bring Salesforce up to date.", found.scanned)
    if found.gap is not None:
        LOG.warning("%s", in_words(found.gap))
    if found.unreadable:
        LOG.error("%d of the events that Stripe lists are none that o2c understands.", found.unreadable)


def in_words(gap: Gap) -> str:
    """What webhooks did not bring, and what to look at."""
    kinds = ", ".join(f"{count} {name}" for name, count in gap.types.items())
    return (
        f"Not all events came as webhooks: without {kinds}, {gap.since:%Y-%m-%d %H:%M} to "
        f"{gap.until:%Y-%m-%d %H:%M} UTC. They are taken up now. Look at `o2c webhooks show`."
    )
