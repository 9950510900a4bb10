"""Which ladders a run works on: those that the drain of this process hands over, an alarm's, or what is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderFilter
from tasks.beside import beside, renewing
from tasks.company import Company
from tasks.sync_claims import owner

CUSTOMERS_AT_ONCE = 200
"""Read, decided and acted on together. More would be held, and older when acted on, for longer."""

ALARM_PATIENCE = timedelta(seconds=60)
"""How long a ladder that has an alarm is left to it: a worker takes 9 to 17 s to start the run."""

Claimer = Callable[[], Awaitable[list[ClaimedLadder]]]


@dataclass(frozen=True, slots=True)
class Handed:
    """Claims for a run, and where it gets more when it is through with them."""

    claims: Sequence[ClaimedLadder]
    more: Claimer


# Not a parameter of the flow: Prefect stores those and shows them to everybody.
_handed: ContextVar[Handed | None] = ContextVar("o2c_claimed_ladders", default=None)


@contextmanager
def handing_ladders(handed: Handed) -> Iterator[None]:
    """The run that is started inside works on these."""
    token = _handed.set(handed)
    try:
        yield
    finally:
        _handed.reset(token)


def handed_ladders() -> Handed | None:
    """What was handed to this run; None when it is to claim by itself."""
    return _handed.get()


async def claim_due(company: Company, customers: int = CUSTOMERS_AT_ONCE) -> list[ClaimedLadder]:
    """What is due and no alarm will wake in time: ladders without one, and those whose alarm is late.

    Alarms ring by the machine's clock: with the emulators' clock, which is moved, nobody waits for them.
    """
    ladders, now = company.ledger.ladders, company.clock.now()
    if company.environment is Environment.EMULATOR:
        return await asyncio.to_thread(ladders.claim, owner(), customers=customers)
    claims = await asyncio.to_thread(ladders.claim, owner(), customers=customers, unarmed_only=True)
    left = customers - len({claim.ladder.customer_id for claim in claims})
    if left > 0:
        late = now - ALARM_PATIENCE
        claims += await asyncio.to_thread(ladders.claim, owner(), customers=left, before=late)
    return claims


async def is_any_due(company: Company) -> bool:
    """Whether `claim_due` would find something. Cheap."""
    ladders, now = company.ledger.ladders, company.clock.now()
    if company.environment is Environment.EMULATOR:
        return bool((await asyncio.to_thread(ladders.due)).count)
    if (await asyncio.to_thread(ladders.due, unarmed_only=True)).count:
        return True
    return bool((await asyncio.to_thread(ladders.due, now - ALARM_PATIENCE)).count)


async def claim_named(company: Company, invoice_id: str) -> list[ClaimedLadder]:
    """The ladder, with the others of its customer; none when somebody else holds them or it has ended."""
    claim = company.ledger.ladders.claim
    return await asyncio.to_thread(claim, owner(), customers=1, invoice_ids=[invoice_id])


async def nothing_to_do(company: Company, invoice_id: str, generation: int) -> str:
    """Why an alarm of that generation wakes nobody, in words; "" when it does. Generation 0: a person asks."""
    ladder = await asyncio.to_thread(company.ledger.ladders.get, invoice_id)
    if ladder is None:
        return "there is no ladder for this invoice"
    if ladder.ended_at is not None:
        return f"the ladder ended ({str(ladder.state.ended or '').replace('_', ' ')})"
    if generation and ladder.generation != generation:
        following = f"{ladder.due_at:%Y-%m-%d %H:%M} UTC" if ladder.due_at is not None else "not set"
        return f"the ladder has moved on; its next step is {following}"
    return ""


async def refreshed(company: Company, claims: Sequence[ClaimedLadder]) -> list[ClaimedLadder]:
    """The same claims with the ladders as the ledger has them by now."""
    wanted = LadderFilter(invoice_ids=tuple(claim.ladder.invoice_id for claim in claims))
    found = await asyncio.to_thread(company.ledger.ladders.find, wanted, len(claims))
    ladders = {ladder.invoice_id: ladder for ladder in found}
    return [replace(claim, ladder=ladders.get(claim.ladder.invoice_id, claim.ladder)) for claim in claims]


@asynccontextmanager
async def kept_ladders(company: Company, claims: Sequence[ClaimedLadder]) -> AsyncIterator[None]:
    """The claims, renewed as long as the block runs. What the block leaves unsettled is given back at its end."""
    try:
        async with beside(renewing(partial(company.ledger.ladders.renew, claims))):
            yield
    finally:
        await release(company, claims)


async def release(company: Company, claims: Sequence[ClaimedLadder]) -> None:
    """Give back what is not settled. A ledger that does not answer lets the lease end by itself."""
    try:
        await asyncio.shield(asyncio.to_thread(company.ledger.ladders.release, claims))
    except O2CError:
        return
