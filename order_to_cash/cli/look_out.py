"""What the drain looks for every few seconds: deals won or corrected since, and what a killed run left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.queries import candidates_query
from tasks.company import Company

Stamps = tuple[str, str]  # SystemModstamp of the Opportunity and of its Account

WATERMARK = "won-deals"
# Salesforce shows a record to queries somewhat after its SystemModstamp: replication lag, long transactions.
OVERLAP = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)


class LookOut:
    """Finds what is due. Remembers in memory what was worked on, so that the overlap is not worked on twice.

    A restart forgets that: everything of the last minutes is judged once more, which changes nothing.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._offered: dict[str, Stamps] = {}
        self._done: dict[str, Stamps] = {}
        self._rests: dict[str, tuple[timedelta, datetime]] = {}

    async def due(self) -> list[str]:
        """Ids of the deals to bill now; empty most of the time. One Salesforce call."""
        mark = await asyncio.to_thread(self._company.ledger.watermarks.get, WATERMARK)
        since = mark.modstamp - OVERLAP if mark is not None else None
        query = candidates_query(self._company.rules, since)
        rows = await asyncio.to_thread(self._company.salesforce.query, query)
        self._offered = {str(row["Id"]): _stamps(row) for row in rows}
        self._done = {key: stamps for key, stamps in self._done.items() if key in self._offered}
        fresh = [key for key, stamps in self._offered.items() if self._done.get(key) != stamps]
        wanted = dict.fromkeys([*fresh, *self._rests, *sorted(await self._begun())])
        now = self._company.clock.now()
        return [key for key in wanted if key not in self._rests or self._rests[key][1] <= now]

    async def handled(self, opportunity_ids: Iterable[str], unfinished: Iterable[str]) -> None:
        """These were worked on. What is `unfinished`, or still begun in the ledger, is due again after a rest."""
        now = self._company.clock.now()
        left = {*unfinished, *await self._begun()}
        for key in opportunity_ids:
            if key in left:
                last = self._rests[key][0] if key in self._rests else FIRST_RETRY / 2
                rest = min(last * 2, LAST_RETRY)
                self._rests[key] = (rest, now + rest)
            else:
                self._rests.pop(key, None)
                if key in self._offered:
                    self._done[key] = self._offered[key]
        newest = [datetime.fromisoformat(one) for stamps in self._offered.values() for one in stamps if one]
        if newest:
            await asyncio.to_thread(self._company.ledger.watermarks.set, WATERMARK, max(newest))

    async def _begun(self) -> set[str]:
        """Deals that an earlier run began and that nobody holds now."""
        begun = await asyncio.to_thread(self._company.ledger.obligations.unfinished)
        return {owed.opportunity_id for owed in begun}


def _stamps(row: Mapping[str, Any]) -> Stamps:
    account = row.get("Account") or {}
    return str(row["SystemModstamp"]), str(account.get("SystemModstamp") or "")
