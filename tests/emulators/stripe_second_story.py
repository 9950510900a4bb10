"""The story goes on: disputes, checkout, payments in parts, trials and pauses, and thin events of all of it."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import stripe

from emulators.stripe.service import StripeService

DAY = 86400


class Acts:
    """The emulator's control API: the bank, the card network, the customer at the checkout."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_emulator/"

    def __call__(self, what: str, **wish: Any) -> dict[str, Any]:
        answer = httpx.post(self._url + what, json=wish, trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made


def tell(service: StripeService, client: stripe.StripeClient, url: str) -> None:
    v1, acts = client.v1, Acts(url)
    destination = client.v2.core.event_destinations.create(
        {
            "name": "thin",
            "event_payload": "thin",
            "enabled_events": ["*"],
            "type": "webhook_endpoint",
            "webhook_endpoint": {"url": "http://127.0.0.1:9/thin"},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    service.settings.thin_snapshots = False
    customer = v1.customers.create({"name": "Umbrella", "email": "ap@umbrella.example"})
    disputed(client, acts, customer.id)
    for ok in (True, False):
        asked(client, acts, customer.id, ok=ok)
    checkout(client, acts)
    in_parts(client, customer.id)
    subscriptions(service, client)
    (thin, *_) = service.world.all("v2.core.event")
    client.v2.core.events.retrieve(thin["id"])
    client.v2.core.event_destinations.disable(destination.id)
    client.v2.core.event_destinations.retrieve(destination.id)


def charge(client: stripe.StripeClient, customer: str, card: str, amount: int = 5_000) -> stripe.Charge:
    intent = client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "customer": customer,
            "confirm": True,
            "payment_method": card,
        }
    )
    return client.v1.charges.retrieve(str(intent.latest_charge))


def disputed(client: stripe.StripeClient, acts: Acts, customer: str) -> None:
    v1 = client.v1
    first = charge(client, customer, "pm_card_createDispute")
    dispute = v1.disputes.list({"charge": first.id}).data[0]
    v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    second = charge(client, customer, "pm_card_visa")
    acts(f"disputes/{second.id}", amount=1_000, reason="duplicate")
    v1.disputes.close(v1.disputes.list({"charge": second.id}).data[0].id)
    third = charge(client, customer, "pm_card_refundFail")
    refund = v1.refunds.create({"charge": third.id})
    acts(f"refunds/{refund.id}", status="failed", reason="expired_or_canceled_card")
    card = v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    v1.payment_methods.update(card.id, {"card": {"exp_month": 1, "exp_year": 2020}})
    with contextlib.suppress(stripe.CardError):
        charge(client, customer, card.id)
    acts(f"cards/{card.id}", exp_month=1, exp_year=2045, last4="1881")
    v1.payment_methods.detach(card.id)


def asked(client: stripe.StripeClient, acts: Acts, customer: str, *, ok: bool) -> str:
    """The bank asks the customer, who says yes or no; the invoice's id."""
    invoice = client.v1.invoices.create({"customer": customer, "currency": "usd"})
    client.v1.invoice_items.create({"customer": customer, "invoice": invoice.id, "amount": 4_000})
    client.v1.invoices.finalize_invoice(invoice.id)
    with contextlib.suppress(stripe.CardError):
        client.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_authenticationRequired"})
    payment = client.v1.invoice_payments.list({"invoice": invoice.id}).data[0].payment
    acts(f"authenticate/{payment.payment_intent}", ok=ok)
    return invoice.id


def checkout(client: stripe.StripeClient, acts: Acts) -> None:
    v1 = client.v1
    product = v1.products.create({"name": "Seat"}).id
    prices = [
        v1.prices.create({"product": product, "currency": "usd", "unit_amount": 900}),
        v1.prices.create(
            {
                "product": product,
                "currency": "usd",
                "unit_amount": 900,
                "recurring": {"interval": "month"},
            }
        ),
    ]
    for mode, price in zip(("payment", "subscription"), prices, strict=True):
        made = [session_of(client, mode, price.id) for _ in range(2)]
        acts(f"checkout/{made[0]}", address="payer@umbrella.example")
        v1.checkout.sessions.retrieve(made[0], {"expand": ["customer"]})
        v1.checkout.sessions.expire(made[1])
    v1.billing_portal.sessions.create(
        {
            "customer": v1.customers.create({"name": "Umbrella"}).id,
            "flow_data": {"type": "payment_method_update"},
            "after_expiration": {"type": "customer_login"},
        }
    )


def session_of(client: stripe.StripeClient, mode: str, price: str) -> str:
    return client.v1.checkout.sessions.create(
        {
            "mode": mode,
            "line_items": [{"price": price, "quantity": 2}],
            "success_url": "https://acme.example/thanks",
        }
    ).id


def in_parts(client: stripe.StripeClient, customer: str) -> None:
    """An invoice that is paid by a card, then past Stripe, and by more than it asked for."""
    v1 = client.v1
    invoice = v1.invoices.create(
        {"customer": customer, "currency": "usd", "collection_method": "send_invoice", "days_until_due": 30}
    )
    v1.invoice_items.create({"customer": customer, "invoice": invoice.id, "amount": 10_000})
    v1.invoices.finalize_invoice(invoice.id)
    part = charge(client, customer, "pm_card_visa", 4_000)
    v1.invoices.attach_payment(invoice.id, {"payment_intent": str(part.payment_intent)})
    record = v1.payment_records.report_payment(
        {
            "amount_requested": {"currency": "usd", "value": 7_000},
            "initiated_at": 1_790_000_000,
            "outcome": "guaranteed",
            "guaranteed": {"guaranteed_at": 1_790_000_000},
            "payment_method_details": {"type": "custom", "custom": {"display_name": "Wire"}},
            "processor_details": {"type": "custom", "custom": {"payment_reference": "wire 7"}},
        }
    )
    v1.invoices.attach_payment(invoice.id, {"payment_record": record.id})
    v1.payment_records.retrieve(record.id)
    v1.invoices.retrieve(invoice.id, {"expand": ["payments"]})


def subscriptions(service: StripeService, client: stripe.StripeClient) -> None:
    v1 = client.v1
    customer = v1.customers.create({"name": "Hooli", "email": "ap@hooli.example"}).id
    product = v1.products.create({"name": "Plan"}).id
    price = v1.prices.create(
        {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    )
    paused, gone = (
        v1.subscriptions.create(
            {
                "customer": customer,
                "items": [{"price": price.id}],
                "trial_period_days": 14,
                "trial_settings": {"end_behavior": {"missing_payment_method": missing}},
            }
        )
        for missing in ("pause", "cancel")
    )
    service.clock.advance(15 * DAY)
    assert v1.subscriptions.retrieve(paused.id).status == "paused"
    assert v1.subscriptions.retrieve(gone.id).status == "canceled"
    v1.subscriptions.resume(paused.id)
    v1.subscriptions.update(paused.id, {"pause_collection": {"behavior": "void"}})
    service.clock.advance(32 * DAY)
    v1.subscriptions.pause(paused.id)
    v1.subscriptions.list({"status": "paused"})
