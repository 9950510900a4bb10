"""What the drain looks for every few seconds: deals won or corrected since, and what a killed run left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.queries import candidates_query
from order_to_cash.ledger.claims import ObligationState
from tasks.company import Company

WATERMARK = "won-deals"
# Salesforce shows a record to queries somewhat after its SystemModstamp: replication lag, long transactions.
OVERLAP = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)


class LookOut:
    """Finds what is due. Remembers in memory what it handed out, so that the overlap is not worked on twice.

    A restart forgets that: everything of the last minutes is judged once more, which changes nothing.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._seen: dict[str, tuple[str, str]] = {}
        self._rests: dict[str, tuple[timedelta, datetime]] = {}
        self._newest: datetime | None = None

    async def due(self) -> list[str]:
        """Ids of the deals to bill now; empty most of the time. One Salesforce call."""
        ledger = self._company.ledger
        mark = await asyncio.to_thread(ledger.watermarks.get, WATERMARK)
        since = mark.modstamp - OVERLAP if mark is not None else None
        query = candidates_query(self._company.rules, since)
        rows = await asyncio.to_thread(self._company.salesforce.query, query)
        stamps = {str(row["Id"]): _stamps(row) for row in rows}
        self._newest = max(
            (datetime.fromisoformat(stamp) for both in stamps.values() for stamp in both if stamp),
            default=None,
        )
        fresh = [key for key, both in stamps.items() if self._seen.get(key) != both]
        self._seen = {key: both for key, both in self._seen.items() if key in stamps} | stamps
        return list(dict.fromkeys([*fresh, *await self._left_over()]))

    async def handled(self, opportunity_ids: Iterable[str], unfinished: Iterable[str]) -> None:
        """These were worked on; the `unfinished` ones are due again after a growing rest."""
        now = self._company.clock.now()
        left = set(unfinished)
        for key in opportunity_ids:
            if key not in left:
                self._rests.pop(key, None)
                continue
            last = self._rests[key][0] if key in self._rests else FIRST_RETRY / 2
            rest = min(last * 2, LAST_RETRY)
            self._rests[key] = (rest, now + rest)
        if self._newest is not None:
            await asyncio.to_thread(self._company.ledger.watermarks.set, WATERMARK, self._newest)

    async def _left_over(self) -> list[str]:
        """Deals that an earlier run began and nobody holds, and those whose rest is over."""
        now = self._company.clock.now()
        begun = await asyncio.to_thread(self._company.ledger.obligations.unfinished)
        waiting = {key for key, (_, until) in self._rests.items() if until > now}
        rested = {key for key, (_, until) in self._rests.items() if until <= now}
        left = {owed.opportunity_id for owed in begun if owed.state != ObligationState.HELD}
        return sorted((left | rested) - waiting)


def _stamps(row: Mapping[str, Any]) -> tuple[str, str]:
    account = row.get("Account") or {}
    return str(row["SystemModstamp"]), str(account.get("SystemModstamp") or "")
