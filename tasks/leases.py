"""Working on what several deals share: one coroutine of this process, one run of all processes at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from order_to_cash.domain.errors import ClaimLost, O2CError
from order_to_cash.ledger.leases import Lease
from tasks.company import Company

RENEW_EVERY_SECONDS = 30


@asynccontextmanager
async def leased(company: Company, key: str, run_id: str) -> AsyncIterator[Lease]:
    """The ledger's lease on `key`, renewed as long as the block runs. Raises ClaimedElsewhere.

    Coroutines of this process wait for each other.
    """
    leases = company.ledger.leases
    async with company.lock(key):
        lease = await asyncio.to_thread(leases.take, key, run_id)
        keeping = asyncio.create_task(_keep(company, lease))
        try:
            yield lease
        finally:
            keeping.cancel()
            with suppress(O2CError):
                await asyncio.to_thread(leases.give_back, lease)


async def _keep(company: Company, lease: Lease) -> None:
    """Renew it until cancelled or lost. A database that does not answer is asked again next time."""
    while True:
        await asyncio.sleep(RENEW_EVERY_SECONDS)
        try:
            await asyncio.to_thread(company.ledger.leases.renew, lease)
        except ClaimLost:
            return
        except O2CError:
            continue
