"""Receiver or PostgreSQL are killed with SIGKILL under load: whatever was acknowledged is in the inbox.

A few rounds; O2C_CRASH_POINTS=all (`make test-crash`) makes it twenty on each database.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.ledger.ledger import Ledger
from tests.receiver.cluster import Cluster, can_have_one
from tests.receiver.process import TEST_ENVIRONMENT, receiving
from tests.receiver.senders import SENDERS, Senders
from tests.receiver.serving import NOW, serving, stored

pytestmark = pytest.mark.crash

ROUNDS = 20 if os.environ.get("O2C_CRASH_POINTS") == "all" else 2


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        yield request.getfixturevalue("postgresql_url")


def test_what_was_acknowledged_is_in_the_inbox_after_a_kill(url: str, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for number in range(ROUNDS):
        with receiving(tmp_path, TEST_ENVIRONMENT | {"O2C_LEDGER_URL": url}) as receiver:
            senders = Senders(receiver.port, f"round{number}")
            time.sleep(random.uniform(0.2, 0.8))
            receiver.process.kill()
            senders.wait()
        assert senders.refused == []
        assert len(senders.acknowledged) > SENDERS
        acknowledged += senders.acknowledged
    with Ledger.open(url, clock=FixedClock(NOW), environment=Environment.TEST) as ledger:
        kept = stored(ledger)
    assert set(acknowledged) - set(kept) == set()
    assert len(kept) == len(set(kept))


@pytest.mark.postgres
@pytest.mark.skipif(not can_have_one(), reason="needs PostgreSQL's initdb, and a user who may run it")
def test_what_was_acknowledged_is_in_the_inbox_after_the_server_was_killed() -> None:
    with Cluster() as cluster:
        clock = SystemClock()
        with Ledger.open(cluster.url, clock=clock, environment=Environment.TEST) as ledger:
            ledger.migrate()
            with serving(ledger, clock) as served:
                senders = Senders(served.port, "always")
                for _ in range(ROUNDS):
                    senders.wait_for_more(SENDERS)
                    time.sleep(random.uniform(0, 0.3))
                    cluster.kill()
                    cluster.start()
                senders.wait_for_more(SENDERS)
                senders.stop()
            kept = stored(ledger)
    assert {answer[:13] for answer in senders.refused} <= {b"HTTP/1.1 503 "}
    assert set(senders.acknowledged) - set(kept) == set()
    assert len(kept) == len(set(kept))
