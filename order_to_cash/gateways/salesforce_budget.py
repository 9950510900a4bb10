"""The day's Salesforce calls: who may still call when they run short."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from order_to_cash.domain.errors import BudgetExhausted
from order_to_cash.domain.linger import Lane

# `api-usage=18/5000; per-app-api-usage=17/250(appName=sample)`: REST API guide, "Limit Info Header".
_USAGE = re.compile(r"(?:^|[;,\s])api-usage\s*=\s*(\d+)\s*/\s*(\d+)")
# With nothing sent nothing is learnt: now and then one call finds out whether the window has moved on.
_LOOK_AGAIN_SECONDS = 300.0


# The share of the org's rolling 24 hours up to which a lane calls. What is above `live` stays for the org's
# other integrations; bulk work leaves room for what happens meanwhile.
DEFAULT_SHARES: Mapping[Lane, float] = MappingProxyType(
    {Lane.LIVE: 0.80, Lane.CATCH_UP: 0.70, Lane.BULK: 0.50}
)


@dataclass(frozen=True)
class ApiUsage:
    """Calls of the whole org in its rolling 24 hours, as Salesforce last said."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0


def parse_usage(header: str | None) -> ApiUsage | None:
    """The org's usage from a `Sforce-Limit-Info` header."""
    found = _USAGE.search(header or "")
    return ApiUsage(int(found[1]), int(found[2])) if found else None


class DailyBudget:
    """Knows the org's usage from every answer and refuses calls beyond their lane's share."""

    def __init__(
        self,
        shares: Mapping[Lane, float] = DEFAULT_SHARES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = {**DEFAULT_SHARES, **shares}
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._usage: ApiUsage | None = None
        self._told_at = float("-inf")
        self._looked_at = float("-inf")

    @property
    def usage(self) -> ApiUsage | None:
        with self._lock:
            return self._usage

    def note(self, usage: ApiUsage | None) -> None:
        """Take over what an answer said. Answers overtake each other: within a second the larger is newer."""
        if usage is None:
            return
        with self._lock:
            now = self._monotonic()
            before = self._usage
            if (
                before
                and before.limit == usage.limit
                and now - self._told_at < 1
                and usage.used < before.used
            ):
                return
            self._usage, self._told_at = usage, now

    def admit(self, lane: Lane) -> None:
        """Count one call. Raises BudgetExhausted, before anything is sent, when `lane` has used its share."""
        with self._lock:
            usage = self._usage
            if usage is None:
                return
            allowed = int(usage.limit * self._shares[lane])
            if usage.used < allowed:
                self._usage = ApiUsage(usage.used + 1, usage.limit)
                return
            now = self._monotonic()
            if now - max(self._told_at, self._looked_at) >= _LOOK_AGAIN_SECONDS:
                self._looked_at = now
                return
        raise BudgetExhausted(
            f"The org has used {usage.used} of {usage.limit} API calls in 24 hours; "
            f"{lane.value} work stops at {allowed}.",
            ids={"lane": lane.value},
        )
