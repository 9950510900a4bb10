"""What Stripe sells and to whom it has sold: prices by id, and the mirror of its customers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from order_to_cash.domain.records import StripePrice
from tasks.company import Company
from tasks.effects import CLOCK_SKEW
from tasks.retrying import step

# Customers made elsewhere are picked up by `created`; renamed ones by reading all of them anew this often.
MIRROR_LIFETIME = timedelta(hours=12)
FULL_MIRROR = "stripe_customers_full"


@step("read prices")
async def read_catalogue(company: Company) -> dict[str, StripePrice]:
    """Every Stripe price by its id, inactive ones too, so that a deal can be told which it is."""
    return {price.price_id: price for price in await company.stripe.list_prices()}


@step("refresh customer mirror")
async def refresh_customers(company: Company) -> int:
    """Bring the ledger's mirror of Stripe's customers up to date; how many were read.

    New ones since the last time; all of them when the last complete reading is too old.
    """
    now = company.clock.now()
    mirror, watermarks = company.ledger.customers, company.ledger.watermarks
    complete = await asyncio.to_thread(watermarks.get, FULL_MIRROR)
    refreshed_at = await asyncio.to_thread(mirror.refreshed_at)
    is_current = complete is not None and now - complete.modstamp < MIRROR_LIFETIME
    since = refreshed_at - CLOCK_SKEW if is_current and refreshed_at is not None else None
    customers = await company.stripe.list_customers(created_gte=since)
    await asyncio.to_thread(mirror.upsert_many, customers)
    await asyncio.to_thread(mirror.refreshed, now)
    if since is None:
        await asyncio.to_thread(watermarks.set, FULL_MIRROR, now)
    return len(customers)
