"""The emulators' clock, read over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from emulators.engine.service import Service
from emulators.engine.wire import Answer, Call
from emulators.run import running
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.clock import EmulatorClock, SystemClock, clock_for

AT = datetime(2031, 5, 1, 8, 0, tzinfo=UTC)


class Blank(Service):
    def handle(self, call: Call) -> Answer:
        return Answer(404, {})


@pytest.fixture
def blank() -> Iterator[tuple[Blank, str]]:
    service = Blank()
    with running(service) as urls:
        yield service, urls["service"]


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_follows_the_emulators_clock_within_a_second(blank: tuple[Blank, str]) -> None:
    service, url = blank
    moment = [0.0]
    clock = EmulatorClock(url, monotonic=lambda: moment[0])
    service.clock.set(AT)
    assert abs(clock.now() - AT) < timedelta(seconds=2)
    service.clock.advance(86_400)
    assert abs(clock.now() - AT) < timedelta(seconds=2)  # the reading of a moment ago still counts
    moment[0] = 1.0
    assert abs(clock.now() - AT - timedelta(days=1)) < timedelta(seconds=2)


def test_threads_share_one_reading(blank: tuple[Blank, str]) -> None:
    service, url = blank
    service.clock.set(AT)
    clock = EmulatorClock(url)
    seen: list[datetime] = []
    threads = [threading.Thread(target=lambda: seen.append(clock.now())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(abs(moment - AT) < timedelta(seconds=3) for moment in seen)


def test_says_what_to_do_when_the_emulators_are_not_there() -> None:
    with pytest.raises(Unavailable, match="o2c emulators"):
        EmulatorClock("http://127.0.0.1:9").now()


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        (Environment.EMULATOR, EmulatorClock),
        (Environment.TEST, SystemClock),
        (Environment.LIVE, SystemClock),
    ],
)
def test_only_the_emulator_environment_has_a_movable_clock(environment: Environment, kind: type) -> None:
    assert type(clock_for(environment, "http://127.0.0.1:9")) is kind
