"""One long story told through the SDK that makes the emulator emit every type of object it has."""

from __future__ import annotations

import contextlib
from typing import Any

import stripe

from emulators.run import running
from emulators.stripe.service import StripeService
from tests.emulators import stripe_second_story

DAY = 86400


def tell(service: StripeService) -> None:
    service.settings.tax_rates = {"DE": "19"}
    with running(service) as urls:
        client = stripe.StripeClient("sk_test_story", base_addresses={"api": urls["stripe"]})
        _tell(service, client)
        stripe_second_story.tell(service, client, urls["stripe"])


def _tell(service: StripeService, client: stripe.StripeClient) -> None:
    v1 = client.v1
    v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/hook", "enabled_events": ["payout.paid"]})
    v1.accounts.retrieve_current()
    customer = v1.customers.create(
        {
            "name": "Acme GmbH",
            "email": "billing@acme.example",
            "address": {"country": "DE", "city": "Berlin"},
            "shipping": {"name": "Acme", "address": {"country": "DE"}},
            "metadata": {"salesforce_account_id": "001"},
            "expand": ["tax", "subscriptions"],
        }
    )
    product = v1.products.create(
        {"name": "Seat", "default_price_data": {"currency": "eur", "unit_amount": 100}}
    )
    price = v1.prices.create(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 1050,
            "lookup_key": "seat",
            "currency_options": {"usd": {"unit_amount": 1100}},
            "expand": ["product", "currency_options"],
        }
    )
    monthly = v1.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}}
    )
    invoice = v1.invoices.create(
        {
            "customer": customer.id,
            "currency": "eur",
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "automatic_tax": {"enabled": True},
            "custom_fields": [{"name": "PO", "value": "7"}],
        }
    )
    v1.invoices.add_lines(
        invoice.id,
        {
            "lines": [
                {"pricing": {"price": price.id}, "quantity": 3},
                {"amount": -100, "description": "Rebate"},
                {"price_data": {"currency": "eur", "product": product.id, "unit_amount_decimal": "33.335"}},  # type: ignore[typeddict-item]  # the SDK types it Decimal and sends either
            ]
        },
    )
    item = v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 500})
    v1.invoice_items.retrieve(item.id)
    v1.invoices.create_preview(
        {"customer": customer.id, "currency": "eur", "invoice_items": [{"price": price.id, "quantity": 2}]}
    )
    v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True})
    v1.invoices.send_invoice(invoice.id)
    v1.credit_notes.create({"invoice": invoice.id, "amount": 119})
    method = v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    v1.invoices.pay(
        invoice.id, {"payment_method": method.id, "expand": ["payments.data.payment.payment_intent"]}
    )
    paid = v1.invoices.retrieve(invoice.id, {"expand": ["payments", "confirmation_secret", "customer"]})
    charge = v1.charges.list({"customer": customer.id}).data[0]
    v1.refunds.create({"charge": charge.id, "amount": 100})
    v1.credit_notes.create({"invoice": paid.id, "refund_amount": 50, "amount": 50, "reason": "duplicate"})
    v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
        }
    )
    subscription = v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": monthly.id, "quantity": 2}],
            "expand": ["latest_invoice"],
        }
    )
    service.clock.advance(32 * DAY)
    v1.subscriptions.update(
        subscription.id, {"items": [{"id": subscription["items"].data[0].id, "quantity": 5}]}
    )
    service.clock.advance(32 * DAY)
    v1.subscription_items.list({"subscription": subscription.id})
    v1.invoices.list({"subscription": subscription.id, "expand": ["data.payments"]})
    v1.subscriptions.cancel(subscription.id)
    _troubles(service, client, monthly.id)
    v1.customers.delete(v1.customers.create({}).id)
    for _ in v1.events.list({"limit": 100}).auto_paging_iter():
        pass


def _troubles(service: StripeService, client: stripe.StripeClient, monthly: str) -> None:
    """Invoices that are voided, lost, exempt from tax and declined; a subscription that expires."""
    v1 = client.v1
    customer = v1.customers.create({"address": {"country": "FR"}, "tax_exempt": "exempt"})
    card = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    ids = []
    for exempt in ("exempt", "reverse", "none"):
        v1.customers.update(customer.id, {"tax_exempt": exempt})
        params: Any = {"customer": customer.id, "currency": "eur", "automatic_tax": {"enabled": True}}
        invoice = v1.invoices.create(params)
        v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900})
        ids.append(v1.invoices.finalize_invoice(invoice.id).id)
    with contextlib.suppress(stripe.CardError):
        v1.invoices.pay(ids[0], {"payment_method": card.id})
    v1.invoices.void_invoice(ids[0], {"expand": ["payments.data.payment.payment_intent"]})
    v1.invoices.mark_uncollectible(ids[1])
    v1.invoices.pay(ids[2], {"paid_out_of_band": True, "expand": ["payments.data.payment.payment_intent"]})
    v1.payment_intents.list({"customer": customer.id})
    v1.subscriptions.create({"customer": customer.id, "items": [{"price": monthly}]})
    service.clock.advance(2 * DAY)
