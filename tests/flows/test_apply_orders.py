"""Ten lives, recorded from Stripe, told in orders that are drawn: Salesforce ends the same.

Every order of up to six events is tried in tests/domain/sync; here hundreds of customers go the whole way at once, the
n-th event of each in the n-th run, each with duplicates. O2C_CHAOS_SEED repeats the orders.
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.sync.handled import is_handled
from order_to_cash.ledger.inbox_search import EventFilter
from tests.chaos.lives import LIVES, Stripe
from tests.chaos.picture import differences, picture
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect

SEED = int(os.environ.get("O2C_CHAOS_SEED") or random.randrange(10**6))
ORDERS = 20  # of each life
RUNS = 6
DUPLICATES = 0.2
MOST = 100_000


@pytest.fixture
def stripe(books: World) -> Iterator[Stripe]:
    made = Stripe(books)
    yield made
    made.close()


async def test_ten_lives_in_two_hundred_orders_end_the_same(books: World, stripe: Stripe) -> None:
    rng = random.Random(SEED)
    sync = Sync(books)
    customers: list[str] = []
    for life in LIVES.values():
        for _ in range(ORDERS):
            customers.append(stripe.customer(name="Acme Ltd", email=f"pay{len(customers)}@a.example"))
            life(stripe, customers[-1])
    told = _by_customer(stripe.events(), customers)
    assert min(map(len, told.values())) >= RUNS
    _accounts(books, customers)
    for events in _runs(told, rng):
        sync.receive(events)
        assert (await sync.apply()).parked == ()
    assert _left(sync) == []
    shuffled = picture(books)
    books.control("salesforce", "empty")
    _accounts(books, customers)
    sync.forget_ledger()
    with ledger() as opened:
        opened.inbox.reopen(EventFilter(), MOST)
    assert (await sync.apply()).parked == ()
    in_order = picture(books)
    assert {sobject for sobject, _ in in_order} >= {
        "Stripe_Subscription__c",
        "Stripe_Dispute__c",
        "Case",
        "Task",
    }
    found = differences(shuffled, in_order)
    assert not found, f"O2C_CHAOS_SEED={SEED}, (shuffled, in order): {found}"


def _accounts(world: World, customers: Sequence[str]) -> None:
    for number, customer in enumerate(customers):
        email = f"pay{number}@a.example"
        world.account(Name=f"Acme {number}", Billing_Email__c=email, Stripe_Customer_Id__c=customer)


def _by_customer(
    listed: Sequence[Mapping[str, Any]], customers: Sequence[str]
) -> dict[str, list[StripeEvent]]:
    """The events of each customer; those that name none belong to the one whose life they came in."""
    told: defaultdict[str, list[StripeEvent]] = defaultdict(list)
    current = ""
    for each in listed:
        about = each["data"]["object"]
        named = about["id"] if about["object"] == "customer" else about.get("customer")
        current = str(named) if named in customers else current
        if current and is_handled(each["type"]):
            told[current].append(decode_event(json.dumps(each).encode()))
    return dict(told)


def _runs(told: Mapping[str, Sequence[StripeEvent]], rng: random.Random) -> list[list[StripeEvent]]:
    """What is received before each run: each customer's events in an order of their own, cut into `RUNS` parts."""
    runs: list[list[StripeEvent]] = [[] for _ in range(RUNS)]
    for events in told.values():
        order = rng.sample(list(events), len(events))
        order += [event for event in events if rng.random() < DUPLICATES]
        cuts = sorted(rng.choices(range(len(order) + 1), k=RUNS - 1))
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(order)], strict=True)):
            runs[number] += order[start:end]
    return runs


def _left(sync: Sync) -> list[str]:
    """What is not done."""
    with ledger() as opened:
        rows = opened.inbox.find(EventFilter(), MOST)
    return [f"{row.type} is {row.state}: {row.code}" for row in rows if row.state not in {"done", "ignored"}]
