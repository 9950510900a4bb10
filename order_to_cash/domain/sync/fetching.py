"""What is read from Stripe, how, and how it becomes a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.sync.coalesce import customer_of_event
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Body, ObjectKey, Signal, State
from order_to_cash.domain.sync.signals import signals_of
from order_to_cash.domain.sync.versions import state_digest

EXPAND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "invoice": ("payments", "payments.data.payment.payment_intent"),
        "subscription": ("items.data.price.tiers",),
        "customer": ("invoice_settings.default_payment_method",),
        "product": ("default_price",),
    }
)
"""Object type → `expand` of its retrieve call."""

LISTS: Mapping[str, tuple[str, ...]] = MappingProxyType({"invoice": ("lines",), "subscription": ("items",)})
"""Object type → embedded lists that must be whole: where `has_more`, the rest is listed and `data` replaced."""


def fetched_state(key: ObjectKey, body: Body | None, as_of: datetime, event_ids: Sequence[str]) -> State:
    """The state that Stripe just showed. `body` None: it is no longer there (404).

    `as_of`: `Fetched.at`, or the newest `created` of the events that asked for it where that is later.
    """
    gone = body is None or body.get("deleted") is True
    made = normalize({"object": key.type, "id": key.id} if body is None else body)
    return State(
        key=key,
        body=made,
        as_of=as_of,
        fetched=True,
        deleted=gone,
        customer_id=customer_of_event(key, made),
        event_ids=tuple(sorted(set(event_ids))),
        digest=state_digest(made, deleted=gone),
    )


def signals_of_fetched(events: Iterable[StripeEvent], states: Iterable[State]) -> tuple[Signal, ...]:
    """The signals of thin events, whose bodies say nothing, from the states that were read for them.

    What a thin event changed is not told, so that changes of plan and scheduled cancellations are not among them.
    """
    bodies = {state.key: state.body for state in states if not state.deleted}
    found: dict[str, Signal] = {}
    for event in sorted(events, key=lambda one: (one.created, one.event_id)):
        body = bodies.get(ObjectKey(event.object_type, event.object_id))
        if event.thin and body is not None:
            for signal in signals_of(event, body, {}):
                found.setdefault(signal.key, signal)
    return tuple(found[key] for key in sorted(found))


def payment_method_of(customer: Body) -> Body | None:
    """The payment method that a customer, read with `EXPAND`, is charged by; None where it names none.

    Then its newest attached one is listed (`GET /v1/customers/{id}/payment_methods`, limit 1), for `Context.cards`.
    """
    settings = customer.get("invoice_settings")
    method = settings.get("default_payment_method") if isinstance(settings, Mapping) else None
    if isinstance(method, Mapping):
        return method
    source = customer.get("default_source")
    return {"type": "card", "card": source} if isinstance(source, Mapping) and source.get("last4") else None
