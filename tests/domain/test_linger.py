"""The day's share of Salesforce calls: no window of 24 hours sees more, whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from order_to_cash.domain.linger import (
    DAY_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Bucket,
    Lane,
    Quota,
    linger_seconds,
    open_lanes,
)

QUOTA = Quota(100_000, 0.5)
DAY = int(DAY_SECONDS)


def most_in_a_day(spent: list[tuple[float, int]]) -> int:
    """The calls of the worst window of 24 hours."""
    worst, begin, held = 0, 0, 0
    for moment, calls in spent:
        held += calls
        while spent[begin][0] <= moment - DAY_SECONDS:
            held -= spent[begin][1]
            begin += 1
        worst = max(worst, held)
    return worst


def simulate(quota: Quota, events_per_second: float, days: float, calls_per_batch: int) -> tuple[int, float]:
    """What the worst day cost, and the longest linger, when a drain obeys the bucket."""
    bucket, spent, at, longest, done = Bucket(quota, 0.0), [], 0.0, 0.0, 0
    while at < days * DAY_SECONDS:
        if int(at * events_per_second) > done:
            done = int(at * events_per_second)
            bucket.spend(calls_per_batch, at)
            spent.append((at, calls_per_batch))
        linger = linger_seconds(bucket, calls_per_batch, at)
        longest = max(longest, linger)
        at += linger
    return most_in_a_day(spent), longest


@pytest.mark.parametrize("events_per_second", [0.1, 1, 10])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_day_never_takes_more_than_the_share(events_per_second: float, share: float) -> None:
    quota = Quota(100_000, share)
    worst, longest = simulate(quota, events_per_second, 2.2, calls_per_batch=6)
    assert 0 < worst <= quota.allowed
    assert longest >= SHORTEST_SECONDS


def test_little_traffic_is_never_slowed_down() -> None:
    worst, longest = simulate(QUOTA, 0.05, 2, calls_per_batch=5)
    assert longest == SHORTEST_SECONDS
    assert worst <= QUOTA.allowed


def test_a_day_at_one_event_a_second_stays_within_a_minute() -> None:
    _, longest = simulate(QUOTA, 1, 2, calls_per_batch=6)
    assert longest <= LONGEST_SECONDS


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0.01, 0.8),
    daily=st.integers(1_000, 200_000),
    batches=st.lists(st.tuples(st.floats(0, 3_000), st.integers(1, 100)), min_size=1, max_size=300),
)
def test_whoever_waits_as_long_as_told_stays_below_the_share(
    share: float, daily: int, batches: list[tuple[float, int]]
) -> None:
    quota = Quota(daily, share)
    bucket, spent, at = Bucket(quota, 0.0), [], 0.0
    for idle, calls in batches:
        at += idle
        while bucket.level(at) < calls:
            wait = linger_seconds(bucket, calls, at)
            assert wait >= SHORTEST_SECONDS
            if calls > quota.capacity:
                break
            at += wait
        if calls <= quota.capacity:
            bucket.spend(calls, at)
            spent.append((at, calls))
    assert not spent or most_in_a_day(spent) <= quota.allowed


@given(calls=st.integers(1, 50), first=st.floats(0, 1), second=st.floats(0, 1))
def test_the_emptier_the_longer(calls: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    lingers = [linger_seconds(Bucket(QUOTA, 0, QUOTA.capacity * fill), calls, 0) for fill in (low, high)]
    assert lingers[0] >= lingers[1] >= SHORTEST_SECONDS


@given(
    spent=st.lists(st.tuples(st.floats(0, DAY_SECONDS), st.integers(0, 3_000)), max_size=50).map(sorted),
)
def test_a_restart_remembers_what_was_spent(spent: list[tuple[float, int]]) -> None:
    lived = Bucket(QUOTA, 0.0)
    for moment, calls in spent:
        lived.spend(calls, moment)
    again = Bucket.replayed(QUOTA, spent, DAY_SECONDS)
    assert again.level(DAY_SECONDS) == pytest.approx(lived.level(DAY_SECONDS))


def test_a_busy_neighbour_slows_us_down() -> None:
    full = Bucket(QUOTA, 0.0)
    assert linger_seconds(full, 5, 0.0) == SHORTEST_SECONDS
    assert linger_seconds(full, 5, 0.0, org_left=0) > 5


def test_lower_lanes_stop_first() -> None:
    def lanes(fill: float) -> tuple[Lane, ...]:
        return open_lanes(Bucket(QUOTA, 0.0, QUOTA.capacity * fill), 0.0)

    assert lanes(1) == (Lane.LIVE, Lane.CATCH_UP, Lane.BULK)
    assert lanes(0.3) == (Lane.LIVE, Lane.CATCH_UP)
    assert lanes(0.1) == (Lane.LIVE,)
