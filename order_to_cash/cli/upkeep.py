"""What the drain does besides: it seals the audit log every few minutes, and prunes it and the inbox every day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.audit import AuditLog
from order_to_cash.ledger.ledger import Ledger
from tasks.beside import beside

LOG = logging.getLogger("o2c.upkeep")
SEAL_SECONDS = 300.0
PRUNE_SECONDS = 24 * 3600.0


@asynccontextmanager
async def kept_up(ledger: Ledger) -> AsyncIterator[None]:
    """Keep the audit log sealed, and it and the inbox pruned, as long as the block runs; seal once more at its end."""
    try:
        async with beside(_keep_up(ledger)):
            yield
    finally:
        await asyncio.to_thread(_seal, ledger.audit)


async def _keep_up(ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    prune_at = loop.time()
    while True:
        if loop.time() >= prune_at and await asyncio.to_thread(_prune, ledger):
            prune_at = loop.time() + PRUNE_SECONDS
        await asyncio.to_thread(_seal, ledger.audit)
        await asyncio.sleep(SEAL_SECONDS)


def _seal(audit: AuditLog) -> None:
    """The chain's head goes to the log: kept outside the database, it shows a chain rewritten as a whole."""
    try:
        head = audit.seal()
    except O2CError as error:
        LOG.error("The audit log was not sealed: %s", error)
    else:
        LOG.info("Audit log sealed: %d:%s", head.count, head.hash)


def _prune(ledger: Ledger) -> bool:
    try:
        gone = ledger.audit.prune()
        bodies = ledger.inbox.prune()
    except O2CError as error:
        LOG.error("The audit log and the inbox were not pruned: %s", error)
        return False
    LOG.info("Pruned what is older than is kept: %d audit rows, the content of %d events.", gone, bodies)
    return True
