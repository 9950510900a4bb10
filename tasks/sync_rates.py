"""The exchange rates of the invoices of a batch: asked for once in five minutes, for they change by the day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from prefect.logging import get_run_logger

from order_to_cash.domain.errors import Refused
from order_to_cash.domain.sync.rates import (
    CURRENT_RATES,
    Finalized,
    current_rates,
    dated_rate_query,
    dated_rates,
    finalized_in,
)
from order_to_cash.domain.sync.shapes import ExchangeRate, State
from tasks.company import Company
from tasks.sync_batch import Batch
from tasks.sync_calls import ask

REMEMBERED = timedelta(minutes=5)
# An org without advanced currency management refuses the question for dated rates: it is not asked it all day.
ASKED_AGAIN = timedelta(days=1)


@dataclass
class _Shelf:
    """What was asked for since `since`, and what came of it. `undated_since`: when the org knew no dated rates."""

    since: datetime
    asked: frozenset[Finalized] = frozenset()
    rates: tuple[ExchangeRate, ...] = ()
    undated_since: datetime | None = None


_shelves: WeakKeyDictionary[Company, _Shelf] = WeakKeyDictionary()


async def exchange_rates(company: Company, batch: Batch, states: Sequence[State]) -> tuple[ExchangeRate, ...]:
    """Those that held when the invoices of `states` were finalized; none for an org with one currency.

    An org that does not show its rates costs no invoice: they are written without.
    """
    wanted = finalized_in(states) if company.rules.multi_currency else frozenset()
    if not wanted:
        return ()
    now, shelf = company.clock.now(), _shelves.get(company)
    if shelf is None or now - shelf.since >= REMEMBERED:
        shelf = _shelves[company] = _Shelf(now, undated_since=shelf.undated_since if shelf else None)
    if new := wanted - shelf.asked:
        found = await _asked(company, batch, new, shelf)
        shelf.asked, shelf.rates = shelf.asked | new, tuple(dict.fromkeys((*shelf.rates, *found)))
    return shelf.rates


async def _asked(
    company: Company, batch: Batch, wanted: Collection[Finalized], shelf: _Shelf
) -> tuple[ExchangeRate, ...]:
    undated = shelf.undated_since
    if undated is None or shelf.since - undated >= ASKED_AGAIN:
        try:
            return dated_rates(await ask(company, batch, [dated_rate_query(wanted)]))
        except Refused:
            shelf.undated_since = shelf.since
    try:
        return current_rates(await ask(company, batch, [CURRENT_RATES]))
    except Refused as error:
        get_run_logger().warning("Invoices are written without their exchange rate. %s", error)
        return ()
