"""The drain's other watch: events that wait in the inbox are taken up in batches and applied in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.linger import SHORTEST_SECONDS, Lane
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventOutcome
from order_to_cash.ledger.inbox_claims import Lane as InboxLane
from tasks.company import Company
from tasks.sync_claims import MOST_EVENTS, claim, handing_over
from tasks.sync_pace import Pace

LOG = logging.getLogger("o2c.inbox")
# Reading "nothing waits" from an idle inbox takes 0.3 ms.
POLL_SECONDS = 0.1
# One batch's calls wait for Salesforce while the next one is read and mapped.
BATCHES_AT_ONCE = 12
# In a backlog batches are read and mapped one after another: five at once, sharing one core, all began to write late.
MAPPING_SECONDS = 1.0
AFTER_ERROR_SECONDS = 30.0


class InboxWatch:
    """Claims what waits and calls the flow, several batches at once, as fast as the day's share allows."""

    def __init__(self, company: Company, pace: Pace, stop: asyncio.Event) -> None:
        self._company = company
        self._pace = pace
        self._stop = stop
        self._running: set[asyncio.Task[bool]] = set()
        self._began_at = float("-inf")
        self._full = False
        self._mapped = asyncio.Event()  # by the newest batch
        self.events = 0

    async def run(self) -> None:
        """Until `stop`; batches that are under way are finished."""
        try:
            while not self._stop.is_set():
                await self._pause(await self._look())
        finally:
            await self.finish()

    async def run_once(self) -> None:
        """Apply what waits now."""
        while claims := await self._claims():
            self._start(claims)
            if not await self.finish():
                return

    async def finish(self) -> bool:
        """Wait for the batches under way; whether all of them ended well. Cancelled, it breaks them off."""
        try:
            return all([await task for task in tuple(self._running)])
        except asyncio.CancelledError:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            raise

    async def _look(self) -> float:
        """Start a batch if one is due; the seconds until the next look. No outage ends the drain."""
        ended = {task for task in self._running if task.done()}
        self._running -= ended
        if not all(task.result() for task in ended):
            return AFTER_ERROR_SECONDS
        if len(self._running) >= BATCHES_AT_ONCE:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED, timeout=POLL_SECONDS)
            return 0.0
        if self._full and self._mapping():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._mapped.wait(), POLL_SECONDS)
            return 0.0
        try:
            return await self._take_up()
        except O2CError as error:
            LOG.error("%s", error)
            return AFTER_ERROR_SECONDS

    def _mapping(self) -> bool:
        """Whether the newest batch keeps the processor busy; one that waits for Stripe meanwhile holds up nobody."""
        busy = time.monotonic() - self._began_at < MAPPING_SECONDS
        return bool(self._running) and busy and not self._mapped.is_set()

    async def _take_up(self) -> float:
        if await asyncio.to_thread(self._company.ledger.inbox.oldest_waiting) is None:
            return POLL_SECONDS
        rest = await self._rest()
        if rest > 0:
            return min(rest, SHORTEST_SECONDS)
        claims = await self._claims()
        if not claims:  # what waits belongs to customers that a batch under way works on
            return POLL_SECONDS
        self._start(claims)
        return 0.0

    async def _rest(self) -> float:
        """Seconds until the next batch may begin. A backlog need not gather: its batches are full."""
        linger = await self._pace.linger_seconds(len(self._running))
        if self._full and linger <= SHORTEST_SECONDS:
            return 0.0
        return self._began_at + linger - time.monotonic()

    async def _claims(self) -> list[ClaimedEvent]:
        lanes = {
            InboxLane.LIVE if lane is Lane.LIVE else InboxLane.CATCH_UP for lane in await self._pace.lanes()
        }
        claims = await claim(self._company, MOST_EVENTS, sorted(lanes))
        self._full = len(claims) >= MOST_EVENTS
        return claims

    def _start(self, claims: Sequence[ClaimedEvent]) -> None:
        self._began_at = time.monotonic()
        self._mapped = asyncio.Event()
        self._running.add(asyncio.create_task(self._apply(claims, self._mapped)))

    async def _apply(self, claims: Sequence[ClaimedEvent], mapped: asyncio.Event) -> bool:
        """Run the flow in this process; whether it got to its end. What it did not finish is given back."""
        from flows.apply_stripe_events import apply_stripe_events, summary_of

        try:
            with handing_over(claims, mapped):
                state = await apply_stripe_events(company=self._company.name, return_state=True)
            summary = await summary_of(state)
        except asyncio.CancelledError:
            # What is done is done over without harm, and nobody need wait for the lease to end.
            await self._give_back(claims)
            raise
        except Exception as error:
            # Such as Prefect's API being down: nothing is lost, the events are taken up again.
            LOG.error("A batch failed with %s.", type(error).__name__, exc_info=error)
            await self._give_back(claims)
            return False
        if summary is None:
            LOG.error("What became of a batch of %d events is not known: %s", len(claims), state.message)
            await self._give_back(claims)
            return state.is_completed()
        self._pace.learnt(summary.calls)
        self.events += summary.done
        LOG.info("%s", summary.in_words)
        return not state.is_failed()

    async def _give_back(self, claims: Sequence[ClaimedEvent]) -> None:
        """What was finished before is left alone: a claim ends once."""
        try:
            outcomes = [EventOutcome.released(claim) for claim in claims]
            await asyncio.to_thread(self._company.ledger.inbox.finish, outcomes)
        except O2CError as error:
            LOG.error("Events could not be given back; their lease ends by itself. %s", error)

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return
