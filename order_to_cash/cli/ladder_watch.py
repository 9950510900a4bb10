"""The drain's watch over ladders: what is opened, woken or overdue is taken at once, in this process."""

from __future__ import annotations

import asyncio
import logging

from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.ladder_records import ClaimedLadder
from tasks.company import Company

LOG = logging.getLogger("o2c.ladders")
# Reading that nothing is due takes 0.5 ms.
POLL_SECONDS = 1.0
AFTER_ERROR_SECONDS = 30.0
CROWD_SECONDS = 60.0


class LadderWatch:
    """One batch at a time. Several drains share the work: a customer's ladders are claimed by one of them."""

    def __init__(self, company: Company, stop: asyncio.Event) -> None:
        self._company = company
        self._stop = stop
        self.ladders = 0

    async def run(self) -> None:
        """Until `stop`; the batch that is under way is finished."""
        relieving = asyncio.create_task(self._relieve_crowds())
        try:
            while not self._stop.is_set():
                await self._pause(await self._look())
        finally:
            relieving.cancel()
            await asyncio.gather(relieving, return_exceptions=True)

    async def run_once(self) -> None:
        """Take what is due now."""
        await self._take()

    async def _look(self) -> float:
        """One look; the seconds until the next. No outage ends the drain."""
        try:
            return POLL_SECONDS if await self._take() else AFTER_ERROR_SECONDS
        except O2CError as error:
            LOG.error("%s", error)
        except Exception as error:
            # A fault of this watch ends neither billing nor what webhooks bring.
            LOG.error("The watch over ladders failed with %s.", type(error).__name__, exc_info=error)
        return AFTER_ERROR_SECONDS

    async def _take(self) -> bool:
        """Whether all went well."""
        from tasks.dunning_claims import Handed, claim_due, is_any_due

        if not await is_any_due(self._company):
            return True
        claims = await claim_due(self._company)
        return not claims or await self._climb(Handed(claims, self._more))

    async def _more(self) -> list[ClaimedLadder]:
        from tasks.dunning_claims import claim_due

        return [] if self._stop.is_set() else await claim_due(self._company)

    async def _climb(self, handed: object) -> bool:
        """Run the flow in this process; without it where Prefect does not answer: nobody who has paid is chased, and
        nobody who has not is spared, because of that.
        """
        from flows.dunning_ladder import dunning_ladder, summary_of
        from tasks.dunning_claims import Handed, handing_ladders, release
        from tasks.dunning_runs import take_all

        assert isinstance(handed, Handed)
        try:
            with handing_ladders(handed):
                state = await dunning_ladder(company=self._company.name, return_state=True)
            summary = await summary_of(state)
        except asyncio.CancelledError:
            await release(self._company, handed.claims)
            raise
        except Exception as error:  # noqa: BLE001 - such as Prefect's API being down
            LOG.warning("No run could be opened (%s): ladders are taken without one.", type(error).__name__)
            summary = await take_all(self._company, handed, "")
        if summary is None:
            LOG.error("A run over %d ladders broke off: %s", len(handed.claims), state.message)
            await release(self._company, handed.claims)
            return False
        self.ladders += summary.ladders
        if summary.ladders:
            LOG.info("%s", summary.in_words)
        return True

    async def _relieve_crowds(self) -> None:
        """Take crowds that fall due soon from their alarms: they are done here, together. No outage ends it."""
        from tasks.dunning_alarms import relieve_crowd

        while True:
            try:
                relieved = await relieve_crowd(self._company)
                if relieved:
                    LOG.info("%d ladders fall due together: they are taken here when they do.", relieved)
            except O2CError as error:
                LOG.error("%s", error)
            except Exception as error:
                # Such a crowd costs a process each, and nothing else.
                LOG.error("The look for crowds failed with %s.", type(error).__name__, exc_info=error)
            await asyncio.sleep(CROWD_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return
