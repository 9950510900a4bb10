"""Which invoices get a ladder, and from when it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.opening import oldest_anchor, opening
from order_to_cash.domain.records import CollectionMethod

FINAL = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
NOW = FINAL + timedelta(days=4)
FAILED = FINAL + timedelta(seconds=2)
DECLINED = {
    "id": "pi_1",
    "status": "requires_payment_method",
    "last_payment_error": {"code": "card_declined"},
}


def stamp(at: datetime) -> int:
    return int(at.timestamp())


def body(*, intent: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    told = {
        "id": "in_1",
        "object": "invoice",
        "status": "open",
        "customer": "cus_1",
        "collection_method": "charge_automatically",
        "attempt_count": 1,
        "amount_remaining": 100,
        "currency": "usd",
        "due_date": None,
        "status_transitions": {"finalized_at": stamp(FINAL)},
        "payments": {"data": [{"id": "inpay_1", "payment": {"payment_intent": intent}}] if intent else []},
    }
    return {**told, **other}


def test_a_failed_charge_counts_from_its_first_failure() -> None:
    found = opening(body(), NOW, FAILED)
    assert found is not None
    assert (found.invoice_id, found.customer_id) == ("in_1", "cus_1")
    assert found.method is CollectionMethod.CHARGE_AUTOMATICALLY
    assert found.anchor == found.first_failed_at == FAILED


def test_a_later_failure_says_nothing_of_the_first_which_is_made_when_the_invoice_is_final() -> None:
    found = opening(body(attempt_count=3), NOW, FINAL + timedelta(days=3))
    assert found is not None
    assert found.anchor == FINAL


def test_untold_failures_show_in_the_payments() -> None:
    found = opening(body(intent=DECLINED), NOW)
    assert found is not None
    assert found.anchor == FINAL
    assert opening(body(), NOW) is None
    assert opening(body(intent={"id": "pi_1", "status": "requires_action"}), NOW) == found
    under_way = {"id": "pi_1", "status": "processing", "last_payment_error": {"code": "card_declined"}}
    assert opening(body(intent=under_way), NOW) is None


def test_a_sent_invoice_counts_from_its_due_date_and_not_before_it() -> None:
    sent = body(collection_method="send_invoice", attempt_count=0, due_date=stamp(FINAL + timedelta(days=3)))
    found = opening(sent, NOW)
    assert found is not None
    assert found.anchor == FINAL + timedelta(days=3)
    assert found.first_failed_at is None
    assert opening(sent, FINAL + timedelta(days=2)) is None


@pytest.mark.parametrize(
    "other",
    [
        {"status": "paid"},
        {"status": "draft"},
        {"status": "void"},
        {"status": "uncollectible"},
        {"status": None},
        {"customer": None},
        {"amount_remaining": 0},
        {"amount_remaining": -5},
        {"amount_remaining": None},
        {"attempt_count": 0},
        {"attempt_count": None},
        {"collection_method": "send_invoice", "due_date": None},
        {"collection_method": "send_invoice", "due_date": 10**18},
    ],
)
def test_others_need_none(other: dict[str, Any]) -> None:
    assert opening(body(**other), NOW, FAILED) is None


def test_what_stripe_had_given_up_before_dunning_began_is_history() -> None:
    policy = default_policy()
    assert NOW - oldest_anchor(policy, CollectionMethod.CHARGE_AUTOMATICALLY, NOW) == timedelta(days=14)
    assert NOW - oldest_anchor(policy, CollectionMethod.SEND_INVOICE, NOW) == timedelta(days=30)
