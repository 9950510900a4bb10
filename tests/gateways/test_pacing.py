"""The limiter and the backoff: bounds that hold for any input."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.retry import Attempts, RetryPolicy, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@given(
    rate=st.floats(0.5, 200),
    burst=st.floats(1, 10),
    gaps=st.lists(st.floats(0, 0.5), min_size=5, max_size=60),
)
def test_never_more_than_rate_and_burst_in_any_second(rate: float, burst: float, gaps: list[float]) -> None:
    hand = Hand()
    pacer = Pacer(rate, burst=burst, monotonic=hand)
    departures = []
    for gap in gaps:
        hand.at += gap
        departures.append(hand.at + pacer.reserve())
    departures.sort()
    for first, start in enumerate(departures):
        within = [moment for moment in departures[first:] if moment < start + 1]
        assert len(within) <= rate + burst + 1


@given(late=st.lists(st.floats(0, 0.05), min_size=100, max_size=100))
def test_late_wake_ups_cost_no_rate(late: list[float]) -> None:
    """A hundred callers at once, twenty at a time, each taking its next slot late."""
    hand = Hand()
    pacer = Pacer(20, monotonic=hand)
    wakes = [hand.at + pacer.reserve() for _ in range(20)]
    for delay in late:
        hand.at = max(hand.at, wakes.pop(0) + delay)
        wakes.append(hand.at + pacer.reserve())
        wakes.sort()
    assert wakes[-1] - 1000.0 <= 119 / 20 / 0.95


@given(late=st.lists(st.floats(0, 0.3), min_size=100, max_size=100))
def test_no_second_sees_more_departures_than_allowed_however_late_they_are(late: list[float]) -> None:
    hand = Hand()
    pacer = Pacer(24, most_a_second=25, monotonic=hand)
    wakes = [hand.at + pacer.reserve() for _ in late]
    departures = []
    for wake, delay in zip(wakes, late, strict=True):
        hand.at = max(hand.at, wake + delay)
        while (wait := pacer.depart()) > 0:
            hand.at += wait
        departures.append(hand.at)
    assert all(later - earlier > 1 for earlier, later in zip(departures, departures[25:], strict=False))


async def test_punctual_calls_are_not_held_by_the_window() -> None:
    pacer = Pacer(100, most_a_second=101)
    started = time.monotonic()
    await asyncio.gather(*(pacer.acquire() for _ in range(151)))
    assert 1.49 <= time.monotonic() - started <= 2.5  # a busy machine wakes sleepers late


async def test_many_coroutines_keep_the_rate() -> None:
    pacer = Pacer(200)
    started = time.monotonic()
    await asyncio.gather(*(pacer.acquire() for _ in range(121)))
    assert 0.595 <= time.monotonic() - started <= 1.2  # a busy machine wakes sleepers late


def test_threads_share_one_rate() -> None:
    pacer, stop, left = Pacer(100), threading.Event(), []
    threads = [threading.Thread(target=lambda: left.append(pacer.acquire_blocking(stop))) for _ in range(21)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == [True] * 21
    assert time.monotonic() - started >= 0.195


def test_a_stopped_wait_says_so() -> None:
    pacer, stop = Pacer(0.1), threading.Event()
    assert pacer.acquire_blocking(stop)
    stop.set()
    assert not pacer.acquire_blocking(stop)


def test_refusals_lower_the_rate_once_a_second_down_to_a_floor_and_time_restores_it() -> None:
    hand = Hand()
    pacer = Pacer(10, monotonic=hand)
    pacer.slow_down()
    pacer.slow_down()
    assert pacer.rate == pytest.approx(8.5)
    for _ in range(50):
        hand.at += 1
        pacer.slow_down()
    assert 1 <= pacer.rate < 2.5
    hand.at += 60
    assert pacer.rate == 10


def test_nothing_leaves_before_retry_after() -> None:
    hand = Hand()
    pacer = Pacer(10, monotonic=hand)
    pacer.slow_down(3)
    assert pacer.reserve() == pytest.approx(3)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_a_rate_that_makes_no_sense_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        Pacer(rate, burst=burst)


@given(
    attempt=st.integers(1, 200),
    elapsed=st.floats(0, 200),
    retry_after=st.none() | st.floats(0, 1000),
    seed=st.integers(),
)
def test_backoff_bounds(attempt: int, elapsed: float, retry_after: float | None, seed: int) -> None:
    policy = RetryPolicy(max_attempts=100)
    delay = policy.delay(attempt, elapsed=elapsed, retry_after=retry_after, rng=random.Random(seed))
    if attempt >= 100:
        assert delay is None
    if delay is not None:
        assert elapsed + delay <= policy.max_elapsed_seconds
        if retry_after is None:
            assert 0 <= delay <= min(policy.cap_seconds, policy.base_seconds * 2.0 ** (attempt - 1))
        else:
            assert retry_after <= delay <= retry_after + policy.base_seconds


def test_same_seed_same_waits() -> None:
    def waits(seed: int) -> list[float | None]:
        attempts = Attempts(RetryPolicy(), random.Random(seed), monotonic=lambda: 0.0)
        found = []
        for attempts.made in (1, 2, 3, 4):
            found.append(attempts.next_delay())
        return found

    assert waits(5) == waits(5)
    assert waits(5)[3] is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("2", 2.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("Fri, 20 Nov 2026 12:00:09 GMT", 9.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=lambda: NOW) == seconds
