"""What Prometheus reads: a registry of our own, so that nothing of the libraries' comes along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class InboxState:
    """What waits in the inbox: number by state, and for how long the oldest event that is due has waited."""

    counts: Mapping[str, int]
    oldest_waiting_seconds: float


class Metrics:
    """Counters of one receiver. Cheap: about a microsecond an event."""

    def __init__(self, event_results: Iterable[str], nudge_results: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        events = Counter(
            "o2c_receiver_events",
            "Deliveries of Stripe, by what became of them",
            ["result"],
            registry=self._registry,
        )
        nudges = Counter(
            "o2c_receiver_nudges",
            "Callouts of Salesforce, by what became of them",
            ["result"],
            registry=self._registry,
        )
        self._events = {result: events.labels(result) for result in event_results}
        self._nudges = {result: nudges.labels(result) for result in nudge_results}
        self._seconds = Histogram(
            "o2c_receiver_event_seconds",
            "From the head of a delivery to its answer",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "o2c_receiver_batch_events",
            "Events in one transaction",
            buckets=_SIZES,
            registry=self._registry,
        )
        self._last = Gauge(
            "o2c_receiver_last_event_timestamp_seconds",
            "When an event was last stored, 0 for not since the start",
            registry=self._registry,
        )
        self._inbox = _Inbox()
        self._registry.register(self._inbox)

    def event(self, result: str, seconds: float) -> None:
        """One delivery of Stripe was answered."""
        self._events[result].inc()
        self._seconds.observe(seconds)

    def batch(self, size: int, at: datetime) -> None:
        """One transaction of that many events was committed. Thread-safe."""
        self._batches.observe(size)
        self._last.set(at.timestamp())

    def nudge(self, result: str) -> None:
        """One callout of Salesforce was answered."""
        self._nudges[result].inc()

    def text(self, inbox: InboxState | None) -> bytes:
        """In Prometheus's exposition format. `inbox` None: not known."""
        self._inbox.state = inbox
        return generate_latest(self._registry)


class _Inbox(Collector):
    def __init__(self) -> None:
        self.state: InboxState | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self.state
        if state is None:
            return  # not known: a missing series, not a wrong one
        by_state = GaugeMetricFamily("o2c_inbox_events", "Events in the inbox, by state", labels=["state"])
        for name, count in sorted(state.counts.items()):
            by_state.add_metric([name], count)
        yield by_state
        yield GaugeMetricFamily(
            "o2c_inbox_oldest_waiting_seconds",
            "For how long the oldest event that is due has waited",
            state.oldest_waiting_seconds,
        )
