"""Several processes on one ledger, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from order_to_cash.ledger.claims import ObligationState
from order_to_cash.ledger.ledger import Ledger
from tests.ledger import racing

DEALS = 12


@pytest.fixture(scope="module")
def racers() -> Iterator[racing.Racers]:
    three = racing.Racers(3)
    yield three
    three.stop()


def test_exactly_one_process_wins_each_claim(ledger: Ledger, url: str, racers: racing.Racers) -> None:
    won = Counter(key for keys in racers.run(racing.claim_each, url, DEALS) for key in keys)
    assert won == {f"o2c:invoice:{racing.opportunity(number)}:1": 1 for number in range(DEALS)}


def test_several_migrate_and_bind_at_once(empty_url: str, racers: racing.Racers) -> None:
    assert racers.run(racing.migrate, empty_url) == ["run-0", "run-1", "run-2"]
    with racing.opened(empty_url) as ledger:
        assert ledger.identity() is not None


def test_several_work_on_the_same_deals(ledger: Ledger, url: str, racers: racing.Racers) -> None:
    fresh = Counter(key for keys in racers.run(racing.work, url, DEALS) for key in keys)
    assert set(fresh.values()) == {1}
    assert len(fresh) == DEALS * 2
    latest = ledger.obligations.latest_many([racing.opportunity(number) for number in range(DEALS)])
    assert {row.state for row in latest.values()} == {ObligationState.CLOSED}
    assert len(latest) == DEALS
    ledger.audit.seal()
    assert ledger.audit.verify() is None


def test_several_drains_hold_no_event_and_no_partition_together(
    ledger: Ledger, url: str, racers: racing.Racers
) -> None:
    spans = [(run, *span) for run, spans in enumerate(racers.run(racing.drain, url, 300)) for span in spans]
    assert Counter(event_id for _, event_id, *_ in spans) == {f"evt_{number}": 1 for number in range(300)}
    assert ledger.inbox.counts() == {"pending": 0, "claimed": 0, "retry": 0, "parked": 0}
    together = [
        (one, other)
        for one in spans
        for other in spans
        if one[0] < other[0] and one[2] == other[2] and one[3] <= other[4] and other[3] <= one[4]
    ]
    assert together == []
