"""Receiver, drain, Prefect server and PostgreSQL are killed with SIGKILL while events arrive: none is lost, none
applied twice.

A round for each victim; `make test-chaos` makes it twenty (O2C_CHAOS_ROUNDS). O2C_CHAOS_SEED repeats victims, moments
and load.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_to_cash.domain.events import decode_event
from order_to_cash.ledger.inbox_claims import EventSource, EventState
from tests.chaos import judging
from tests.chaos.house import LEASE_OVER_SECONDS, House
from tests.chaos.lives import Stripe
from tests.chaos.load import Load, acknowledged
from tests.chaos.picture import Picture, differences, picture
from tests.receiver.cluster import can_have_one
from tests.receiver.serving import eventually
from tests.world import World, small_world

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

VICTIMS = ("receiver", "postgresql", "prefect", "drain", "everything")
FEW = VICTIMS[:4]
ROUNDS = int(os.environ.get("O2C_CHAOS_ROUNDS") or len(FEW))
SEED = int(os.environ.get("O2C_CHAOS_SEED") or random.randrange(10**6))
CUSTOMERS = 12
DRAINED_SECONDS = 180.0
# When a sandbox tries to deliver again, and some more.
DELIVERED_AGAIN_SECONDS = (310.0, 3_610.0, 10_810.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if not can_have_one():
        reason = "needs PostgreSQL's initdb, and a user who may run it"
        if os.environ.get("O2C_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with small_world(tmp_path) as made:
        yield made


def test_whatever_is_killed_nothing_is_lost_and_nothing_applied_twice(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    stripe = Stripe(world)
    with House(world) as house:
        load = Load(world, stripe, random.Random(rng.random()), CUSTOMERS)
        try:
            told = [_round(number, rng, house, load, world) for number in range(ROUNDS)]
            load.wait_for(5)
            _end_in_order(house)
        finally:
            load.stop()
        _bring_home(world, house)
        events = stripe.events()
        with judging.opened(world, house.cluster.url) as ledger:
            shown = picture(world)
            wrong = judging.nothing_is_lost(world, ledger)
        wrong += judging.nothing_is_made_twice(world, shown, len(load.known))
        wrong += judging.each_failure_is_heard_of_once(world, events, shown)
        undisturbed = _without_kills(world, house, load, events)
        if found := differences(shown, undisturbed):
            wrong.append(f"(with kills, without): {found}")
    stripe.close()
    summary = (
        f"chaos · {ROUNDS} rounds (O2C_CHAOS_SEED={SEED}), {len(acknowledged(world))} of {len(events)} events "
        f"acknowledged, {len(shown)} records, {len(wrong)} wrong\n" + "\n".join(told)
    )
    with capfd.disabled():
        sys.stdout.write(f"\n{summary}\n")
    assert not wrong, "\n".join([summary, *wrong[:50], house.log_of_drain()[-5000:]])


def _round(number: int, rng: random.Random, house: House, load: Load, world: World) -> str:
    """Kill one at a moment of its own, while deliveries arrive, and start it again; what was done."""
    victim = FEW[number] if len(FEW) >= ROUNDS else rng.choice(VICTIMS)
    load.wait_for(rng.randrange(5, 50))
    time.sleep(rng.uniform(0, 0.5))
    before, began = len(acknowledged(world)), time.monotonic()
    house.restart(victim)
    return f"  {number + 1:3} {victim:10} after {before} deliveries, back in {time.monotonic() - began:.1f} s"


def _bring_home(world: World, house: House) -> None:
    """All that could not be delivered is, and all that waits is applied. The drain does not run yet."""
    for seconds in DELIVERED_AGAIN_SECONDS:
        world.clock.advance(seconds)
        eventually(lambda: _delivered(world), DRAINED_SECONDS)
    world.clock.advance(LEASE_OVER_SECONDS)
    house.start_drain()
    with judging.opened(world, house.cluster.url) as ledger:

        def drained() -> bool:
            counts = ledger.inbox.counts()
            return not any(counts[state] for state in counts if state is not EventState.PARKED)

        eventually(drained, DRAINED_SECONDS)
    _end_in_order(house)


def _end_in_order(house: House) -> None:
    """SIGTERM, at work or at rest."""
    assert house.end_drain(signal.SIGTERM) == 0, house.log_of_drain()[-3000:]


def _delivered(world: World) -> bool:
    """Nothing is on its way: each delivery that was begun has ended, whichever way."""
    stripe = world.services["stripe"]
    return not stripe.couriers.waiting and not stripe.couriers.busy


def _without_kills(world: World, house: House, load: Load, events: list[dict[str, object]]) -> Picture:
    """What one undisturbed run over the same events shows, with a new ledger in an org that knows the same Accounts."""
    world.control("salesforce", "empty")
    load.make_accounts()
    url = f"sqlite:///{world.home / 'undisturbed.db'}"
    with judging.opened(world, url) as ledger:
        ledger.migrate()
        given = [decode_event(json.dumps(event).encode()) for event in events]
        ledger.inbox.store(given, EventSource.WEBHOOK)
    house.o2c("drain", "--once", O2C_LEDGER_URL=url)
    with judging.opened(world, url) as ledger:
        left = {state: count for state, count in ledger.inbox.counts().items() if count}
        assert not left, f"without kills: {left}"
    return picture(world)
