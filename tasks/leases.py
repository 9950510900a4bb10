"""Working on what several deals share: one coroutine of this process, one run of all processes at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.leases import Lease
from tasks.beside import beside, renewing
from tasks.company import Company


@asynccontextmanager
async def leased(company: Company, key: str, run_id: str) -> AsyncIterator[Lease]:
    """The ledger's lease on `key`, renewed as long as the block runs. Raises ClaimedElsewhere.

    Coroutines of this process wait for each other.
    """
    leases = company.ledger.leases
    async with company.lock(key):
        lease = await asyncio.to_thread(leases.take, key, run_id)
        try:
            async with beside(renewing(partial(leases.renew, lease))):
                yield lease
        finally:
            with suppress(O2CError):
                await asyncio.to_thread(leases.give_back, lease)
