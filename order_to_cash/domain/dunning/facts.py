"""What a decision about a ladder goes by: the invoice as Stripe tells it now, and what was done so far.

What is not known is None, and nothing is derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from order_to_cash.domain.dunning.steps import Billing, DeclineClass
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.bodies import items, mapping, moment, ref, text, walk, whole
from order_to_cash.domain.sync.declines import chosen_code, is_known
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Body
from order_to_cash.domain.sync.signals import period_end

_Kind = TypeVar("_Kind", bound=StrEnum)


class InvoiceStatus(StrEnum):
    """Stripe's `status` of an invoice."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFacts:
    """One invoice with its subscription and customer, as read from Stripe.

    `next_payment_attempt` None: none is coming, or it is not known; neither moves anything. `subscription_id` "": the
    invoice belongs to none. `gone`: Stripe does not know the invoice any more. `payment_under_way`: somebody, or Stripe
    itself, has paid and the bank takes days to say so, as with debits.
    """

    status: InvoiceStatus | None = None
    gone: bool = False
    attempt_count: int | None = None
    next_payment_attempt: datetime | None = None
    amount_remaining: Money | None = None
    due_at: datetime | None = None
    decline_code: str | None = None
    payment_under_way: bool | None = None
    collection_method: CollectionMethod | None = None
    subscription_id: str | None = None
    subscription_status: str | None = None
    subscription_ends_at: datetime | None = None  # a cancellation that is scheduled
    subscription_ended_at: datetime | None = None
    customer_deleted: bool | None = None

    @property
    def billing(self) -> Billing | None:
        if self.subscription_id is None:
            return None
        return Billing.SUBSCRIPTION if self.subscription_id else Billing.ONE_OFF

    @property
    def decline_class(self) -> DeclineClass | None:
        return decline_class(self.decline_code or "")


class StepState(StrEnum):
    """How a step stands in the journal. Between begun and done its effects are being carried out."""

    BEGUN = "begun"
    DONE = "done"
    PASSED = "passed"  # it was not for this invoice


class EndReason(StrEnum):
    PAID = "paid"
    VOIDED = "voided"
    UNCOLLECTIBLE = "uncollectible"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    CUSTOMER_DELETED = "customer_deleted"
    WRITTEN_OFF = "written_off"  # by a person
    INVOICE_GONE = "invoice_gone"
    NOT_FINAL = "not_final"  # a draft: nothing is owed yet


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderState:
    """What the ledger knows of one ladder. `journal`: step key → state. `ended`: once set, it stays."""

    policy_version: str
    collection_method: CollectionMethod  # when it began: decides which steps it has
    opened_at: datetime
    first_failed_at: datetime | None = None
    journal: Mapping[str, StepState]
    ended: EndReason | None = None

    def recorded(self, key: str, state: StepState) -> LadderState:
        """This ladder with the step's state. Raises ValueError for one that is over, or a step done before."""
        if self.ended is not None or self.journal.get(key) in {StepState.DONE, StepState.PASSED}:
            raise ValueError(f"the step {key} was decided before")
        return replace(self, journal={**self.journal, key: state})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A person's word that nothing is to be done until then; None: until it is resumed."""

    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that one decision goes by.

    `last_contact_at`: the newest contact with this customer by any of its ladders, except by a step of this one that
    is begun and not done: finishing it is the same contact. `time_zone`: the customer's, an IANA name. `written_off`:
    a person gave the invoice up.
    """

    invoice: InvoiceFacts
    ladder: LadderState
    hold: Hold | None = None
    written_off: bool = False
    last_contact_at: datetime | None = None
    segment: str | None = None
    time_zone: str | None = None


# https://docs.stripe.com/billing/revenue-recovery/smart-retries, "Non-retryable decline codes".
_HARD = frozenset(
    {
        *("incorrect_number", "lost_card", "pickup_card", "stolen_card", "highest_risk_level"),
        *("revocation_of_authorization", "revocation_of_all_authorizations", "transaction_not_allowed"),
        # Of bank debits, https://docs.stripe.com/error-codes: the account cannot be debited again.
        *("account_closed", "bank_account_declined", "bank_account_unusable", "debit_not_authorized"),
    }
)
_CONFIRMATION = frozenset(
    {
        *("authentication_required", "authentication_not_handled", "mobile_device_authentication_required"),
        "payment_intent_authentication_failure",
    }
)


def decline_class(code: str) -> DeclineClass | None:
    """What may help after a decline with this code; None for a code that is not known."""
    lowered = code.strip().lower()
    if lowered in _HARD:
        return DeclineClass.HARD
    if lowered in _CONFIRMATION:
        return DeclineClass.CONFIRMATION
    return DeclineClass.SOFT if is_known(lowered) else None


def read_facts(invoice: Body, subscription: Body | None = None, customer: Body | None = None) -> InvoiceFacts:
    """The facts in Stripe's bodies, of any API version; what was not read or is not said stays None.

    The invoice's payments are expected with their payment intents expanded: they say why it was declined.
    """
    body = normalize(invoice)
    deleted = (customer or {}).get("deleted")
    held = mapping(subscription)
    if body.get("deleted") is True:
        return InvoiceFacts(gone=True)
    return InvoiceFacts(
        status=_one_of(InvoiceStatus, body.get("status")),
        attempt_count=whole(body.get("attempt_count")),
        next_payment_attempt=_moment(body.get("next_payment_attempt")),
        amount_remaining=_money(body),
        due_at=_moment(body.get("due_date")),
        decline_code=_decline_code(body),
        payment_under_way=_under_way(body),
        collection_method=_one_of(CollectionMethod, body.get("collection_method")),
        subscription_id=_subscription_id(body),
        subscription_status=text(held.get("status")) or None,
        subscription_ends_at=_moment(held.get("cancel_at")) or _period_end(held),
        subscription_ended_at=_moment(held.get("ended_at")),
        customer_deleted=None if customer is None else deleted is True,
    )


def _one_of(kind: type[_Kind], value: object) -> _Kind | None:
    return kind(text(value)) if text(value) in set(kind) else None


def _moment(value: object) -> datetime | None:
    try:
        return moment(value)
    except (ValueError, OverflowError, OSError):  # beyond what a calendar holds
        return None


def _period_end(subscription: Body) -> datetime | None:
    return _moment(period_end(subscription)) if subscription.get("cancel_at_period_end") is True else None


def _money(body: Body) -> Money | None:
    amount, currency = whole(body.get("amount_remaining")), text(body.get("currency"))
    try:
        return None if amount is None else Money(amount, currency)
    except RecordRejected:
        return None


def _subscription_id(body: Body) -> str | None:
    found = ref(walk(body, "parent", "subscription_details", "subscription"))
    return found if found or "parent" in body or "subscription" in body else None


def _intents(body: Body) -> list[Body]:
    return [mapping(walk(one, "payment", "payment_intent")) for one in items(body.get("payments"))]


def _under_way(body: Body) -> bool | None:
    """https://docs.stripe.com/payments/paymentintents/lifecycle: `processing` may last days."""
    told = [text(intent.get("status")) for intent in _intents(body)]
    if "processing" in told:
        return True
    return None if "" in told or not told else False


def _decline_code(body: Body) -> str | None:
    """Of the newest payment whose intent failed."""
    failed = [intent for intent in _intents(body) if mapping(intent.get("last_payment_error"))]
    if not failed:
        return None
    error = mapping(max(failed, key=lambda intent: whole(intent.get("created")) or 0)["last_payment_error"])
    return chosen_code(text(error.get("decline_code")), text(error.get("code"))) or None
