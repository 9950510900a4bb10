"""Facts are what Stripe says, of any API version; what it does not say is None."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.facts import (
    InvoiceFacts,
    InvoiceStatus,
    decline_class,
    read_facts,
)
from order_to_cash.domain.dunning.steps import Billing, DeclineClass
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod

AT = 1_772_530_200
MOMENT = datetime.fromtimestamp(AT, UTC)


def declined(reason: str, created: int = AT, code: str = "card_declined") -> dict[str, Any]:
    error = {"code": code, "decline_code": reason}
    intent = {"object": "payment_intent", "id": "pi_1", "created": created, "last_payment_error": error}
    return {"object": "invoice_payment", "payment": {"type": "payment_intent", "payment_intent": intent}}


INVOICE: dict[str, Any] = {
    "object": "invoice",
    "id": "in_1",
    "status": "open",
    "currency": "usd",
    "amount_remaining": 4200,
    "attempt_count": 2,
    "next_payment_attempt": AT,
    "due_date": None,
    "collection_method": "charge_automatically",
    "parent": {"subscription_details": {"subscription": "sub_1"}},
    "payments": {"object": "list", "data": [declined("generic_decline", AT - 9), declined("expired_card")]},
}
SUBSCRIPTION = {
    "object": "subscription",
    "id": "sub_1",
    "status": "past_due",
    "cancel_at": AT,
    "ended_at": None,
}


def test_everything_that_is_told_is_read() -> None:
    assert read_facts(INVOICE, SUBSCRIPTION, {"object": "customer", "id": "cus_1"}) == InvoiceFacts(
        status=InvoiceStatus.OPEN,
        attempt_count=2,
        next_payment_attempt=MOMENT,
        amount_remaining=Money(4200, "usd"),
        decline_code="expired_card",
        collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
        subscription_id="sub_1",
        subscription_status="past_due",
        subscription_ends_at=MOMENT,
        customer_deleted=False,
    )


def test_what_is_not_told_is_not_known() -> None:
    assert read_facts({"object": "invoice", "id": "in_1"}) == InvoiceFacts()
    assert InvoiceFacts().billing is None
    assert InvoiceFacts().decline_class is None


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"status": "on_hold"}, {"status": None}),
        ({"status": {}}, {"status": None}),
        ({"currency": "xxx"}, {"amount_remaining": None}),
        ({"collection_method": "barter"}, {"collection_method": None}),
        ({"parent": None}, {"subscription_id": ""}),
        ({"payments": None}, {"decline_code": None}),
        ({"parent": None, "subscription": "sub_2"}, {"subscription_id": "sub_2"}),  # before basil
        ({"next_payment_attempt": None}, {"next_payment_attempt": None}),
        ({"due_date": AT}, {"due_at": MOMENT}),
        ({"payments": {"data": [declined("", code="account_closed")]}}, {"decline_code": "account_closed"}),
    ],
)
def test_single_facts(told: dict[str, Any], read: dict[str, Any]) -> None:
    known = read_facts({**INVOICE, **told})
    assert {name: getattr(known, name) for name in read} == read


@pytest.mark.parametrize(
    ("statuses", "under_way"),
    [
        (["requires_payment_method"], False),
        (["canceled", "processing"], True),
        (["processing", None], True),  # whatever became of the other
        (["canceled", None], None),
        ([], None),
    ],
)
def test_a_payment_is_under_way_or_it_is_not_known(
    statuses: list[str | None], under_way: bool | None
) -> None:
    intents = [{"id": "pi_1", "status": status} if status else "pi_2" for status in statuses]
    payments = {"data": [{"payment": {"payment_intent": intent}} for intent in intents]}
    assert read_facts({**INVOICE, "payments": payments}).payment_under_way is under_way


def test_what_was_deleted_is_gone() -> None:
    assert read_facts({"object": "invoice", "id": "in_1", "deleted": True}).gone
    assert read_facts(INVOICE, None, {"object": "customer", "id": "cus_1", "deleted": True}).customer_deleted
    assert read_facts(INVOICE).customer_deleted is None


def test_a_cancellation_at_the_periods_end_is_an_end() -> None:
    items = {"data": [{"current_period_end": AT}]}
    ending = {"object": "subscription", "cancel_at_period_end": True, "items": items}
    assert read_facts(INVOICE, ending).subscription_ends_at == MOMENT
    assert read_facts(INVOICE, {**ending, "cancel_at_period_end": False}).subscription_ends_at is None


def test_one_off_or_subscription() -> None:
    assert read_facts(INVOICE).billing is Billing.SUBSCRIPTION
    assert read_facts({**INVOICE, "parent": None}).billing is Billing.ONE_OFF


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("stolen_card", DeclineClass.HARD),
        (" Lost_Card ", DeclineClass.HARD),
        ("debit_not_authorized", DeclineClass.HARD),
        ("authentication_required", DeclineClass.CONFIRMATION),
        ("insufficient_funds", DeclineClass.SOFT),
        ("expired_card", DeclineClass.SOFT),  # banks send the new card to Stripe
        ("", None),
        ("never_heard_of", None),
    ],
)
def test_declines_have_a_class(code: str, found: DeclineClass | None) -> None:
    assert decline_class(code) is found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([name for name in INVOICE if name != "object"]), JSON))
def test_no_body_breaks_the_reading(told: dict[str, Any]) -> None:
    read_facts({**INVOICE, **told}, told, told)
