"""Whole lives of Stripe objects: what happens to them, in order, and what each was since when."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.shapes import Body, ObjectKey
from tests.domain.sync.replaying import Truth
from tests.domain.sync.stripe_events import changed, event
from tests.domain.sync.stripe_objects import (
    T0,
    Json,
    charge,
    dispute,
    failed_charge,
    invoice,
    invoice_payment,
    item,
    payment_intent,
    refund,
    subscription,
)

Life = tuple[list[StripeEvent], Truth]


def failing_then_paid(second: int = 1) -> Life:
    """An invoice whose first attempt fails; `second` is how many seconds lie between what happens (0: all at once)."""
    draft = invoice()
    opened = {
        **draft,
        "status": "open",
        "number": "A-1",
        "status_transitions": {"finalized_at": T0 + second, "paid_at": None, "voided_at": None},
    }
    failed = {**opened, "attempt_count": 1, "next_payment_attempt": T0 + 259_200}
    paid = {
        **failed,
        "status": "paid",
        "amount_paid": 10_000,
        "amount_remaining": 0,
        "attempt_count": 2,
        "next_payment_attempt": None,
        "status_transitions": {"finalized_at": T0 + second, "paid_at": T0 + 4 * second, "voided_at": None},
    }
    _, before_failed = changed(opened, attempt_count=1, next_payment_attempt=T0 + 259_200)
    _, before_paid = changed(failed, **{name: paid[name] for name in paid if paid[name] != failed.get(name)})
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No money."}
    declined = payment_intent(
        status="requires_payment_method", latest_charge="ch_0", last_payment_error=error
    )
    at = [T0 + number * second for number in range(6)]
    events = [
        event("invoice.created", draft, at[0]),
        event("invoice.finalized", opened, at[1]),
        event("invoice.payment_failed", failed, at[2]),
        event("invoice.updated", failed, at[2], before_failed),
        event("invoice.paid", paid, at[4]),
        event("invoice.updated", paid, at[4], before_paid),
    ]
    shown = {
        "object": "list",
        "data": [
            {
                **invoice_payment(status="open"),
                "payment": {"type": "payment_intent", "payment_intent": declined},
            }
        ],
    }
    truth = {
        ObjectKey("invoice", "in_1"): [
            (at[0], draft),
            (at[1], {**opened, "payments": {"object": "list", "data": []}}),
            (at[2], {**failed, "payments": shown}),
            (at[4], paid),
        ],
        ObjectKey("subscription", "sub_1"): [(T0 - 10, subscription())],
    }
    return events, truth


def changing_subscription(second: int = 1) -> Life:
    made = subscription(status="incomplete")
    active, to_active = changed(made, status="active")
    grown, to_grown = resized(active, 5)
    shrunk, to_shrunk = resized(grown, 1)
    leaving, to_leaving = changed(shrunk, cancel_at_period_end=True, cancel_at=T0 + 2_592_000)
    ended, _ = changed(leaving, status="canceled", ended_at=T0 + 6 * second, canceled_at=T0 + 5 * second)
    at = [T0 + number * second for number in range(6)]
    bodies = [made, active, grown, shrunk, leaving, ended]
    events = [
        event("customer.subscription.created", made, at[0]),
        event("customer.subscription.updated", active, at[1], to_active),
        event("customer.subscription.updated", grown, at[2], to_grown),
        event("customer.subscription.updated", shrunk, at[3], to_shrunk),
        event("customer.subscription.updated", leaving, at[4], to_leaving),
        event("customer.subscription.deleted", ended, at[5]),
    ]
    return events, {ObjectKey("subscription", "sub_1"): list(zip(at, bodies, strict=True))}


def resized(body: Json, quantity: int) -> tuple[Json, Json]:
    return {**body, "items": {"object": "list", "data": [item(quantity)], "has_more": False}}, {
        "items": {"data": body["items"]["data"]}
    }


def paid_and_refunded(second: int = 1) -> Life:
    before_refund = charge("ch_1", created=T0 + second)
    back, to_back = changed(before_refund, amount_refunded=4_000)
    failed = failed_charge("ch_0", created=T0)
    paying = invoice_payment()
    given_back = refund()
    events = [
        event("charge.failed", failed, T0),
        event("charge.succeeded", before_refund, T0 + second),
        event("payment_intent.succeeded", payment_intent(), T0 + second),
        event("invoice_payment.paid", paying, T0 + second),
        event("charge.refunded", back, T0 + 2 * second, to_back),
        event("refund.created", given_back, T0 + 2 * second),
    ]
    paid = invoice(status="paid", amount_paid=10_000, amount_remaining=0)
    truth = {
        ObjectKey("charge", "ch_0"): [(T0, failed)],
        ObjectKey("charge", "ch_1"): [(T0 + second, before_refund), (T0 + 2 * second, back)],
        ObjectKey("payment_intent", "pi_1"): [(T0, payment_intent())],
        ObjectKey("invoice_payment", "inpay_1"): [(T0, paying)],
        ObjectKey("invoice", "in_1"): [(T0 - 5, paid)],
        ObjectKey("subscription", "sub_1"): [(T0 - 10, subscription())],
        ObjectKey("refund", "re_1"): [(T0 + 2 * second, given_back)],
    }
    return events, truth


Step = tuple[str, Json, int] | tuple[str, Json, int, Json]
"""Event type, body, how many steps of time after the first, previous_attributes."""

_AROUND: Mapping[ObjectKey, list[tuple[int, Body | None]]] = {
    ObjectKey("subscription", "sub_1"): [(T0 - 10, subscription())],
    ObjectKey("invoice", "in_1"): [(T0 - 5, invoice(status="paid", amount_paid=10_000, amount_remaining=0))],
    ObjectKey("charge", "ch_1"): [(T0 - 5, charge())],
    ObjectKey("payment_intent", "pi_1"): [(T0 - 5, payment_intent())],
    ObjectKey("invoice_payment", "inpay_1"): [(T0 - 5, invoice_payment())],
}


def life(second: int, *steps: Step) -> Life:
    """The events of `steps`, and the truth that follows from them: what an event shows holds from its second on."""
    events: list[StripeEvent] = []
    truth: dict[ObjectKey, list[tuple[int, Body | None]]] = {}
    for kind, body, step, *previous in steps:
        at = T0 + step * second
        events.append(event(kind, body, at, *previous))
        gone = kind == "invoice.deleted"
        truth.setdefault(ObjectKey(body["object"], body["id"]), []).append((at, None if gone else body))
    return events, {**_AROUND, **truth}


def opened(**more: object) -> Json:
    return invoice(status="open", number="A-1", **more)


def voided(second: int = 1) -> Life:
    sent, void = opened(), opened() | {"status": "void"}
    draft, previous = changed(invoice(), description="Thanks")
    return life(
        second,
        ("invoice.created", invoice(), 0),
        ("invoice.updated", draft, 1, previous),
        ("invoice.finalized", sent, 2),
        ("invoice.sent", sent, 2),
        ("invoice.voided", void, 3),
    )


def deleted_draft(second: int = 1) -> Life:
    named, previous = changed(invoice(), description="Thanks")
    update = ("invoice.updated", named, 1, previous)
    return life(second, ("invoice.created", invoice(), 0), update, ("invoice.deleted", named, 2))


def written_off_then_paid(second: int = 1) -> Life:
    sent = opened(collection_method="send_invoice", due_date=T0 + 2)
    lost = sent | {"status": "uncollectible"}
    paid = sent | {"status": "paid", "amount_paid": 10_000, "amount_remaining": 0}
    return life(
        second,
        ("invoice.finalized", sent, 0),
        ("invoice.sent", sent, 1),
        ("invoice.overdue", sent, 2),
        ("invoice.marked_uncollectible", lost, 3),
        ("invoice.paid", paid, 4),
    )


def paid_outside_stripe(second: int = 1) -> Life:
    sent = opened()
    paid = sent | {
        "status": "paid",
        "amount_paid": 10_000,
        "amount_paid_off_stripe": 10_000,
        "amount_remaining": 0,
    }
    record = invoice_payment(payment={"type": "payment_record", "payment_record": "pmtr_1"})
    return life(
        second,
        ("invoice.finalized", sent, 0),
        ("invoice_payment.paid", record, 1),
        ("invoice.paid", paid, 1),
        ("invoice.payment_succeeded", paid, 1),
    )


def paid_in_parts(second: int = 1) -> Life:
    part, whole = (
        opened(amount_paid=4_000, amount_remaining=6_000),
        opened(amount_paid=10_000, amount_remaining=0),
    )
    _, previous = changed(opened(), amount_paid=4_000, amount_remaining=6_000)
    first = charge("ch_1", amount=4_000, amount_captured=4_000)
    second_charge = charge("ch_2", amount=6_000, amount_captured=6_000, payment_intent="pi_2", created=T0 + 2)
    paying = {"type": "payment_intent", "payment_intent": "pi_2"}
    events, truth = life(
        second,
        ("charge.succeeded", first, 0),
        ("invoice_payment.paid", invoice_payment(amount_paid=4_000), 0),
        ("invoice.updated", part, 1, previous),
        ("charge.succeeded", second_charge, 2),
        ("invoice_payment.paid", invoice_payment(id="inpay_2", amount_paid=6_000, payment=paying), 2),
        ("invoice.paid", whole | {"status": "paid"}, 3),
    )
    intent = payment_intent(id="pi_2", latest_charge="ch_2")
    return events, {**truth, ObjectKey("payment_intent", "pi_2"): [(T0 - 5, intent)]}


def disputed(second: int = 1) -> Life:
    fought, previous = changed(charge(), disputed=True)
    return life(
        second,
        ("charge.succeeded", charge(), 0),
        ("invoice_payment.paid", invoice_payment(), 0),
        ("charge.dispute.created", dispute(), 1),
        ("charge.updated", fought, 1, previous),
        ("charge.dispute.closed", dispute(status="lost"), 2),
    )


def trial_that_ends_unpaid(second: int = 1) -> Life:
    trial = subscription(status="trialing", trial_end=T0 + 3)
    active, to_active = changed(trial, status="active")
    late, to_late = changed(active, status="past_due")
    return life(
        second,
        ("customer.subscription.created", trial, 0),
        ("customer.subscription.trial_will_end", trial, 1),
        ("customer.subscription.updated", active, 2, to_active),
        ("customer.subscription.updated", late, 3, to_late),
        ("customer.subscription.deleted", late | {"status": "canceled", "ended_at": T0 + 4}, 4),
    )


def never_begun(second: int = 1) -> Life:
    made = subscription(status="incomplete")
    expired, previous = changed(made, status="incomplete_expired")
    ended = ("customer.subscription.updated", expired, 1, previous)
    return life(second, ("customer.subscription.created", made, 0), ended)


def paused_and_back(second: int = 1) -> Life:
    active = subscription()
    paused, to_paused = changed(active, status="paused")
    back, to_back = changed(paused, status="active")
    return life(
        second,
        ("customer.subscription.created", active, 0),
        ("customer.subscription.updated", paused, 1, to_paused),
        ("customer.subscription.paused", paused, 1),
        ("customer.subscription.updated", back, 2, to_back),
        ("customer.subscription.resumed", back, 2),
    )


LIVES: Mapping[str, Callable[[int], Life]] = {
    "an invoice fails, then is paid": failing_then_paid,
    "an invoice is voided": voided,
    "a draft is deleted": deleted_draft,
    "an invoice is written off, then paid": written_off_then_paid,
    "an invoice is paid outside Stripe": paid_outside_stripe,
    "an invoice is paid in parts": paid_in_parts,
    "a payment is refunded in part": paid_and_refunded,
    "a payment is disputed": disputed,
    "a subscription grows, shrinks, ends": changing_subscription,
    "a trial ends unpaid": trial_that_ends_unpaid,
    "a subscription never begins": never_begun,
    "a subscription is paused and resumed": paused_and_back,
}
