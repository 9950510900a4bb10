"""A batch of events: the newest state of each object, doubt read again, what is stale or unreadable set apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe as sdk
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.sync.coalesce import coalesce, keys_of
from order_to_cash.domain.sync.fetching import fetched_state, payment_method_of, signals_of_fetched
from order_to_cash.domain.sync.handled import HANDLED, is_handled
from order_to_cash.domain.sync.shapes import Applied, ObjectKey
from order_to_cash.domain.sync.versions import state_digest
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.stripe_events import changed, event, thin
from tests.domain.sync.stripe_objects import CUSTOMER, T0

INVOICE = ObjectKey("invoice", "in_1")
CUSTOMER_KEY = ObjectKey("customer", CUSTOMER)


def at(second: int) -> datetime:
    return datetime.fromtimestamp(T0 + second, UTC)


def applied(body: dict[str, Any], second: int, *, fetched: bool = False) -> Applied:
    return Applied(at(second), fetched, state_digest(body))


def test_every_handled_type_is_one_that_stripe_has() -> None:
    known = set(sdk.Event.__annotations__["type"].__args__)
    assert HANDLED - known == set()


@pytest.mark.parametrize("kind", ["invoice.upcoming", "payout.paid", "x", ""])
def test_other_types_are_ignored(kind: str) -> None:
    assert not is_handled(kind)


def test_an_ignored_event_stands_among_the_ignored_alone() -> None:
    one = event("payout.paid", {"object": "payout", "id": "po_1"})
    seen = coalesce([one], {})
    assert seen.ignored == (one.event_id,)
    assert (seen.states, seen.stale) == ((), ())
    assert (seen.refetch, seen.unreadable) == ({}, {})
    assert keys_of([one]) == ()


def test_the_later_second_wins_for_all_events_of_the_object() -> None:
    draft, opened = stripe.invoice(), stripe.invoice(status="open")
    first, second = event("invoice.created", draft, T0), event("invoice.finalized", opened, T0 + 1)
    (state,) = coalesce([second, first], {}).states
    assert (state.body["status"], state.as_of, state.fetched) == ("open", at(1), False)
    assert state.event_ids == tuple(sorted([first.event_id, second.event_id]))
    assert state.customer_id == CUSTOMER


def test_two_states_of_one_second_without_evidence_are_read_again() -> None:
    one = event("customer.updated", stripe.customer(name="One"))
    other = event("customer.updated", stripe.customer(name="Other"))
    seen = coalesce([one, other], {})
    assert seen.refetch == {CUSTOMER_KEY: tuple(sorted([one.event_id, other.event_id]))}
    assert not seen.states


def test_an_update_says_what_was_before_it() -> None:
    one = stripe.customer(name="One")
    other, previous = changed(one, name="Other")
    (state,) = coalesce(
        [event("customer.updated", other, T0, previous), event("customer.created", one)], {}
    ).states
    assert state.body["name"] == "Other"


def test_there_and_back_in_one_second_is_doubt() -> None:
    one = stripe.customer(name="One")
    other, to_other = changed(one, name="Other")
    back, to_back = changed(other, name="One")
    events = [event("customer.updated", other, T0, to_other), event("customer.updated", back, T0, to_back)]
    assert CUSTOMER_KEY in coalesce(events, {}).refetch


def test_progress_that_runs_against_time_is_doubt() -> None:
    paid = event("invoice.paid", stripe.invoice(status="paid"), T0)
    later = event("invoice.updated", stripe.invoice(status="open"), T0 + 5)
    assert INVOICE in coalesce([paid, later], {}).refetch
    assert INVOICE in coalesce([later], {INVOICE: applied(stripe.invoice(status="paid"), 0)}).refetch


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize(
    ("second", "verdict"),
    [(-1, "stale"), (0, "refetch"), (1, "states")],
    ids=["older", "same second", "newer"],
)
def test_what_was_applied_decides(second: int, verdict: str, fetched: bool) -> None:
    known = {CUSTOMER_KEY: applied(stripe.customer(name="Known"), 0, fetched=fetched)}
    seen = coalesce([event("customer.updated", stripe.customer(name="Given"), T0 + second)], known)
    found = {"stale": seen.stale, "refetch": seen.refetch, "states": seen.states}
    assert [name for name, value in found.items() if value] == [verdict]


def test_which_of_older_states_is_the_newest_does_not_matter() -> None:
    events = [event("customer.updated", stripe.customer(name=name), T0) for name in ("One", "Other")]
    assert len(coalesce(events, {CUSTOMER_KEY: applied(stripe.customer(), 1, fetched=True)}).stale) == 2
    assert coalesce(events, {CUSTOMER_KEY: applied(stripe.customer(), 0, fetched=True)}).refetch


def test_the_same_body_again_is_stale_and_shown_later_moves_the_moment() -> None:
    body = stripe.customer()
    known = {CUSTOMER_KEY: applied(body, 0)}
    assert coalesce([event("customer.updated", body, T0)], known).stale
    (state,) = coalesce([event("customer.updated", body, T0 + 9)], known).states
    assert state.as_of == at(9)


def test_progress_outranks_a_later_stamp_and_keeps_it() -> None:
    known = {INVOICE: applied(stripe.invoice(status="open"), 7, fetched=True)}
    seen = coalesce([event("invoice.paid", stripe.invoice(status="paid"), T0 + 7)], known)
    assert [state.as_of for state in seen.states] == [at(7)]


def test_a_stale_event_still_tells_what_happened() -> None:
    body = stripe.invoice(status="open", attempt_count=1)
    known = {INVOICE: applied(stripe.invoice(status="paid"), 100)}
    seen = coalesce([event("invoice.payment_failed", body)], known)
    assert seen.stale
    assert [signal.key for signal in seen.signals] == ["o2c:signal:payment_failed:in_1:1"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("customer.deleted", stripe.customer(deleted=True)),
        ("product.deleted", stripe.product(deleted=True)),
        ("price.deleted", stripe.price(deleted=True)),
        ("invoice.deleted", stripe.invoice()),
    ],
)
def test_deleted_is_the_end(kind: str, body: dict[str, Any]) -> None:
    earlier = event(kind.replace("deleted", "updated"), {**body, "deleted": None}, T0 + 5)
    seen = coalesce([earlier, event(kind, body, T0 + 5)], {})
    assert [state.deleted for state in seen.states] == [True]


def test_a_canceled_subscription_is_no_deleted_one() -> None:
    body = stripe.subscription(status="canceled")
    (state,) = coalesce([event("customer.subscription.deleted", body)], {}).states
    assert not state.deleted


def test_a_thin_event_is_read_and_then_tells_its_signal() -> None:
    one = thin("v1.invoice.payment_failed", "invoice", "in_1")
    seen = coalesce([one], {})
    assert seen.refetch == {INVOICE: (one.event_id,)}
    body = stripe.invoice(status="open", attempt_count=3)
    state = fetched_state(INVOICE, body, at(0), [one.event_id])
    assert [signal.key for signal in signals_of_fetched([one], [state])] == [
        "o2c:signal:payment_failed:in_1:3"
    ]


def test_an_older_version_that_lacks_something_is_read_again() -> None:
    body = stripe.invoice(status="open", attempt_count=2)
    assert INVOICE in coalesce([event("invoice.payment_failed", body)], {}).refetch


def test_a_product_read_with_its_price_is_what_its_event_showed() -> None:
    shown = stripe.product(default_price="price_team")
    assert state_digest(shown) == state_digest(stripe.product(default_price=stripe.price()))


def test_a_charge_of_an_older_version_brings_its_refunds() -> None:
    body = stripe.charge(amount_refunded=4_000, refunds={"object": "list", "data": [stripe.refund()]})
    one = event("charge.refunded", body)
    states = {state.key.type: state for state in coalesce([one], {}).states}
    assert set(states) == {"charge", "refund"}
    assert states["refund"].event_ids == (one.event_id,)
    assert states["refund"].customer_id == CUSTOMER
    # What is shown of them is asked for: an older charge must not undo what its refund has come to since.
    older = replace(one, api_version="2020-08-27")
    assert set(keys_of([older])) == {state.key for state in states.values()}
    failed = applied(stripe.refund(status="failed"), 5)
    later = coalesce([older], {states["refund"].key: failed})
    assert [state.key.type for state in later.states] == ["charge"]


def test_one_unreadable_event_holds_up_no_other() -> None:
    good = event("invoice.created", stripe.invoice())
    bad = event("customer.subscription.deleted", stripe.subscription(currency="zzz"))
    strange = event("invoice.paid", {"object": "toaster", "id": "to_1"})
    seen = coalesce([bad, good, strange], {})
    assert [state.key for state in seen.states] == [INVOICE]
    assert set(seen.unreadable) == {bad.event_id, strange.event_id}
    codes = {seen.unreadable[bad.event_id].code, seen.unreadable[strange.event_id].code}
    assert codes == {"currency_unknown", "stripe_object_unreadable"}


def test_a_detached_payment_method_still_tells_whose_it_was() -> None:
    body, previous = changed(stripe.payment_method(), customer=None)
    seen = coalesce([event("payment_method.detached", body, T0, previous)], {})
    assert seen.cards == (CUSTOMER,)
    assert seen.states[0].customer_id == CUSTOMER


def test_only_what_may_change_the_card_asks_for_it() -> None:
    body, previous = changed(stripe.customer(), name="New name")
    assert coalesce([event("customer.updated", body, T0, previous)], {}).cards == ()
    settings = {"default_payment_method": "pm_2"}
    body, previous = changed(stripe.customer(), invoice_settings=settings)
    assert coalesce([event("customer.updated", body, T0, previous)], {}).cards == (CUSTOMER,)


def test_the_payment_method_of_a_customer_is_the_default_one() -> None:
    method = stripe.payment_method()
    assert payment_method_of(stripe.customer(invoice_settings={"default_payment_method": method})) == method
    assert payment_method_of(stripe.customer()) is None
    card = {"object": "card", "brand": "Visa", "last4": "4242"}
    assert payment_method_of(stripe.customer(default_source=card)) == {"type": "card", "card": card}


def test_what_is_gone_from_stripe_is_a_deleted_state() -> None:
    state = fetched_state(INVOICE, None, at(0), ["evt_b", "evt_a", "evt_b"])
    assert (state.deleted, state.body["id"], state.event_ids) == (True, "in_1", ("evt_a", "evt_b"))


EVENTS = [
    event("invoice.created", stripe.invoice()),
    event("invoice.finalized", stripe.invoice(status="open")),
    event("invoice.updated", stripe.invoice(status="open", number="A-1")),
    event("customer.created", stripe.customer(name="One")),
    event("customer.updated", stripe.customer(name="Two"), T0 + 1),
    event("customer.updated", stripe.customer(name="Three"), T0 + 1),
    event("charge.succeeded", stripe.charge()),
    event("charge.refunded", stripe.charge(amount_refunded=5), T0 + 2),
    event("payment_method.attached", stripe.payment_method()),
    event("payout.paid", {"object": "payout", "id": "po_1"}),
    event("customer.subscription.deleted", stripe.subscription(currency="zzz")),
    thin("v1.product.updated", "product", "prod_1"),
]


@given(st.data())
def test_neither_order_nor_duplicates_change_anything(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=8))
    again = data.draw(st.permutations(chosen + data.draw(st.lists(st.sampled_from(chosen), max_size=5))))
    known = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                INVOICE: st.sampled_from(
                    [applied(stripe.invoice(), 0), applied(stripe.invoice(status="paid"), 9)]
                ),
                CUSTOMER_KEY: st.sampled_from(
                    [applied(stripe.customer(name="Two"), 1), Applied(at(5), True, "")]
                ),
            },
        )
    )
    assert coalesce(again, known) == coalesce(chosen, known)
    seen = coalesce(chosen, known)
    placed = [
        *(one for state in seen.states for one in state.event_ids),
        *(one for ids in seen.refetch.values() for one in ids),
        *seen.stale,
        *seen.ignored,
        *seen.unreadable,
    ]
    assert sorted(placed) == sorted({one.event_id for one in chosen})
