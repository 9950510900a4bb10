"""Money that goes other ways: disputed, given back, paid in parts, past Stripe, by a card that has expired."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, refused
from tests.emulators.stripe_second_story import Acts, asked, charge, session_of

Types = list[str]


@pytest.fixture
def acts(stripe_url: str) -> Acts:
    return Acts(stripe_url)


def types(service: StripeService, prefix: str) -> Types:
    """The types of events so far, oldest first."""
    return [
        each["type"] for each in reversed(list(service.world.all("event"))) if each["type"].startswith(prefix)
    ]


def open_invoice(client: stripe.StripeClient, customer: str, amount: int = 10_000) -> stripe.Invoice:
    made = client.v1.invoices.create(
        {"customer": customer, "currency": "usd", "collection_method": "send_invoice", "days_until_due": 30}
    )
    client.v1.invoice_items.create({"customer": customer, "invoice": made.id, "amount": amount})
    return client.v1.invoices.finalize_invoice(made.id)


def amounts(invoice: stripe.Invoice) -> tuple[Any, ...]:
    return (invoice.status, invoice.amount_paid, invoice.amount_remaining, invoice.amount_overpaid)


def payments(client: stripe.StripeClient, invoice: stripe.Invoice) -> list[tuple[str, int | None, bool]]:
    found = client.v1.invoice_payments.list({"invoice": invoice.id})
    return [(each.status, each.amount_paid, each.is_default) for each in reversed(found.data)]


def test_a_disputed_charge(client: stripe.StripeClient, service: StripeService, customer: str) -> None:
    made = charge(client, customer, "pm_card_createDispute")
    assert made.disputed
    (dispute,) = client.v1.disputes.list({"charge": made.id}).data
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 5_000, "fraudulent")
    draft = client.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": "To follow"}, "submit": False}
    )
    assert (draft.status, draft.evidence_details.submission_count) == ("needs_response", 0)
    won = client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert (won.status, won.evidence_details.submission_count) == ("won", 1)
    assert types(service, "charge.dispute") == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]
    with refused("already closed"):
        client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "More"}})
    with refused("closed already"):
        client.v1.disputes.close(dispute.id)


def test_the_bank_disputes_any_charge(
    client: stripe.StripeClient, service: StripeService, customer: str, acts: Acts
) -> None:
    made = charge(client, customer, "pm_card_visa")
    dispute = acts(f"disputes/{made.id}", amount=700, reason="duplicate")
    assert acts(f"disputes/{dispute['id']}", status="under_review")["status"] == "under_review"
    lost = client.v1.disputes.close(dispute["id"])
    assert (lost.status, lost.amount, lost.reason) == ("lost", 700, "duplicate")
    assert types(service, "charge.dispute")[-2:] == ["charge.dispute.updated", "charge.dispute.closed"]


def test_refunds_that_fail_and_that_take_their_time(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    first, second = (
        charge(client, customer, card) for card in ("pm_card_refundFail", "pm_card_pendingRefund")
    )
    failing = client.v1.refunds.create({"charge": first.id, "amount": 1_000})
    pending = client.v1.refunds.create({"charge": second.id})
    assert (failing.status, pending.status) == ("succeeded", "pending")
    assert client.v1.charges.retrieve(first.id).amount_refunded == 1_000
    service.clock.advance(2 * 3600)
    failed = client.v1.refunds.retrieve(failing.id)
    assert (failed.status, failed.failure_reason) == ("failed", "unknown")
    assert client.v1.charges.retrieve(first.id).amount_refunded == 0
    assert client.v1.refunds.retrieve(pending.id).status == "succeeded"
    assert client.v1.charges.retrieve(second.id).refunded
    assert types(service, "refund.") == [
        *("refund.created", "refund.created"),
        *("refund.updated", "refund.failed", "refund.updated"),
    ]


def test_an_invoice_paid_in_parts(client: stripe.StripeClient, service: StripeService, customer: str) -> None:
    invoice = open_invoice(client, customer)
    part = charge(client, customer, "pm_card_visa", 4_000)
    after = client.v1.invoices.attach_payment(invoice.id, {"payment_intent": str(part.payment_intent)})
    assert amounts(after) == ("open", 4_000, 6_000, 0)
    assert payments(client, invoice) == [("open", None, True), ("paid", 4_000, False)]
    with refused("attached to an invoice already"):
        client.v1.invoices.attach_payment(invoice.id, {"payment_intent": str(part.payment_intent)})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    paid = client.v1.invoices.pay(invoice.id, {"payment_method": card.id})
    assert amounts(paid) == ("paid", 10_000, 0, 0)
    assert payments(client, invoice) == [("paid", 6_000, True), ("paid", 4_000, False)]
    assert types(service, "invoice_payment") == ["invoice_payment.paid"] * 2
    charges = client.v1.charges.list({"customer": customer}).data
    assert [each.amount for each in charges] == [6_000, 4_000]
    with refused("only attach payments to open invoices"):
        client.v1.invoices.attach_payment(invoice.id, {"payment_intent": str(charges[0].payment_intent)})


def test_a_payment_that_succeeds_after_it_was_attached(client: stripe.StripeClient, customer: str) -> None:
    invoice = open_invoice(client, customer)
    intent = client.v1.payment_intents.create({"amount": 10_000, "currency": "usd", "customer": customer})
    client.v1.invoices.attach_payment(invoice.id, {"payment_intent": intent.id})
    assert amounts(client.v1.invoices.retrieve(invoice.id)) == ("open", 0, 10_000, 0)
    client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert amounts(client.v1.invoices.retrieve(invoice.id)) == ("paid", 10_000, 0, 0)
    assert payments(client, invoice) == [("canceled", None, True), ("paid", 10_000, False)]


def wire(client: stripe.StripeClient, amount: int) -> str:
    """Money that came past Stripe, reported to it."""
    return client.v1.payment_records.report_payment(
        {
            "amount_requested": {"currency": "usd", "value": amount},
            "initiated_at": 1_790_000_000,
            "outcome": "guaranteed",
            "guaranteed": {"guaranteed_at": 1_790_000_000},
            "payment_method_details": {"type": "custom", "custom": {"display_name": "Wire"}},
        }
    ).id


def test_more_than_was_asked_for_past_stripe(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    invoice = open_invoice(client, customer)
    client.v1.invoices.attach_payment(invoice.id, {"payment_record": wire(client, 2_500)})
    after = client.v1.invoices.attach_payment(invoice.id, {"payment_record": wire(client, 9_000)})
    assert amounts(after) == ("paid", 11_500, 0, 1_500)
    assert after.amount_paid_off_stripe == 11_500
    assert client.v1.customers.retrieve(customer).balance == -1_500
    assert types(service, "invoice.")[-4:] == [
        "invoice.paid",
        "invoice.updated",
        "invoice.payment_succeeded",
        "invoice.overpaid",
    ]


def test_the_rest_can_be_paid_out_of_band(client: stripe.StripeClient, customer: str) -> None:
    invoice = open_invoice(client, customer)
    client.v1.invoices.attach_payment(invoice.id, {"payment_record": wire(client, 2_500)})
    after = client.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert amounts(after) == ("paid", 10_000, 0, 0)
    assert after.amount_paid_off_stripe == 10_000
    assert sorted(payments(client, invoice), key=str) == [
        ("canceled", None, True),
        ("paid", 2_500, False),
        ("paid", 7_500, True),
    ]


def test_a_card_that_expires_and_is_renewed(
    client: stripe.StripeClient, service: StripeService, customer: str, acts: Acts
) -> None:
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    client.v1.payment_methods.update(card.id, {"card": {"exp_month": 1, "exp_year": 2026}})
    with pytest.raises(stripe.CardError) as declined:
        charge(client, customer, card.id)
    assert declined.value.code == "expired_card"
    failed = client.v1.charges.list({"customer": customer}).data[0]
    assert (failed.failure_code, failed.failure_message) == ("expired_card", "Your card has expired.")
    assert failed.outcome is not None
    assert failed.outcome.type == "issuer_declined"
    renewed = acts(f"cards/{card.id}", exp_month=1, exp_year=2040, last4="1881")
    assert (renewed["card"]["last4"], renewed["card"]["exp_year"]) == ("1881", 2040)
    assert charge(client, customer, card.id).paid
    client.v1.payment_methods.detach(card.id)
    assert types(service, "payment_method.") == [
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.automatically_updated",
        "payment_method.detached",
    ]


def test_a_stranger_pays_at_the_checkout(
    client: stripe.StripeClient, service: StripeService, product: str, acts: Acts
) -> None:
    price = client.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 900}).id
    session = acts(f"checkout/{session_of(client, 'payment', price)}", address="new@stranger.example")
    assert (session["status"], session["payment_status"], session["customer"]) == ("complete", "paid", None)
    assert session["customer_details"]["email"] == "new@stranger.example"
    made = client.v1.charges.list().data[0]
    assert (made.customer, made.amount, made.receipt_email) == (None, 1_800, "new@stranger.example")
    assert made.billing_details.email == "new@stranger.example"
    assert types(service, "checkout") == ["checkout.session.completed"]
    left = session_of(client, "payment", price)
    service.clock.advance(2 * DAY)
    assert client.v1.checkout.sessions.retrieve(left).status == "expired"


def test_a_subscription_from_the_checkout(client: stripe.StripeClient, product: str, acts: Acts) -> None:
    price = client.v1.prices.create(
        {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    )
    session = acts(f"checkout/{session_of(client, 'subscription', price.id)}", address="new@stranger.example")
    subscription = client.v1.subscriptions.retrieve(session["subscription"])
    assert (subscription.status, subscription.customer) == ("active", session["customer"])
    assert client.v1.customers.retrieve(session["customer"]).email == "new@stranger.example"
    with refused("at least one one_time price"):
        session_of(client, "payment", price.id)


@pytest.mark.parametrize(("ok", "status"), [(True, "paid"), (False, "open")])
def test_a_bank_that_asks_the_customer(
    client: stripe.StripeClient,
    service: StripeService,
    customer: str,
    acts: Acts,
    ok: bool,
    status: str,
) -> None:
    invoice = client.v1.invoices.retrieve(asked(client, acts, customer, ok=ok))
    assert invoice.status == status
    assert types(service, "invoice.payment")[:2] == [
        "invoice.payment_action_required",
        "invoice.payment_failed",
    ]
    assert types(service, "payment_intent")[1] == "payment_intent.requires_action"
    assert len(client.v1.charges.list({"customer": customer}).data) == int(ok)
    intent = client.v1.payment_intents.create(
        {
            "amount": 100,
            "currency": "usd",
            "customer": customer,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
        }
    )
    assert intent.status == "requires_action"


def test_an_event_of_any_type_can_be_made(
    client: stripe.StripeClient, service: StripeService, customer: str, acts: Acts
) -> None:
    made = charge(client, customer, "pm_card_visa")
    acts(f"emit/{made.id}", type="charge.updated", set={"description": "Told later"})
    (event,) = client.v1.events.list({"type": "charge.updated"})
    assert event.data.object["description"] == "Told later"
    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes.to_dict() == {"description": None}
    assert types(service, "charge.")[-1] == "charge.updated"
