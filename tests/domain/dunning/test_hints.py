"""Where events send a ladder's watch. What they tell of amounts and states is not asked."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from order_to_cash.domain.dunning.hints import hints_of
from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.sync.handled import HANDLED

AT = 1_800_000_000


def event(kind: str, body: dict[str, Any], created: int = AT, *, number: int = 1) -> StripeEvent:
    return decode_event(
        json.dumps(
            {
                "id": f"evt_{number}",
                "object": "event",
                "type": kind,
                "created": created,
                "livemode": False,
                "api_version": "2025-09-30.clover",
                "data": {"object": body},
            }
        ).encode()
    )


def invoice(**other: Any) -> dict[str, Any]:
    return {"id": "in_1", "object": "invoice", "customer": "cus_1", **other}


def test_the_first_failure_counts_in_whatever_order_they_come() -> None:
    told = [
        event("invoice.payment_failed", invoice(), AT + 500, number=2),
        event("invoice.payment_failed", invoice(), AT, number=3),
        event("invoice.overdue", invoice(), AT - 900, number=1),
    ]
    for order in itertools.permutations(told):
        hints = hints_of(order)
        assert hints.failed == {"in_1": datetime.fromtimestamp(AT, UTC)}
        assert hints.invoices == {"in_1"}
        assert hints.customers == set()


def test_an_overdue_invoice_has_no_failure() -> None:
    assert hints_of([event("invoice.overdue", invoice())]).failed == {"in_1": None}


@pytest.mark.parametrize(
    "kind",
    [
        *("invoice.paid", "invoice.payment_succeeded", "invoice.voided", "invoice.marked_uncollectible"),
        *("invoice.updated", "invoice.deleted", "invoice.payment_failed", "invoice.overdue"),
    ],
)
def test_what_may_end_or_move_a_ladder_wakes_it(kind: str) -> None:
    assert hints_of([event(kind, invoice())]).invoices == {"in_1"}


@pytest.mark.parametrize("kind", ["invoice.created", "invoice.finalized", "invoice.sent"])
def test_what_changes_nothing_wakes_nobody(kind: str) -> None:
    hints = hints_of([event(kind, invoice())])
    assert (hints.failed, hints.invoices, hints.customers, hints.unplaced) == ({}, set(), set(), [])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("customer.deleted", {"id": "cus_1", "object": "customer"}),
        ("customer.updated", {"id": "cus_1", "object": "customer"}),
        ("customer.subscription.deleted", {"id": "sub_1", "object": "subscription", "customer": "cus_1"}),
        ("customer.subscription.updated", {"id": "sub_1", "object": "subscription", "customer": "cus_1"}),
        ("credit_note.created", {"id": "cn_1", "object": "credit_note", "customer": "cus_1"}),
        ("payment_method.attached", {"id": "pm_1", "object": "payment_method", "customer": "cus_1"}),
    ],
)
def test_by_these_all_ladders_of_the_customer_are_looked_at(kind: str, body: dict[str, Any]) -> None:
    hints = hints_of([event(kind, body)])
    assert hints.customers == {"cus_1"}
    assert hints.invoices == set()


def test_a_detached_card_names_nobody_by_itself() -> None:
    told = event("payment_method.detached", {"id": "pm_1", "object": "payment_method", "customer": None})
    hints = hints_of([told])
    assert hints.customers == set()
    assert hints.unplaced == [told]


def test_no_type_that_is_handled_breaks_it() -> None:
    for number, kind in enumerate(sorted(HANDLED)):
        about = kind.rpartition(".")[0].removeprefix("customer.") or "customer"
        hints_of([event(kind, {"id": "x_1", "object": about, "customer": "cus_1"}, number=number)])
