"""Which payment pays which invoice, whose it is, and what has to stand or be read before."""

from __future__ import annotations

import itertools

import pytest

from order_to_cash.domain.sync.links import customer_of, invoice_of, links_of, needs_of
from order_to_cash.domain.sync.parents import parents_of
from order_to_cash.domain.sync.shapes import Links, Needs, ObjectKey
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import state
from tests.domain.sync.stripe_objects import CUSTOMER, Json

EVERYTHING = [
    state(body)
    for body in (
        stripe.charge(),
        stripe.failed_charge(),
        stripe.invoice_payment(),
        stripe.payment_intent(),
        stripe.refund(),
    )
]


def test_links_do_not_depend_on_the_order_of_states() -> None:
    wanted = links_of(EVERYTHING)
    assert all(links_of(order) == wanted for order in itertools.permutations(EVERYTHING))
    assert wanted.invoice_of == {"pi_1": "in_1", "ch_1": "in_1"}
    assert wanted.charge_of == {"pi_1": "ch_1"}


def test_an_attempt_that_failed_never_stands_for_the_money() -> None:
    declined = stripe.payment_intent(status="requires_payment_method", latest_charge="ch_0")
    links = links_of([state(stripe.failed_charge()), state(declined), state(stripe.invoice_payment())])
    assert links.charge_of == {}
    assert needs_of([state(stripe.invoice_payment())], links).objects == (
        ObjectKey("payment_intent", "pi_1"),
    )


def test_a_fetched_invoice_tells_what_pays_it() -> None:
    paying = {"type": "payment_intent", "payment_intent": stripe.payment_intent()}
    links = links_of([state(stripe.invoice(payments={"data": [{"payment": paying}]}))])
    assert (links.invoice_of["pi_1"], links.charge_of["pi_1"]) == ("in_1", "ch_1")


def test_a_charge_of_an_older_version_names_its_invoice() -> None:
    body = stripe.charge(invoice="in_old")
    assert links_of([state(body)]).invoice_of == {"ch_1": "in_old", "pi_1": "in_old"}
    assert invoice_of(body, Links(), "ch_1") == "in_old"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (stripe.charge(), Needs()),  # its invoice payment will come
        (stripe.failed_charge(), Needs(invoice_payments_of=("pi_1",))),
        (stripe.refund(), Needs((ObjectKey("charge", "ch_1"),), ("pi_1",))),
        (stripe.refund(customer=CUSTOMER), Needs(invoice_payments_of=("pi_1",))),
        (stripe.dispute(), Needs((ObjectKey("charge", "ch_1"),), ("pi_1",))),
        (stripe.invoice_payment(), Needs((ObjectKey("payment_intent", "pi_1"),))),
        (stripe.invoice_payment(status="open"), Needs((ObjectKey("invoice", "in_1"),))),
        (
            stripe.invoice_payment(payment={"type": "payment_record", "payment_record": "pmtr_1"}),
            Needs((ObjectKey("invoice", "in_1"),)),
        ),
        (stripe.invoice(), Needs()),
    ],
)
def test_only_what_is_rare_is_read(body: Json, wanted: Needs) -> None:
    needs = needs_of([state(body)], links_of([state(body)]))
    assert needs == wanted
    assert bool(needs) is (wanted != Needs())


def test_what_names_no_customer_is_its_charges() -> None:
    links = links_of(EVERYTHING)
    for one in EVERYTHING:
        assert customer_of(one, links) == CUSTOMER
    assert customer_of(state(stripe.dispute()), Links()) == ""


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (stripe.subscription(), ["product prod_team"]),
        (stripe.invoice(), ["subscription sub_1"]),
        (stripe.invoice(status="open"), ["subscription sub_1", "product prod_team"]),
        (stripe.invoice(parent=None), []),
        (stripe.charge(), ["invoice in_1"]),
        (stripe.refund(), ["charge ch_1", "invoice in_1"]),
        (stripe.dispute(), ["charge ch_1", "invoice in_1"]),
        (stripe.credit_note(), ["invoice in_1"]),
        (stripe.invoice_payment(), ["invoice in_1", "charge ch_1"]),
        (stripe.payment_intent(), ["charge ch_1"]),
        (stripe.price(), ["product prod_team"]),
        (
            {"object": "checkout.session", "id": "cs_1", "invoice": "in_1", "payment_intent": {"id": "pi_1"}},
            ["invoice in_1", "payment_intent pi_1"],
        ),
        (stripe.customer(), []),
        (stripe.product(), []),
    ],
)
def test_what_must_stand_before(body: Json, wanted: list[str]) -> None:
    links = links_of(EVERYTHING)
    assert [f"{key.type} {key.id}" for key in parents_of(state(body), links)] == wanted


def test_of_what_is_deleted_only_a_draft_still_hangs_on_something() -> None:
    assert parents_of(state(stripe.subscription(), deleted=True)) == ()
    assert parents_of(state(stripe.invoice(), deleted=True)) == (ObjectKey("subscription", "sub_1"),)
