"""What the drain does besides: it seals the audit log every few minutes, and prunes it every day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.audit import AuditLog

LOG = logging.getLogger("o2c.upkeep")
SEAL_SECONDS = 300.0
PRUNE_SECONDS = 24 * 3600.0


@asynccontextmanager
async def kept_up(audit: AuditLog) -> AsyncIterator[None]:
    """Keep the audit log sealed and pruned as long as the block runs; seal it once more at its end."""
    task = asyncio.create_task(_keep_up(audit))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(_seal, audit)


async def _keep_up(audit: AuditLog) -> None:
    loop = asyncio.get_running_loop()
    prune_at = loop.time()
    while True:
        if loop.time() >= prune_at and await asyncio.to_thread(_prune, audit):
            prune_at = loop.time() + PRUNE_SECONDS
        await asyncio.to_thread(_seal, audit)
        await asyncio.sleep(SEAL_SECONDS)


def _seal(audit: AuditLog) -> None:
    """The chain's head goes to the log: kept outside the database, it shows a chain rewritten as a whole."""
    try:
        head = audit.seal()
    except O2CError as error:
        LOG.error("The audit log was not sealed: %s", error)
    else:
        LOG.info("Audit log sealed: %d:%s", head.count, head.hash)


def _prune(audit: AuditLog) -> bool:
    try:
        gone = audit.prune()
    except O2CError as error:
        LOG.error("The audit log was not pruned: %s", error)
        return False
    LOG.info("Audit log pruned: %d rows are older than what is kept.", gone)
    return True
