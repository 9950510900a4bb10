"""Objects that two batches wrote at the same time: read from Stripe and written once more."""

from __future__ import annotations

from collections.abc import Sequence

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fetching import fetched_state
from order_to_cash.domain.sync.shapes import ObjectKey
from tasks.company import Company
from tasks.sync_batch import Batch
from tasks.sync_prices import write_prices
from tasks.sync_rollups import roll_up
from tasks.sync_rows import map_rows
from tasks.sync_writes import write_rows


async def write_anew(company: Company, batch: Batch, keys: Sequence[ObjectKey]) -> None:
    """Bring `keys` of the batch's states up to date, and Salesforce with them. Raises what cannot be read now."""
    again = Batch(
        claims=batch.claims,
        run_id=batch.run_id,
        now=company.clock.now(),
        links=batch.links,
        account_of=batch.account_of,
        account_of_key=batch.account_of_key,
    )
    for key, read in (await company.stripe.fetch_many(keys)).items():
        if isinstance(read, O2CError):
            raise read
        before = batch.states[key]
        body, at = (None, before.as_of) if read is None else (read.body, max(read.at, before.as_of))
        again.states[key] = fetched_state(key, body, at, before.event_ids)
    await map_rows(company, again, len(keys))
    if again.rows:
        await write_rows(company, again, len(again.rows))
    if again.prices:
        await write_prices(company, again, len(again.prices))
    if again.touched_accounts:
        await roll_up(company, again, len(again.touched_accounts))
    batch.states |= again.states
    batch.landed |= again.landed
    batch.calls += again.calls
    batch.written += again.written
    for key, error in again.failures.items():
        batch.fail(key, error)
