"""Several workers on one ledger's ladders, on both databases; and what PostgreSQL locks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from order_to_cash.ledger.ledger import Ledger
from tests.ledger import ladder_racing, racing
from tests.ledger.ladder_support import claimed, new, opened

LADDERS = 40


@pytest.fixture(scope="module")
def racers() -> Iterator[racing.Racers]:
    three = racing.Racers(3)
    yield three
    three.stop()


def test_several_workers_take_each_step_once_and_share_no_customer(
    ledger: Ledger, url: str, racers: racing.Racers
) -> None:
    each = racers.run(ladder_racing.climb, url, LADDERS)
    held = [(run, one) for run, spans in enumerate(each) for one in spans]
    taken = Counter((one.invoice_id, one.took) for _, one in held)
    numbers = range(LADDERS)
    assert taken == {(f"in_{number:03}", step): 1 for number in numbers for step in ladder_racing.STEPS}
    together = [
        (one, other)
        for run, one in held
        for another, other in held
        if run < another and one.customer_id == other.customer_id
        if one.since <= other.until and other.since <= one.until
    ]
    assert together == []
    assert ledger.ladders.counts() == {"waiting": 0, "held": 0, "resting": 0}


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_claim_steps_over_what_another_transaction_holds(ledger: Ledger) -> None:
    """It waits for nobody."""
    opened(ledger, new("in_1"), new("in_2", "cus_b"))
    with ledger.database.write() as connection:
        connection.execute(
            text("SELECT 1 FROM ledger_ladder_customer WHERE customer_id = 'cus_a' FOR UPDATE")
        )
        assert set(claimed(ledger)) == {"in_2"}
    assert set(claimed(ledger)) == {"in_1"}
