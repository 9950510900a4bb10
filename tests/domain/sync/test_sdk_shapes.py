"""The bodies of these tests, and what the mapping writes of them, against the types that the SDK generates."""

from __future__ import annotations

import inspect
import typing
from typing import Any

import pytest
import stripe as sdk

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.fetching import EXPAND
from order_to_cash.domain.sync.fields import PICKLISTS
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.stripe_objects import Json

OBJECTS: list[tuple[Json, Any]] = [
    (stripe.subscription(), sdk.Subscription),
    (stripe.item(), sdk.SubscriptionItem),
    (stripe.price(), sdk.Price),
    (stripe.invoice(), sdk.Invoice),
    (stripe.invoice_line(), sdk.InvoiceLineItem),
    (stripe.invoice_line()["parent"], sdk.InvoiceLineItem.Parent),
    (stripe.invoice_line()["pricing"], sdk.InvoiceLineItem.Pricing),
    (stripe.invoice_line()["pricing"]["price_details"], sdk.InvoiceLineItem.Pricing.PriceDetails),
    (stripe.invoice()["parent"], sdk.Invoice.Parent),
    (stripe.invoice()["status_transitions"], sdk.Invoice.StatusTransitions),
    (stripe.charge(), sdk.Charge),
    (stripe.charge()["outcome"], sdk.Charge.Outcome),
    (stripe.payment_intent(), sdk.PaymentIntent),
    (stripe.invoice_payment(), sdk.InvoicePayment),
    (stripe.invoice_payment()["payment"], sdk.InvoicePayment.Payment),
    (stripe.refund(), sdk.Refund),
    (stripe.credit_note(), sdk.CreditNote),
    (stripe.dispute(), sdk.Dispute),
    (stripe.dispute()["evidence_details"], sdk.Dispute.EvidenceDetails),
    (stripe.customer(), sdk.Customer),
    (stripe.payment_method(), sdk.PaymentMethod),
    (stripe.payment_method()["card"], sdk.PaymentMethod.Card),
    (stripe.product(), sdk.Product),
]


@pytest.mark.parametrize(("body", "kind"), OBJECTS, ids=[kind.__qualname__ for _, kind in OBJECTS])
def test_bodies_have_no_field_that_stripe_has_not(body: Json, kind: Any) -> None:
    assert set(body) <= set(inspect.get_annotations(kind))


def literals(annotation: Any) -> set[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return {value for part in typing.get_args(annotation) for value in literals(part)}


@pytest.mark.parametrize(
    ("sobject", "field", "kind", "name"),
    [
        (fields.SUBSCRIPTION, "Status__c", sdk.Subscription, "status"),
        (fields.SUBSCRIPTION, "Collection_Method__c", sdk.Subscription, "collection_method"),
        (fields.SUBSCRIPTION, "Billing_Interval__c", sdk.Price.Recurring, "interval"),
        (fields.INVOICE, "Status__c", sdk.Invoice, "status"),
        (fields.PAYMENT, "Status__c", sdk.Charge, "status"),
        (fields.REFUND, "Reason__c", sdk.Refund, "reason"),
        (fields.CREDIT_NOTE, "Status__c", sdk.CreditNote, "status"),
        (fields.CREDIT_NOTE, "Reason__c", sdk.CreditNote, "reason"),
        (fields.CREDIT_NOTE, "Type__c", sdk.CreditNote, "type"),
    ],
)
def test_picklists_have_every_value_that_stripe_has(sobject: str, field: str, kind: Any, name: str) -> None:
    values = literals(inspect.get_annotations(kind)[name])
    assert values
    assert values <= set(PICKLISTS[sobject, field])


def test_what_is_expanded_exists() -> None:
    kinds = {
        "invoice": sdk.Invoice,
        "subscription": sdk.Subscription,
        "customer": sdk.Customer,
        "product": sdk.Product,
    }
    assert set(EXPAND) == set(kinds)
    for kind, paths in EXPAND.items():
        for path in paths:
            assert path.split(".")[0] in inspect.get_annotations(kinds[kind])
            assert len(path.split(".")) <= 4  # https://docs.stripe.com/expand: four levels
