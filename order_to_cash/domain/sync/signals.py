"""What happened and must be heard of, one signal for each business fact, whatever event tells it and how often.

Keys are made of what the fact is made of (invoice and attempt, dispute, subscription and moment), never of event ids:
a replayed event and Stripe's twin events give the same key.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.identity import digest
from order_to_cash.domain.sync.bodies import items, mapping, ref, text, walk, whole
from order_to_cash.domain.sync.handled import snapshot_type
from order_to_cash.domain.sync.mrr import plan_value
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Body, ObjectKey, Signal
from order_to_cash.domain.sync.versions import before

PAYMENT_FAILED = "payment_failed"
PAYMENT_ACTION_REQUIRED = "payment_action_required"
FINALIZATION_FAILED = "finalization_failed"
OVERDUE = "overdue"
UNCOLLECTIBLE = "uncollectible"
PLAN_CHANGED = "plan_changed"
CANCELLATION_SCHEDULED = "cancellation_scheduled"
CANCELLATION_WITHDRAWN = "cancellation_withdrawn"
SUBSCRIPTION_ENDED = "subscription_ended"
SUBSCRIPTION_PAUSED = "subscription_paused"
SUBSCRIPTION_RESUMED = "subscription_resumed"
TRIAL_ENDING = "trial_ending"
DISPUTE_OPENED = "dispute_opened"
DISPUTE_CLOSED = "dispute_closed"
REFUND_FAILED = "refund_failed"
CARD_EXPIRING = "card_expiring"

CARD_WARNING_DAYS = 60
"""How long before it expires a card is a signal (R61: 30 to 60 days)."""


@dataclass(frozen=True, slots=True)
class _Seen:
    event: StripeEvent
    body: Body  # normalized
    previous: Body


Facts = Mapping[str, Any]
Found = Iterator[tuple[str, str, Facts]]  # kind, what follows it in the key, facts


def signals_of(event: StripeEvent, body: Body, previous: Body) -> tuple[Signal, ...]:
    """The signals of one event. `body` is normalized; `previous` its previous_attributes."""
    find = _FINDERS.get(snapshot_type(event.type))
    if find is None:
        return ()
    source = ObjectKey(event.object_type, event.object_id)
    customer = ref(body.get("customer")) or ref(previous.get("customer"))
    return tuple(
        Signal(
            kind=kind,
            key=f"o2c:signal:{kind}:{about}",
            source=source,
            customer_id=customer,
            event_id=event.event_id,
            at=event.created,
            facts=facts,
        )
        for kind, about, facts in find(_Seen(event, body, previous))
    )


def expires_on(card: Body) -> date | None:
    """The last day of the month that is printed on the card, on which it still works."""
    month, year = whole(card.get("exp_month")), whole(card.get("exp_year"))
    if month is None or year is None or not 1 <= month <= 12 or not 2000 <= year <= 9999:
        return None
    return date(year, month, calendar.monthrange(year, month)[1])


def _payment_failed(seen: _Seen) -> Found:
    body = seen.body
    yield from _attempt(PAYMENT_FAILED, body)


def _action_required(seen: _Seen) -> Found:
    body = seen.body
    yield from _attempt(PAYMENT_ACTION_REQUIRED, body)


def _attempt(kind: str, body: Body) -> Found:
    yield kind, f"{ref(body)}:{whole(body.get('attempt_count')) or 0}", _invoice_facts(body)


def _about_invoice(kind: str) -> Callable[[_Seen], Found]:
    def find(seen: _Seen) -> Found:
        body = seen.body
        yield kind, ref(body), _invoice_facts(body)

    return find


def _finalization_failed(seen: _Seen) -> Found:
    body = seen.body
    code = text(walk(body, "last_finalization_error", "code")) or "unknown"
    yield FINALIZATION_FAILED, f"{ref(body)}:{code}", {**_invoice_facts(body), "code": code}


def _invoice_facts(body: Body) -> Facts:
    return {
        "invoice": ref(body),
        "number": text(body.get("number")),
        "attempt_count": whole(body.get("attempt_count")) or 0,
        "amount_minor": whole(body.get("amount_remaining")) or 0,
        "currency": text(body.get("currency")),
        "due_at": whole(body.get("due_date")),
        "next_payment_attempt": whole(body.get("next_payment_attempt")),
        "collection_method": text(body.get("collection_method")),
        "subscription": ref(walk(body, "parent", "subscription_details", "subscription")),
    }


def _subscription_updated(seen: _Seen) -> Found:
    body = seen.body
    if not seen.previous:
        return
    earlier = _earlier(body, seen.previous)
    old, new = _plan(earlier), _plan(body)
    if old and old != new:
        yield (
            PLAN_CHANGED,
            f"{ref(body)}:{_second(seen.event)}:{digest(new)[:12]}",
            _change_facts(earlier, body),
        )
    ends, ended_before = _ends(body), _ends(earlier)
    if ends and not ended_before:
        yield CANCELLATION_SCHEDULED, f"{ref(body)}:{ends}", _subscription_facts(body) | {"ends_at": ends}
    if ended_before and not ends and body.get("status") != "canceled":
        yield CANCELLATION_WITHDRAWN, f"{ref(body)}:{_second(seen.event)}", _subscription_facts(body)


def _earlier(body: Body, previous: Body) -> Body:
    """The subscription before its update. Older versions tell of its only plan beside its items, or without them."""
    by_plan = "items" not in previous and body.get("plan") and ("plan" in previous or "quantity" in previous)
    return normalize(before({**body, "items": None} if by_plan else body, previous))


def _subscription_ended(seen: _Seen) -> Found:
    body = seen.body
    yield SUBSCRIPTION_ENDED, ref(body), _subscription_facts(body)


def _at_moment(kind: str) -> Callable[[_Seen], Found]:
    def find(seen: _Seen) -> Found:
        body = seen.body
        yield kind, f"{ref(body)}:{_second(seen.event)}", _subscription_facts(body)

    return find


def _trial_ending(seen: _Seen) -> Found:
    body = seen.body
    ends = whole(body.get("trial_end")) or 0
    yield TRIAL_ENDING, f"{ref(body)}:{ends}", _subscription_facts(body) | {"ends_at": ends}


def _subscription_facts(body: Body) -> dict[str, Any]:
    worth = plan_value(body).amount
    return {
        "subscription": ref(body),
        "plan": _named(body),
        "monthly_minor": worth.amount_minor,
        "currency": worth.currency,
        "reason": text(walk(body, "cancellation_details", "reason")),
        "feedback": text(walk(body, "cancellation_details", "feedback")),
    }


def _change_facts(earlier: Body, body: Body) -> Facts:
    was, worth = plan_value({**earlier, "currency": body.get("currency")}).amount, plan_value(body).amount
    direction = "downgrade" if worth < was else "upgrade" if was < worth else "change"
    return _subscription_facts(body) | {
        "old_plan": _named(earlier),
        "old_monthly_minor": was.amount_minor,
        "direction": direction,
    }


def _plan(body: Body) -> list[list[Any]]:
    held = items(body.get("items"))
    return sorted([ref(mapping(item.get("price"))), whole(item.get("quantity")) or 1] for item in held)


def _named(body: Body) -> str:
    """Such as "Team × 5, price_1… × 1": what a plan is called, else its price's id."""
    return ", ".join(
        f"{text(walk(item, 'price', 'nickname')) or ref(item.get('price'))} × {whole(item.get('quantity')) or 1}"
        for item in items(body.get("items"))
    )


def _ends(body: Body) -> int:
    """When a running subscription will end, as far as it is decided; 0 when it renews."""
    decided = whole(body.get("cancel_at"))
    if decided is None and body.get("cancel_at_period_end") is True:
        decided = period_end(body)
    return decided or 0


def period_end(body: Body) -> int | None:
    """The earliest end of its items' current periods: when it next renews."""
    ends = [whole(item.get("current_period_end")) for item in items(body.get("items"))]
    return min((end for end in ends if end is not None), default=None)


def _dispute(kind: str) -> Callable[[_Seen], Found]:
    def find(seen: _Seen) -> Found:
        body = seen.body
        about = ref(body) if kind == DISPUTE_OPENED else f"{ref(body)}:{text(body.get('status'))}"
        yield (
            kind,
            about,
            {
                "dispute": ref(body),
                "charge": ref(body.get("charge")),
                "amount_minor": whole(body.get("amount")) or 0,
                "currency": text(body.get("currency")),
                "reason": text(body.get("reason")),
                "status": text(body.get("status")),
                "due_at": whole(walk(body, "evidence_details", "due_by")),
            },
        )

    return find


def _refund_failed(seen: _Seen) -> Found:
    body = seen.body
    if body.get("status") != "failed":  # refund.updated tells of it too, and of much else
        return
    yield (
        REFUND_FAILED,
        ref(body),
        {
            "refund": ref(body),
            "charge": ref(body.get("charge")),
            "amount_minor": whole(body.get("amount")) or 0,
            "currency": text(body.get("currency")),
            "reason": text(body.get("failure_reason")),
        },
    )


def _card(seen: _Seen) -> Found:
    if found := expiring_card(seen.body, seen.event.created.date()):
        yield CARD_EXPIRING, *found


def expiring_card(method: Body, on: date) -> tuple[str, Facts] | None:
    """(what it is called in a signal's key, its facts) of a card that expires within 60 days of `on`, or has."""
    card = mapping(method.get("card"))
    last = expires_on(card)
    if last is None or last - on > timedelta(days=CARD_WARNING_DAYS):
        return None
    return f"{ref(method)}:{last:%Y-%m}", {
        "payment_method": ref(method),
        "brand": text(card.get("brand")),
        "last4": text(card.get("last4")),
        "expires_on": last,
    }


def _second(event: StripeEvent) -> int:
    return int(event.created.timestamp())


_FINDERS: Mapping[str, Callable[[_Seen], Found]] = {
    "invoice.payment_failed": _payment_failed,
    "invoice.payment_action_required": _action_required,
    "invoice.finalization_failed": _finalization_failed,
    "invoice.overdue": _about_invoice(OVERDUE),
    "invoice.marked_uncollectible": _about_invoice(UNCOLLECTIBLE),
    "customer.subscription.updated": _subscription_updated,
    "customer.subscription.deleted": _subscription_ended,
    "customer.subscription.paused": _at_moment(SUBSCRIPTION_PAUSED),
    "customer.subscription.resumed": _at_moment(SUBSCRIPTION_RESUMED),
    "customer.subscription.trial_will_end": _trial_ending,
    "charge.dispute.created": _dispute(DISPUTE_OPENED),
    "charge.dispute.closed": _dispute(DISPUTE_CLOSED),
    "refund.failed": _refund_failed,
    "refund.updated": _refund_failed,
    "charge.refund.updated": _refund_failed,
    "payment_method.attached": _card,
    "payment_method.updated": _card,
    "payment_method.automatically_updated": _card,
}
