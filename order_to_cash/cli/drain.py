"""`o2c drain`: one warm process that bills deals within seconds of their being won."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.init import require_prefect, use_prefect
from order_to_cash.domain.errors import O2CError, RunHeld
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.cli.look_out import LookOut

LOG = logging.getLogger("o2c.drain")
AFTER_ERROR_SECONDS = 30.0


def run(settings: Settings, *, once: bool) -> None:
    """Look out until SIGTERM or Ctrl-C; with `once`, look one time and stop.

    Raises ConfigurationError when blocks are missing or belong to another environment.
    """
    require_prefect(settings)
    use_prefect(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    asyncio.run(_drain(settings, once=once))


async def _drain(settings: Settings, *, once: bool) -> None:
    from order_to_cash.cli.look_out import LookOut
    from order_to_cash.cli.upkeep import kept_up
    from tasks.company import kept_open

    stop = _stopped_by_signals()
    warming = asyncio.create_task(asyncio.to_thread(_warm))
    async with kept_open("o2c") as company, kept_up(company.ledger.audit):
        look_out = LookOut(company)
        await warming
        typer.echo(f"Looking for won deals every {settings.poll_seconds} s.")
        while not stop.is_set():
            pause_seconds = await _look(look_out, settings)
            if once:
                return
            await _pause(stop, pause_seconds)


def _warm() -> None:
    """Import the flow and build the expectation suites: the first deal does not wait for that."""
    import flows.bill_won_deals
    from expectations.runner import warm

    assert flows.bill_won_deals
    warm()


async def _look(look_out: LookOut, settings: Settings) -> float:
    """One look; the seconds until the next. No outage ends the drain."""
    try:
        due = await look_out.due()
        if due:
            await look_out.handled(due, await _bill(due))
    except O2CError as error:
        LOG.error("%s", error)
    except Exception as error:
        # Such as Prefect's API being down: nothing is lost, the deals are found again.
        LOG.error("The look-out failed with %s and goes on.", type(error).__name__, exc_info=error)
    else:
        return float(settings.poll_seconds)
    return max(AFTER_ERROR_SECONDS, float(settings.poll_seconds))


async def _bill(opportunity_ids: list[str]) -> Iterable[str]:
    """Run the flow in this process; the ids that are not finished."""
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of
    from tasks.outcomes import DealStatus

    state = await bill_won_deals(opportunity_ids, mode=Mode.APPLY, return_state=True)
    summary = await summary_of(state)
    LOG.info("%d deals: %s", len(opportunity_ids), summary.in_words if summary else state.message)
    if summary is None:
        held = isinstance(await state.aresult(raise_on_failure=False), RunHeld)
        return () if held else opportunity_ids
    open_ends = summary.having(DealStatus.UNFINISHED, DealStatus.FAILED, DealStatus.WAITING)
    unconcluded = [one for one in summary.having(DealStatus.BILLED) if not one.concluded]
    return [outcome.opportunity_id for outcome in (*open_ends, *unconcluded)]


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
