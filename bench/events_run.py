"""One load on one handler: what came to Salesforce, when, and what it cost."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx

from bench.events_made import Made


class Org:
    """The stand-in for Salesforce, in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def clear(self) -> None:
        """Begin a new journal."""
        self._client.post("/_bench/journal")

    def journal(self) -> Journal:
        """All since `clear`."""
        said = self._client.get("/_bench/journal").json()
        return Journal(said["kinds"], [tuple(row) for row in said["rows"]], said["cpu"])


@dataclass(frozen=True)
class Journal:
    """`kinds`: requests by what they did. `rows`: object, External ID or Id, `Stripe_Synced_At__c`, answered at."""

    kinds: Mapping[str, int]
    rows: Sequence[tuple[str, str, str, float]]
    cpu_seconds: float

    @property
    def calls(self) -> int:
        """Requests, without the drain's look-out for deals."""
        return sum(count for kind, count in self.kinds.items() if kind != "query Opportunity")

    @property
    def last_at(self) -> float:
        """When the last row was answered."""
        return max((row[3] for row in self.rows), default=float("nan"))

    def freshness(self, events: Sequence[Made], stored: Mapping[str, float]) -> list[float]:
        """Seconds from `stored` to the answer of the first row that was made after it; sorted."""
        by_object: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for _, value, synced, answered in self.rows:
            made = datetime.fromisoformat(synced).timestamp() if synced else answered
            by_object[value].append((made, answered))
        found = []
        for event in events:
            since = stored.get(event.event_id)
            if since is None:
                continue
            # The moment in a row is cut to milliseconds.
            later = [answered for made, answered in by_object[event.object_id] if made >= since - 0.001]
            if later:
                found.append(min(later) - since)
        return sorted(found)


def percentile(ordered: Sequence[float], share: int) -> float:
    """Of sorted values; nan of none."""
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else float("nan")


@contextmanager
def org() -> Iterator[Org]:
    """The stand-in, as long as the block runs."""
    with _process("bench.events_org") as (line, _):
        yield Org(line)


@contextmanager
def rival(kind: str, org_url: str) -> Iterator[tuple[int, int]]:
    """A hand-written handler: its port and process id."""
    with _process("bench.rivals", kind, org_url) as (line, pid):
        yield int(line), pid


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{module} did not start")
        yield line, process.pid
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
