"""`o2c drain`: one warm process that bills deals as they are won, shows what Stripe says, and takes ladders' steps."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import ssl
import threading
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import typer

from order_to_cash.cli.init import require_prefect, use_prefect
from order_to_cash.cli.wiring import require_emulators
from order_to_cash.domain.errors import O2CError, RunHeld
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.cli.look_out import LookOut
    from tasks.company import Company
    from tasks.sync_pace import Pace

LOG = logging.getLogger("o2c.drain")
AFTER_ERROR_SECONDS = 30.0
# Less than what supervisors give before they kill.
GRACE_SECONDS = 8.0
# Reading that nobody nudged takes 0.2 ms.
NUDGE_SECONDS = 0.5


def run(settings: Settings, *, once: bool) -> None:
    """Look out until SIGTERM or Ctrl-C; with `once`, look one time and stop.

    Raises ConfigurationError when blocks are missing or belong to another environment.
    """
    require_emulators(settings)
    require_prefect(settings)
    use_prefect(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    asyncio.run(_drain(settings, once=once))


async def _drain(settings: Settings, *, once: bool) -> None:
    from order_to_cash.cli.catch_up import catching_up
    from order_to_cash.cli.inbox_watch import InboxWatch
    from order_to_cash.cli.ladder_watch import LadderWatch
    from order_to_cash.cli.look_out import LookOut
    from order_to_cash.cli.prefect_patience import ask_again_soon
    from order_to_cash.cli.pulse import pulsing
    from order_to_cash.cli.upkeep import kept_up
    from tasks.company import kept_open
    from tasks.sync_pace import Pace

    stop = _stopped_by_signals()
    warming = asyncio.create_task(asyncio.to_thread(_warm))
    async with kept_open("o2c") as company, kept_up(company.ledger):
        look_out = LookOut(company)
        pace = Pace(company, settings.salesforce_daily_share)
        inbox = InboxWatch(company, pace, stop)
        ladders = LadderWatch(company, stop)
        await warming
        _one_tls_context()
        ask_again_soon()
        _keep_for_good()
        if once:
            await _look(look_out, settings)
            await inbox.run_once()
            await ladders.run_once()
            return
        typer.echo(f"Looking for won deals every {settings.poll_seconds} s, and for Stripe's events.")
        async with pulsing(company, settings):
            watches = (
                _look_out(look_out, company, settings, pace, stop),
                inbox.run(),
                ladders.run(),
                catching_up(company, stop),
            )
            await _together(*watches, stop=stop)


async def _together(*watches: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """All at once, until `stop`. One that fails, which none of them should, ends the others in good order first.

    What is under way then gets some seconds; the rest, such as a scan of all objects, goes on where it was next time.
    """
    tasks = {asyncio.create_task(watch) for watch in watches}
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _look_out(
    look_out: LookOut, company: Company, settings: Settings, pace: Pace, stop: asyncio.Event
) -> None:
    """Look for won deals every few seconds, and at once when Salesforce says that a record changed."""
    while not stop.is_set():
        pause_seconds = await _paced(pace, await _look(look_out, settings))
        until = asyncio.get_running_loop().time() + pause_seconds
        while not stop.is_set() and asyncio.get_running_loop().time() < until:
            await _pause(stop, min(NUDGE_SECONDS, pause_seconds))
            if await _nudged(company):
                break


async def _paced(pace: Pace, wanted: float) -> float:
    try:
        return await pace.look_out_seconds(wanted)
    except O2CError as error:
        LOG.error("%s", error)
        return wanted


async def _nudged(company: Company) -> bool:
    """Whether Salesforce called. What it named is not looked at: the look-out finds what changed."""
    try:
        return bool(await asyncio.to_thread(company.ledger.nudges.take))
    except O2CError as error:
        LOG.error("%s", error)
        return False


def _warm() -> None:
    """Import the flows and build the expectation suites: neither the first deal nor the first event waits for that."""
    import flows.apply_stripe_events
    import flows.bill_won_deals
    import flows.dunning_ladder
    from expectations.runner import warm

    assert flows.bill_won_deals
    assert flows.apply_stripe_events
    assert flows.dunning_ladder
    warm()
    warm("stripe_record")


def _one_tls_context() -> None:
    """Let Prefect's clients share one TLS context. It makes a client, and a context, several times a run: loading the
    certificates took 120 ms of processor time a batch (Prefect 3.8.8).
    """
    from prefect.client import orchestration
    from prefect.settings import PREFECT_API_TLS_INSECURE_SKIP_VERIFY

    if PREFECT_API_TLS_INSECURE_SKIP_VERIFY:
        return  # Prefect would take the checks out of the shared context
    shared = SimpleNamespace(
        SSLContext=ssl.SSLContext, create_default_context=cache(ssl.create_default_context)
    )
    setattr(orchestration, "ssl", shared)  # noqa: B010 - for mypy, which knows the module that stands there


def _keep_for_good() -> None:
    """Leave what is loaded by now out of every later garbage collection.

    Walking it took 250 to 290 ms each time (300 MiB of Prefect and Great Expectations): calls to Stripe stood still
    meanwhile and then left together, beyond its limit. What the batches under way hold is walked less often than by
    default: a burst of 20,000 events spent 18 % of its processor time on that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


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
    """Set by SIGTERM and Ctrl-C.

    While a flow runs, Prefect 3.8.8 replaces the handler of SIGTERM by one that raises in whatever the main thread is
    at, the event loop itself included. A thread takes the signal before any handler is asked.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    # Threads that are started from now on inherit it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()
    return stop


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
