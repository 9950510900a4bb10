"""Older API versions in today's shape: what moved is found, what is missing stays missing."""

from __future__ import annotations

import copy

import pytest

from order_to_cash.domain.sync.bodies import items, walk
from order_to_cash.domain.sync.invoices import product_of, subscription_of
from order_to_cash.domain.sync.links import links_of
from order_to_cash.domain.sync.normalize import lacks, normalize
from order_to_cash.domain.sync.shapes import ObjectKey, State
from order_to_cash.domain.sync.signals import period_end
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.replaying import NOW
from tests.domain.sync.stripe_objects import T0, Json

PLAN: Json = {
    "id": "plan_gold",
    "object": "plan",
    "amount": 900,
    "currency": "eur",
    "interval": "year",
    "interval_count": 1,
    "name": "Gold",
    "product": "prod_gold",
}


def old_invoice() -> Json:
    """As of 2019: before 2025-03-31, with what has moved since."""
    body = stripe.invoice(status="open", attempt_count=1)
    del body["parent"], body["total_taxes"], body["collection_method"]
    return body | {
        "billing": "send_invoice",
        "charge": "ch_9",
        "payment_intent": "pi_9",
        "paid": False,
        "subscription": "sub_9",
        "tax": 190,
        "lines": {
            "object": "list",
            "has_more": False,
            "data": [
                {
                    "id": "il_9",
                    "object": "line_item",
                    "amount": 900,
                    "currency": "eur",
                    "plan": PLAN,
                    "proration": True,
                    "subscription": "sub_9",
                    "subscription_item": "si_9",
                    "tax_amounts": [{"amount": 5}],
                    "type": "subscription",
                }
            ],
        },
    }


def state(body: Json) -> State:
    key = ObjectKey(body["object"], body["id"])
    return State(key, normalize(body), NOW, False, False, "cus_1", (), "")


def test_an_old_invoice_names_subscription_payment_taxes_and_prices_where_they_stand_now() -> None:
    made = normalize(old_invoice())
    assert subscription_of(made) == "sub_9"
    assert made["collection_method"] == "send_invoice"
    assert made["total_taxes"] == [{"amount": 190}]
    assert links_of([state(old_invoice())]).invoice_of == {"pi_9": "in_1"}
    (line,) = items(made["lines"])
    assert product_of(line) == "prod_gold"
    assert walk(line, "pricing", "price_details", "price") == "plan_gold"
    assert walk(line, "parent", "subscription_item_details", "proration") is True
    assert line["taxes"] == [{"amount": 5}]


def test_an_old_subscription_tells_its_period_and_prices_by_items() -> None:
    body = stripe.subscription()
    del body["items"], body["currency"], body["start_date"]
    body |= {
        "plan": PLAN,
        "quantity": 3,
        "current_period_start": T0,
        "current_period_end": T0 + 99,
        "start": T0,
    }
    made = normalize(body)
    assert period_end(made) == T0 + 99
    assert (made["currency"], made["start_date"]) == ("eur", T0)
    (item,) = items(made["items"])
    assert (item["price"]["unit_amount"], item["price"]["recurring"]["interval"], item["quantity"]) == (
        900,
        "year",
        3,
    )
    assert lacks(made) == ()


def test_an_old_payment_intent_names_its_newest_charge() -> None:
    body = stripe.payment_intent(latest_charge=None)
    body["charges"] = {"data": [{"id": "ch_2", "created": 2}, {"id": "ch_1", "created": 1}]}
    assert normalize(body)["latest_charge"] == "ch_2"


@pytest.mark.parametrize(
    "body",
    [
        old_invoice(),
        stripe.invoice(),
        stripe.subscription(),
        stripe.subscription() | {"plan": PLAN},
        stripe.payment_intent(),
        stripe.credit_note(),
        stripe.charge(),
        stripe.customer(),
        {"object": "never_heard_of", "id": "x_1"},
        {},
    ],
)
def test_normalizing_twice_is_normalizing_once_and_changes_no_argument(body: Json) -> None:
    given = copy.deepcopy(body)
    once = normalize(body)
    assert body == given
    assert normalize(once) == once


@pytest.mark.parametrize("body", [stripe.invoice(), stripe.subscription(), stripe.charge(), stripe.refund()])
def test_todays_shape_stays_as_it_is_and_lacks_nothing(body: Json) -> None:
    assert normalize(body) == body
    assert lacks(body) == ()


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (stripe.invoice(status="open", attempt_count=1), "payments"),
        (stripe.invoice(status="open", lines={"has_more": True, "data": []}), "lines"),
        (stripe.invoice(status=None), "status"),
        (stripe.subscription(stripe.item(current_period_end=None)), "current_period_end"),
        (
            stripe.subscription(stripe.item(price=stripe.price(billing_scheme="tiered", unit_amount=None))),
            "tiers",
        ),
        (stripe.product(default_price="price_1"), "default_price"),
        (stripe.charge(currency=None), "currency"),
    ],
)
def test_what_a_body_lacks_is_named(body: Json, missing: str) -> None:
    assert lacks(normalize(body)) == (missing,)


@pytest.mark.parametrize(
    "body",
    [
        # nothing was attempted, nothing is owed, or it has been said
        stripe.invoice(status="open", attempt_count=0),
        stripe.invoice(status="paid", attempt_count=2),
        stripe.invoice(status="draft", lines={"has_more": True, "data": []}),
        stripe.invoice(
            status="open", attempt_count=1, payments={"data": [stripe.invoice_payment(status="open")]}
        ),
        stripe.subscription(
            stripe.item(
                price=stripe.price(
                    billing_scheme="tiered", recurring={"interval": "month", "usage_type": "metered"}
                )
            )
        ),
    ],
)
def test_what_is_not_needed_is_not_asked_for(body: Json) -> None:
    assert lacks(normalize(body)) == ()
