"""What happened: one signal for each business fact, under a key that repeats and twins share."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from order_to_cash.domain.sync.coalesce import coalesce
from order_to_cash.domain.sync.shapes import Signal
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.stripe_events import changed, event
from tests.domain.sync.stripe_objects import CUSTOMER, T0, Json

MONTH = 2_592_000
FAILED = stripe.invoice(
    status="open", attempt_count=2, payments={"data": [stripe.invoice_payment(status="open")]}
)


def signals(kind: str, body: Json, previous: Json | None = None, created: int = T0) -> tuple[Signal, ...]:
    return coalesce([event(kind, body, created, previous)], {}).signals


def keys(kind: str, body: Json, previous: Json | None = None) -> list[str]:
    return [signal.key.removeprefix("o2c:signal:") for signal in signals(kind, body, previous)]


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("invoice.payment_failed", FAILED, "payment_failed:in_1:2"),
        ("invoice.payment_action_required", FAILED, "payment_action_required:in_1:2"),
        ("invoice.overdue", stripe.invoice(status="open"), "overdue:in_1"),
        ("invoice.marked_uncollectible", stripe.invoice(status="uncollectible"), "uncollectible:in_1"),
        (
            "invoice.finalization_failed",
            stripe.invoice(last_finalization_error={"code": "customer_tax_location_invalid"}),
            "finalization_failed:in_1:customer_tax_location_invalid",
        ),
        ("customer.subscription.deleted", stripe.subscription(status="canceled"), "subscription_ended:sub_1"),
        (
            "customer.subscription.paused",
            stripe.subscription(status="paused"),
            f"subscription_paused:sub_1:{T0}",
        ),
        ("customer.subscription.resumed", stripe.subscription(), f"subscription_resumed:sub_1:{T0}"),
        (
            "customer.subscription.trial_will_end",
            stripe.subscription(status="trialing", trial_end=T0 + 9),
            f"trial_ending:sub_1:{T0 + 9}",
        ),
        ("charge.dispute.created", stripe.dispute(), "dispute_opened:du_1"),
        ("charge.dispute.closed", stripe.dispute(status="lost"), "dispute_closed:du_1:lost"),
        ("refund.failed", stripe.refund(status="failed"), "refund_failed:re_1"),
        ("refund.updated", stripe.refund(status="failed"), "refund_failed:re_1"),
    ],
)
def test_what_each_event_tells(kind: str, body: Json, key: str) -> None:
    assert keys(kind, body) == [key]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("invoice.paid", stripe.invoice(status="paid")),
        ("invoice.updated", FAILED),
        ("refund.updated", stripe.refund()),
        ("customer.subscription.created", stripe.subscription()),
        ("customer.subscription.updated", stripe.subscription()),
        ("charge.failed", stripe.failed_charge()),
    ],
)
def test_what_tells_nothing(kind: str, body: Json) -> None:
    assert keys(kind, body) == []


def test_each_attempt_counts_and_its_repeats_do_not() -> None:
    events = [
        event("invoice.payment_failed", stripe.invoice(status="open", attempt_count=count))
        for count in (1, 2, 2, 3)
    ]
    found = coalesce([*events, events[0]], {}).signals
    assert [signal.key.rsplit(":", 1)[1] for signal in found] == ["1", "2", "3"]
    assert {signal.customer_id for signal in found} == {CUSTOMER}


def test_a_failed_payment_carries_what_a_person_needs_and_nothing_personal() -> None:
    (signal,) = signals(
        "invoice.payment_failed", {**FAILED, "customer_email": "jo@acme.example", "number": "A-1"}
    )
    assert signal.facts["amount_minor"] == 10_000
    assert (signal.facts["currency"], signal.facts["number"]) == ("usd", "A-1")
    assert "acme.example" not in str(signal)


def resized(old: Json, new: Json) -> tuple[Json, Json]:
    before = stripe.subscription(old)
    return stripe.subscription(new), {"items": {"data": before["items"]["data"]}}


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (stripe.item(2), stripe.item(5), "upgrade"),
        (stripe.item(5), stripe.item(2), "downgrade"),
        (stripe.item(2), stripe.item(2, price=stripe.price(id="price_other")), "change"),
    ],
)
def test_a_change_of_plan_says_which_way(old: Json, new: Json, direction: str) -> None:
    body, previous = resized(old, new)
    (signal,) = signals("customer.subscription.updated", body, previous)
    assert signal.kind == "plan_changed"
    assert signal.facts["direction"] == direction
    assert signal.facts["old_plan"] == f"Team × {old['quantity']}"


def test_twins_of_one_change_are_one_and_a_later_return_is_another() -> None:
    body, previous = resized(stripe.item(2), stripe.item(5))
    again = signals("customer.subscription.updated", body, previous, created=T0 + 500)
    first, twin = (signals("customer.subscription.updated", body, previous) for _ in range(2))
    assert first[0].key == twin[0].key != again[0].key


def test_an_old_versions_change_of_plan_is_one_too() -> None:
    plan = {"id": "plan_a", "amount": 100, "currency": "usd", "interval": "month", "interval_count": 1}
    body = stripe.subscription()
    body |= {"items": None, "plan": {**plan, "id": "plan_b", "amount": 50}, "quantity": 1}
    body["current_period_end"] = T0 + 5
    (signal,) = signals("customer.subscription.updated", body, {"plan": plan})
    assert (signal.kind, signal.facts["direction"]) == ("plan_changed", "downgrade")


@pytest.mark.parametrize(
    "change", [{"metadata": {"a": "b"}}, {"current_period_end": 5}, {"default_tax_rates": []}]
)
def test_other_changes_are_no_change_of_plan(change: dict[str, Any]) -> None:
    body, previous = changed(stripe.subscription(), **change)
    assert keys("customer.subscription.updated", body, previous) == []


def test_a_cancellation_is_scheduled_once_and_withdrawn() -> None:
    ends = T0 + MONTH
    leaving, previous = changed(stripe.subscription(), cancel_at_period_end=True)
    assert keys("customer.subscription.updated", leaving, previous) == [
        f"cancellation_scheduled:sub_1:{ends}"
    ]
    dated, previous = changed(stripe.subscription(), cancel_at=ends)
    assert keys("customer.subscription.updated", dated, previous) == [f"cancellation_scheduled:sub_1:{ends}"]
    staying, previous = changed(leaving, cancel_at_period_end=False)
    assert keys("customer.subscription.updated", staying, previous) == [f"cancellation_withdrawn:sub_1:{T0}"]
    renamed, previous = changed(leaving, metadata={"a": "b"})
    assert keys("customer.subscription.updated", renamed, previous) == []


@pytest.mark.parametrize(
    ("month", "year", "told"),
    [
        (9, 2026, True),
        (10, 2026, True),
        (11, 2026, False),
        (8, 2026, True),
        (13, 2026, False),
        (None, 2026, False),
    ],
)
def test_a_card_that_expires_within_sixty_days(month: int | None, year: int, told: bool) -> None:
    card = {"brand": "visa", "last4": "4242", "exp_month": month, "exp_year": year}
    found = signals("payment_method.attached", stripe.payment_method(card=card))
    assert bool(found) is told
    if told:
        assert found[0].key == f"o2c:signal:card_expiring:pm_1:{year}-{month:02d}"
        assert isinstance(found[0].facts["expires_on"], date)
    assert [signal.key for signal in signals("payment_method.updated", stripe.payment_method(card=card))] == [
        signal.key for signal in found
    ]
