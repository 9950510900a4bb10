"""Which event types change something in Salesforce. Every other type is ignored, as a type Stripe adds later is."""

from __future__ import annotations

HANDLED: frozenset[str] = frozenset(
    """
    checkout.session.async_payment_failed checkout.session.async_payment_succeeded checkout.session.completed
    charge.captured charge.expired charge.failed charge.pending charge.refunded charge.succeeded charge.updated
    charge.refund.updated
    charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated charge.dispute.funds_withdrawn
    charge.dispute.updated
    credit_note.created credit_note.updated credit_note.voided
    customer.created customer.deleted customer.updated
    customer.subscription.created customer.subscription.deleted customer.subscription.paused
    customer.subscription.pending_update_applied customer.subscription.pending_update_expired
    customer.subscription.resumed customer.subscription.trial_will_end customer.subscription.updated
    invoice.created invoice.deleted invoice.finalization_failed invoice.finalized invoice.marked_uncollectible
    invoice.overdue invoice.overpaid invoice.paid invoice.payment_action_required
    invoice.payment_attempt_required invoice.payment_failed invoice.payment_succeeded invoice.sent
    invoice.updated invoice.voided invoice.will_be_due
    invoice_payment.paid
    payment_intent.canceled payment_intent.payment_failed payment_intent.processing payment_intent.succeeded
    payment_method.attached payment_method.automatically_updated payment_method.detached payment_method.updated
    price.created price.deleted price.updated
    product.created product.deleted product.updated
    refund.created refund.failed refund.updated
    """.split()  # noqa: SIM905 — sixty words in quotes are no easier to read
)
"""The types to subscribe an endpoint to (https://docs.stripe.com/api/events/types)."""

SCANNED = "o2c.scan"
"""The type of what a scan of objects stores in the inbox: a state, read by us, that no event tells of."""

OBJECT_TYPES: frozenset[str] = frozenset(
    """
    charge checkout.session credit_note customer dispute invoice invoice_payment payment_intent payment_method
    price product refund subscription
    """.split()  # noqa: SIM905 — as above
)
"""What `object` of a handled event's object says."""

DELETIONS: frozenset[str] = frozenset(
    {"customer.deleted", "product.deleted", "price.deleted", "invoice.deleted"}
)
"""After these the object can no longer be read, or says no more than that it is deleted."""


def snapshot_type(event_type: str) -> str:
    """A thin event's type as its snapshot is called: `v1.invoice.paid` → `invoice.paid`."""
    return event_type.removeprefix("v1.")


def is_handled(event_type: str) -> bool:
    """Whether an event of this type, thin or not, or what a scan found, changes something in Salesforce."""
    return snapshot_type(event_type) in HANDLED or event_type == SCANNED
