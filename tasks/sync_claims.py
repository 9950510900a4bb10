"""Which events a run works on: those that the drain of this process hands over, or those it claims itself."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from order_to_cash.ledger.inbox_claims import ClaimedEvent
from order_to_cash.ledger.inbox_claims import Lane as InboxLane
from tasks.company import Company
from tasks.sync_outcomes import LEASE_SECONDS

# A batch reads and maps, which keeps one core busy, and then waits for Salesforce: smaller ones begin to write sooner,
# and each costs Prefect and Great Expectations 0.25 s of processor time in this process and 0.2 s in the server.
MOST_EVENTS = 2000

# Not a parameter of the flow: Prefect stores those and shows them to everybody, and events hold personal data.
_handed: ContextVar[Sequence[ClaimedEvent] | None] = ContextVar("o2c_claimed_events", default=None)
_mapped: ContextVar[asyncio.Event | None] = ContextVar("o2c_mapped_events", default=None)


@contextmanager
def handing_over(claims: Sequence[ClaimedEvent], mapped: asyncio.Event | None = None) -> Iterator[None]:
    """The run that is started inside works on these, and sets `mapped` once it has read and mapped them."""
    token, other = _handed.set(claims), _mapped.set(mapped)
    try:
        yield
    finally:
        _handed.reset(token)
        _mapped.reset(other)


def say_mapped() -> None:
    """From here on the run mostly waits for Salesforce: the processor is free for the next one."""
    if mapped := _mapped.get():
        mapped.set()


def handed_over() -> Sequence[ClaimedEvent] | None:
    """What was handed to this run; None when it is to claim by itself."""
    return _handed.get()


async def claim(
    company: Company, most: int = MOST_EVENTS, lanes: Collection[InboxLane] = tuple(InboxLane)
) -> list[ClaimedEvent]:
    """Up to `most` events that are due, held for two minutes and renewed by `kept_claimed`.

    In a backlog, up to twice as many again of the same customers: what happened to one invoice is then one write.
    """
    return await asyncio.to_thread(company.ledger.inbox.claim, owner(), most, LEASE_SECONDS, lanes, 2 * most)


def owner() -> str:
    """This process, as people know it."""
    return f"{socket.gethostname()}:{os.getpid()}"
