"""Whole lives of invoices, subscriptions and payments, in every order and in batches of any size: one end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.shapes import ObjectKey
from tests.domain.sync.lives import LIVES, Life, changing_subscription, failing_then_paid, paid_and_refunded
from tests.domain.sync.replaying import Replay, Shown
from tests.domain.sync.stripe_events import event
from tests.domain.sync.stripe_objects import DEAL, T0, invoice, item, price, subscription


def splits(events: Sequence[StripeEvent], at: Sequence[int]) -> list[list[StripeEvent]]:
    ends = [0, *at, len(events)]
    return [list(events[start:end]) for start, end in itertools.pairwise(ends) if end > start]


def some_splits(events: Sequence[StripeEvent]) -> Iterator[list[list[StripeEvent]]]:
    yield [list(events)]
    yield [[one] for one in events]
    if len(events) < 6:
        yield splits(events, [2])


def end_of(life: Life, *, late: bool = False) -> tuple[Shown, set[str]]:
    events, truth = life
    replay = Replay(truth, late=late).run([[one] for one in events])
    return replay.shown, replay.signal_keys


@pytest.mark.parametrize("second", [1, 0], ids=["a second apart", "all in one second"])
@pytest.mark.parametrize("name", LIVES)
def test_every_order_ends_in_the_same_records_and_signals(name: str, second: int) -> None:
    life = LIVES[name](second)
    events, truth = life
    wanted = end_of(life)
    for order in itertools.permutations(events):
        for batches in some_splits(order):
            replay = Replay(truth).run(batches)
            assert (replay.shown, replay.signal_keys) == wanted, [one.type for one in order]


@pytest.mark.parametrize("name", LIVES)
@settings(max_examples=40)
@given(data=st.data())
def test_duplicates_splits_and_late_reads_change_nothing(name: str, data: st.DataObject) -> None:
    life = LIVES[name](data.draw(st.sampled_from([0, 1, 60]), "seconds"))
    events, truth = life
    again = data.draw(st.lists(st.sampled_from(events), max_size=6), "duplicates")
    order = data.draw(st.permutations([*events, *again]), "order")
    cuts = data.draw(st.sets(st.integers(1, len(order) - 1)), "cuts")
    replay = Replay(truth, late=data.draw(st.booleans(), "late")).run(splits(order, sorted(cuts)))
    assert (replay.shown, replay.signal_keys) == end_of(life)


@pytest.mark.parametrize("name", LIVES)
def test_replaying_what_is_done_changes_and_reads_nothing(name: str) -> None:
    events, truth = LIVES[name](1)
    replay = Replay(truth).run([events])
    shown, applied, fetches = dict(replay.shown), dict(replay.applied), replay.fetches
    replay.run([events, events[::-1]])
    assert (replay.shown, replay.applied, replay.fetches) == (shown, applied, fetches)


def test_the_end_of_an_invoice_is_what_stripe_shows() -> None:
    shown, signals = end_of(failing_then_paid())
    record = shown["Stripe_Invoice__c", "Stripe_Invoice_Id__c", "in_1"]
    assert (record["Status__c"], record["Failure_Code__c"], record["Attempt_Count__c"]) == ("paid", None, 2)
    assert signals == {"o2c:signal:payment_failed:in_1:1"}
    deal: dict[str, Any] = shown["Opportunity", "Id", DEAL]
    assert (deal["Stripe_Paid__c"], deal["Stripe_Invoice_Status__c"]) == (True, "paid")


def test_the_end_of_a_subscription_is_what_stripe_shows() -> None:
    shown, signals = end_of(changing_subscription())
    record = shown["Stripe_Subscription__c", "Stripe_Subscription_Id__c", "sub_1"]
    assert (record["Status__c"], record["Quantity__c"], str(record["MRR__c"])) == ("canceled", 1, "0.00")
    kinds = sorted(key.split(":")[2] for key in signals)
    assert kinds == ["cancellation_scheduled", "plan_changed", "plan_changed", "subscription_ended"]


def test_the_payments_of_an_invoice_hang_on_it() -> None:
    shown, _ = end_of(paid_and_refunded())
    failed = shown["Stripe_Payment__c", "Stripe_Charge_Id__c", "ch_0"]
    paid = shown["Stripe_Payment__c", "Stripe_Charge_Id__c", "ch_1"]
    back = shown["Stripe_Refund__c", "Stripe_Refund_Id__c", "re_1"]
    linked = {"Stripe_Invoice_Id__c": "in_1"}
    assert failed["Invoice__r"] == paid["Invoice__r"] == back["Invoice__r"] == linked
    assert (failed["Status__c"], paid["Status__c"]) == ("failed", "succeeded")
    assert (str(paid["Amount_Refunded__c"]), str(back["Amount__c"])) == ("40.00", "40.00")
    assert ("Stripe_Invoice__c", "Stripe_Invoice_Id__c", "in_1") in shown


def test_what_shows_progress_in_one_second_needs_no_reading() -> None:
    """A subscription's first invoice is made, finalized and paid within a second: no fetch for each."""
    draft = invoice()
    opened = {**draft, "status": "open"}
    paid = {**opened, "status": "paid", "amount_paid": 10_000, "amount_remaining": 0, "attempt_count": 1}
    events = [
        event("invoice.created", draft),
        event("invoice.finalized", opened),
        event("invoice.paid", paid),
        event("invoice.payment_succeeded", paid),
    ]
    truth = {
        ObjectKey("invoice", "in_1"): [(T0, paid)],
        ObjectKey("subscription", "sub_1"): [(T0 - 10, subscription(item(price=price())))],
    }
    for order in itertools.permutations(events):
        replay = Replay(truth).run([list(order)])
        assert replay.fetches == 1  # the subscription, which no event told of
