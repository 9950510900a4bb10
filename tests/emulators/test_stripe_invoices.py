"""One-time invoices: drafts, lines, money, finalization and what follows."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, add, draft, refused


def test_from_draft_to_sent(client: stripe.StripeClient, service: StripeService, customer: str) -> None:
    invoice = draft(client, customer, metadata={"salesforce_opportunity_id": "006"})
    assert (invoice.status, invoice.number, invoice.hosted_invoice_url) == ("draft", None, None)
    assert invoice.auto_advance is False
    add(client, invoice, {"amount": 12345, "description": "Work"})
    service.clock.advance(DAY)
    final = client.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True})
    assert (final.status, final.total, final.amount_due, final.amount_remaining) == (
        "open",
        12345,
        12345,
        12345,
    )
    assert final.auto_advance is True
    assert final.number is not None
    assert final.number.endswith("-0001")
    assert final.hosted_invoice_url is not None
    assert final.invoice_pdf is not None
    finalized_at = final.status_transitions.finalized_at
    assert finalized_at is not None
    assert final.due_date == finalized_at + 30 * DAY
    client.v1.invoices.send_invoice(invoice.id)
    types: list[str] = [event.type for event in client.v1.events.list({"limit": 100})]
    assert [types.count(f"invoice.{each}") for each in ("created", "updated", "finalized", "sent")] == [
        1,
        2,
        1,
        1,
    ]
    assert [each.action for each in service.journal.effects("invoice")] == [
        "created",
        "updated",
        "finalized",
        "sent",
    ]


def test_money_of_lines(client: stripe.StripeClient, customer: str, product: str) -> None:
    price = client.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 999})
    invoice = add(
        client,
        draft(client, customer),
        {"pricing": {"price": price.id}, "quantity": 3, "metadata": {"line": "1"}},
        {"price_data": {"currency": "eur", "product": product, "unit_amount_decimal": "0.5"}, "quantity": 5},
        {
            "price_data": {"currency": "eur", "product": product, "unit_amount": 1000},
            "quantity_decimal": "1.5",
        },
        {"amount": -7, "description": "Rebate"},
    )
    lines = invoice.lines.data
    assert [line.amount for line in lines] == [2997, 3, 1500, -7]
    assert [line.quantity_decimal for line in lines] == [3, 5, pytest.approx(1.5), 1]
    assert (invoice.subtotal, invoice.total) == (4493, 4493)
    assert lines[0].pricing is not None
    assert lines[0].pricing.price_details is not None
    assert lines[0].pricing.price_details.price == price.id
    assert (lines[0].description, lines[0].metadata.to_dict()) == ("Seat", {"line": "1"})
    assert [price.active for price in client.v1.prices.list({"active": False})] == [False, False]


def test_tax_is_a_separate_amount(
    client: stripe.StripeClient, service: StripeService, customer: str, product: str
) -> None:
    service.settings.tax_rates = {"DE": "19"}
    invoice = add(
        client,
        draft(client, customer, automatic_tax={"enabled": True}),
        {"amount": 1003, "description": "Work"},
        {
            "price_data": {
                "currency": "eur",
                "product": product,
                "unit_amount": 119,
                "tax_behavior": "inclusive",
            }
        },
    )
    assert (invoice.subtotal, invoice.total, invoice.total_excluding_tax) == (1122, 1313, 1103)
    assert invoice.automatic_tax.status == "complete"
    assert invoice.total_taxes is not None
    assert [(tax.amount, tax.tax_behavior) for tax in invoice.total_taxes] == [
        (191, "exclusive"),
        (19, "inclusive"),
    ]
    client.v1.customers.update(customer, {"tax_exempt": "reverse"})
    assert client.v1.invoices.finalize_invoice(invoice.id).total == 1122


def test_automatic_tax_needs_an_address(client: stripe.StripeClient) -> None:
    nowhere = client.v1.customers.create({"name": "A"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        draft(client, nowhere.id, automatic_tax={"enabled": True})
    assert caught.value.code == "customer_tax_location_invalid"
    assert client.v1.customers.retrieve(nowhere.id).currency is None


def test_one_customer_one_currency(client: stripe.StripeClient, customer: str) -> None:
    draft(client, customer)
    assert client.v1.customers.retrieve(customer).currency == "eur"
    with refused("You cannot combine currencies on a single customer"):
        draft(client, customer, currency="usd")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"description": "nothing"}, r"Missing required param: lines\[0\]\[amount\]"),
        ({"amount": 5, "quantity": 2}, "only specify one of these parameters: amount, quantity"),
        ({"amount": "1.5"}, r"Invalid integer: 1\.5"),
        ({"amount": 100_000_000}, "no more than 99999999"),
        ({"pricing": {"price": "price_none"}}, "No such price"),
        ({"pricing": {"price": "OFF"}}, "price specified is inactive"),
        ({"pricing": {"price": "MONTHLY"}}, "type=recurring"),
        ({"pricing": {"price": "USD"}}, "only supports `usd`"),
        ({"pricing": {"price": "ON"}, "quantity": -1}, "greater than or equal to 0"),
        (
            {"price_data": {"currency": "eur", "unit_amount": 1}},
            r"price_data\[product\]|price_data\]\[product\]",
        ),
        ({"price_data": {"currency": "eur", "product": "prod_none", "unit_amount": 1}}, "No such product"),
        (
            {"price_data": {"currency": "eur", "product": "prod_none", "unit_amount": -1}},
            "greater than or equal to 0",
        ),
        ({"amount": 1, "discounts": [{"coupon": "x"}]}, "Received unknown parameter"),
    ],
)
def test_bad_lines_change_nothing(
    client: stripe.StripeClient, customer: str, product: str, line: dict[str, Any], message: str
) -> None:
    base: Any = {"product": product, "currency": "eur", "unit_amount": 100}
    create: Any = client.v1.prices.create  # plain dicts
    prices = {
        "ON": create(base).id,
        "OFF": create({**base, "active": False}).id,
        "MONTHLY": create({**base, "recurring": {"interval": "month"}}).id,
        "USD": create({**base, "currency": "usd"}).id,
    }
    if "pricing" in line:
        wanted = line["pricing"]["price"]
        line = {**line, "pricing": {"price": prices.get(wanted, wanted)}}
    invoice = draft(client, customer)
    with refused(message):
        add(client, invoice, line)
    assert client.v1.invoices.retrieve(invoice.id).lines.data == []


@pytest.mark.parametrize(("currency", "amount"), [("isk", 150), ("ugx", 1), ("kwd", 1234)])
def test_amounts_keep_the_step_of_their_currency(
    client: stripe.StripeClient, currency: str, amount: int
) -> None:
    customer = client.v1.customers.create({"name": "A"})
    invoice = draft(client, customer.id, currency=currency)
    with refused("must be evenly divisible by"):
        add(client, invoice, {"amount": amount})


def test_at_most_250_lines(client: stripe.StripeClient, customer: str) -> None:
    invoice = draft(client, customer)
    full = add(client, invoice, *({"amount": 1} for _ in range(250)))
    assert (full.total, len(full.lines.data), full.lines.has_more) == (250, 10, True)
    listed = client.v1.invoices.line_items.list(invoice.id, {"limit": 100})
    assert len(list(listed.auto_paging_iter())) == 250
    with refused("at most 250 line items"):
        add(client, invoice, {"amount": 1})
    with refused("Array too long"):
        add(client, draft(client, customer), *({"amount": 1} for _ in range(251)))


def test_a_refused_call_leaves_no_trace(
    client: stripe.StripeClient, service: StripeService, customer: str, product: str
) -> None:
    invoice = draft(client, customer)
    seen = len(service.journal.effects())
    inline = {"price_data": {"currency": "eur", "product": product, "unit_amount": 100}}
    with refused("No such price"):
        add(client, invoice, inline, {"pricing": {"price": "price_none"}})
    full = add(client, invoice, *({"amount": 1} for _ in range(250)))
    with refused("at most 250"):
        add(client, full, inline)
    params: Any = {"customer": customer, "currency": "usd", "amount": 5}
    with refused("You cannot combine currencies"):
        client.v1.invoice_items.create(params)
    fresh = client.v1.customers.create({"name": "B"})
    params = {
        "customer": fresh.id,
        "price_data": {"currency": "usd", "product": "prod_none", "unit_amount": 1},
    }
    with refused("No such product"):
        client.v1.invoice_items.create(params)
    assert client.v1.customers.retrieve(fresh.id).currency is None
    assert {each.object for each in service.journal.effects()[seen:]} == {
        "invoiceitem",
        "invoice",
        "customer",
    }
    assert client.v1.prices.list().data == []
