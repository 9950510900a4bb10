"""What Stripe sells and to whom it has sold: prices by id, and the mirror of its customers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from order_to_cash.domain.records import StripePrice
from tasks.company import Company
from tasks.effects import CLOCK_SKEW
from tasks.retrying import step

# All customers are read anew this often; in between Stripe's lists tell of new ones and its events of changed ones.
MIRROR_LIFETIME = timedelta(hours=12)
# Nobody is created, or left to a person, by an older mirror: what people map in Stripe is honoured.
MIRROR_IS_CURRENT = timedelta(minutes=1)
FULL_MIRROR = "stripe_customers_full"


@step("read prices")
async def read_catalogue(company: Company) -> dict[str, StripePrice]:
    """Every Stripe price by its id, inactive ones too, so that a deal can be told which it is."""
    return {price.price_id: price for price in await company.stripe.list_prices()}


@step("refresh customer mirror")
async def refresh_customers(company: Company) -> int:
    """Bring the ledger's mirror of Stripe's customers up to date; how many were read.

    New and changed ones since the last time; all of them when the last complete reading is too old.
    """
    async with company.lock("customer mirror"):
        return await _refresh(company)


async def keep_mirror_current(company: Company) -> None:
    """Refresh the mirror if that was not done within the last minute, by whichever run."""
    async with company.lock("customer mirror"):
        refreshed_at = await asyncio.to_thread(company.ledger.customers.refreshed_at)
        if refreshed_at is None or company.clock.now() - refreshed_at >= MIRROR_IS_CURRENT:
            await _refresh(company)


async def _refresh(company: Company) -> int:
    now = company.clock.now()
    mirror, watermarks = company.ledger.customers, company.ledger.watermarks
    complete = await asyncio.to_thread(watermarks.get, FULL_MIRROR)
    refreshed_at = await asyncio.to_thread(mirror.refreshed_at)
    is_current = complete is not None and now - complete.modstamp < MIRROR_LIFETIME
    since = refreshed_at - CLOCK_SKEW if is_current and refreshed_at is not None else None
    changed = [] if since is None else await company.stripe.changed_customers(since)
    # Listed ones are as they are now, and events tell how they were: the listed count.
    customers = [*changed, *await company.stripe.list_customers(created_gte=since)]
    await asyncio.to_thread(mirror.upsert_many, customers)
    await asyncio.to_thread(mirror.refreshed, now)
    if since is None:
        await asyncio.to_thread(watermarks.set, FULL_MIRROR, now)
    return len(customers)
