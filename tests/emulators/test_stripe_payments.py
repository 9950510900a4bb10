"""Payments, retries, refunds and credit notes."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, add, draft, refused


def charged(client: stripe.StripeClient, customer: str, amount: int = 1000) -> stripe.Invoice:
    """An open invoice that is collected automatically."""
    params: Any = {"customer": customer, "currency": "eur", "collection_method": "charge_automatically"}
    invoice = client.v1.invoices.create(params)
    add(client, invoice, {"amount": amount})
    return client.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True})


def with_card(client: stripe.StripeClient, customer: str, token: str) -> str:
    method = client.v1.payment_methods.attach(token, {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    return method.id


def types(client: stripe.StripeClient) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": 100}).auto_paging_iter()]


def test_without_a_card_it_stays_open(client: stripe.StripeClient, customer: str) -> None:
    invoice = charged(client, customer)
    assert (invoice.status, invoice.attempted, invoice.attempt_count) == ("open", False, 0)
    with refused("no `default_payment_method` set"):
        client.v1.invoices.pay(invoice.id)


def test_with_a_card_it_is_paid(client: stripe.StripeClient, customer: str) -> None:
    with_card(client, customer, "pm_card_visa")
    invoice = charged(client, customer)
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == ("paid", 1000, 0)
    seen = client.v1.invoices.retrieve(invoice.id, {"expand": ["payments.data.payment.payment_intent"]})
    assert seen.payments is not None
    payment = seen.payments.data[0]
    assert (payment.status, payment.amount_paid) == ("paid", 1000)
    assert isinstance(payment.payment.payment_intent, stripe.PaymentIntent)
    assert payment.payment.payment_intent.status == "succeeded"
    assert {"invoice.paid", "invoice.payment_succeeded", "charge.succeeded"} <= set(types(client))
    with refused("already paid"):
        client.v1.invoices.pay(invoice.id)


def test_a_failing_card_is_retried_and_then_left(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    service.settings.payment_retry_seconds = [3 * DAY, 5 * DAY]
    with_card(client, customer, "pm_card_chargeCustomerFail")
    invoice = charged(client, customer)
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt is not None
    service.clock.advance(3 * DAY + 60)
    second = client.v1.invoices.retrieve(invoice.id)
    assert second.attempt_count == 2
    service.clock.advance(5 * DAY + 60)
    last = client.v1.invoices.retrieve(invoice.id)
    assert (last.status, last.attempt_count, last.next_payment_attempt) == ("open", 3, None)
    failures = client.v1.events.list({"type": "invoice.payment_failed"})
    assert [event.data.object["attempt_count"] for event in failures] == [3, 2, 1]


def test_a_new_card_before_the_retry_pays(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    with_card(client, customer, "pm_card_chargeCustomerFail")
    invoice = charged(client, customer)
    with_card(client, customer, "pm_card_visa")
    service.clock.advance(4 * DAY)
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_a_declined_payment_says_so_and_leaves_its_marks(client: stripe.StripeClient, customer: str) -> None:
    invoice = charged(client, customer)
    with pytest.raises(stripe.CardError) as caught:
        client.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"})
    assert (caught.value.code, caught.value.http_status) == ("card_declined", 402)
    assert caught.value.error is not None
    assert caught.value.error.decline_code == "insufficient_funds"
    assert client.v1.invoices.retrieve(invoice.id).attempt_count == 1
    assert "invoice.payment_failed" in types(client)
    assert client.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}).status == "paid"


def test_a_card_that_is_refused_at_once_does_not_attach(client: stripe.StripeClient, customer: str) -> None:
    with pytest.raises(stripe.CardError):
        client.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer})


def test_paid_out_of_band(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 700})
    client.v1.invoices.finalize_invoice(invoice.id)
    paid = client.v1.invoices.pay(invoice.id, {"paid_out_of_band": True, "expand": ["payments"]})
    assert (paid.status, paid.amount_paid_off_stripe, paid.amount_remaining) == ("paid", 700, 0)
    assert client.v1.charges.list().data == []
    assert paid.payments is not None
    assert [each.payment.type for each in paid.payments.data if each.status == "paid"] == ["payment_record"]


def test_refunds(client: stripe.StripeClient, customer: str) -> None:
    with_card(client, customer, "pm_card_visa")
    charged(client, customer)
    charge = client.v1.charges.list({"customer": customer}).data[0]
    client.v1.refunds.create({"charge": charge.id, "amount": 300, "metadata": {"k": "v"}})
    with refused("greater than unrefunded amount"):
        client.v1.refunds.create({"charge": charge.id, "amount": 701})
    assert isinstance(charge.payment_intent, str)
    client.v1.refunds.create({"payment_intent": charge.payment_intent})
    after = client.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (after.amount_refunded, after.refunded) == (1000, True)
    assert after.refunds is not None
    assert [refund.amount for refund in after.refunds.data] == [700, 300]
    with refused("already been refunded"):
        client.v1.refunds.create({"charge": charge.id})


def test_credit_notes_on_an_open_invoice(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 1000})
    with refused("only be created for open or paid"):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 1})
    final = client.v1.invoices.finalize_invoice(invoice.id)
    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 400, "reason": "order_change"})
    assert (note.type, note.status, note.number) == ("pre_payment", "issued", f"{final.number}-CN-01")
    assert client.v1.invoices.retrieve(invoice.id).amount_remaining == 600
    with refused("exceeds what is left"):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 601})
    client.v1.credit_notes.void_credit_note(note.id)
    assert client.v1.invoices.retrieve(invoice.id).amount_remaining == 1000
    client.v1.credit_notes.create({"invoice": invoice.id, "amount": 1000})
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_credit_notes_on_a_paid_invoice_give_money_back(client: stripe.StripeClient, customer: str) -> None:
    with_card(client, customer, "pm_card_visa")
    invoice = charged(client, customer)
    with refused("must equal the credit note's"):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 400})
    note = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 400, "refund_amount": 400})
    assert (note.type, note.refunds[0].amount_refunded) == ("post_payment", 400)
    assert client.v1.charges.list().data[0].amount_refunded == 400


def test_payment_intents_of_their_own(client: stripe.StripeClient, customer: str) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "eur", "customer": customer})
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeCustomerFail"})
    done = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (done.status, done.amount_received) == ("succeeded", 500)
    with refused("cannot cancel"):
        client.v1.payment_intents.cancel(intent.id)
