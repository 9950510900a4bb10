"""Which invoices need a ladder: failed ones that Stripe charges, and sent ones past their due date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from order_to_cash.domain.dunning.facts import InvoiceStatus
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.bodies import items, mapping, moment, ref, text, walk, whole
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Body

# Stripe's clock and ours differ; a ladder that is opened early sleeps until it is due.
_SKEW = timedelta(minutes=5)
# https://docs.stripe.com/billing/subscriptions/overview: a charge that the customer has to confirm has failed, too.
_FAILED = frozenset({"requires_payment_method", "requires_action"})


@dataclass(frozen=True, slots=True)
class Opening:
    """A ladder to open. `anchor`: what it counts from, the first failure or the due date."""

    invoice_id: str
    customer_id: str
    method: CollectionMethod
    anchor: datetime

    @property
    def first_failed_at(self) -> datetime | None:
        return self.anchor if self.method is CollectionMethod.CHARGE_AUTOMATICALLY else None


def opening(invoice: Body, now: datetime, failed_at: datetime | None = None) -> Opening | None:
    """The ladder that this invoice needs by what Stripe says of it now; None when it needs none.

    `failed_at`: when an attempt was told to have failed. None: nobody told, and the invoice's payments, which are
    expected with their payment intents expanded, must show it: an attempt may still be under way, as bank debits are
    for days.
    """
    body = normalize(invoice)
    customer, owed = ref(body.get("customer")), whole(body.get("amount_remaining"))
    if body.get("status") != InvoiceStatus.OPEN or not customer or owed is None or owed <= 0:
        return None
    if body.get("collection_method") == CollectionMethod.CHARGE_AUTOMATICALLY:
        anchor = _first_failure(body, failed_at)
        method = CollectionMethod.CHARGE_AUTOMATICALLY
    else:
        anchor, method = _moment(body.get("due_date")), CollectionMethod.SEND_INVOICE
    if anchor is None or anchor > now + _SKEW:
        return None
    return Opening(ref(body), customer, method, anchor)


def oldest_anchor(policy: DunningPolicy, method: CollectionMethod, began: datetime) -> datetime:
    """From when on failures and due dates get a ladder, where dunning was switched on at `began`.

    What Stripe had given up by then is history: nobody is written to about it out of the blue.
    """
    return began - policy.ladder(method).window


def _first_failure(body: Body, failed_at: datetime | None) -> datetime | None:
    """Stripe makes the first attempt when it finalizes the invoice; later ones tell nothing of when it failed."""
    attempts = whole(body.get("attempt_count")) or 0
    if not attempts or (failed_at is None and not _has_failed(body)):
        return None
    finalized = _moment(walk(body, "status_transitions", "finalized_at"))
    if failed_at is not None and (attempts == 1 or finalized is None):
        return failed_at
    return finalized


def _has_failed(body: Body) -> bool:
    intents = [mapping(walk(one, "payment", "payment_intent")) for one in items(body.get("payments"))]
    under_way = any(text(intent.get("status")) == "processing" for intent in intents)
    return not under_way and any(
        mapping(intent.get("last_payment_error")) or text(intent.get("status")) in _FAILED
        for intent in intents
    )


def _moment(value: object) -> datetime | None:
    try:
        return moment(value)
    except (ValueError, OverflowError, OSError):  # beyond what a calendar holds
        return None
