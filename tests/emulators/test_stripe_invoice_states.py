"""One-time invoices: finalization and what follows it."""

from __future__ import annotations

import httpx
import pytest
import stripe

from emulators.stripe.service import StripeService
from tests.emulators.stripe_help import DAY, add, draft, refused


def test_a_finalized_invoice_is_frozen(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 100})
    line = invoice.lines.data[0].id
    client.v1.invoices.finalize_invoice(invoice.id)
    with refused("already finalized"):
        client.v1.invoices.finalize_invoice(invoice.id)
    with refused("no longer editable"):
        add(client, invoice, {"amount": 1})
    with refused("no longer editable"):
        client.v1.invoices.update(invoice.id, {"description": "other"})
    with refused("no longer editable"):
        client.v1.invoices.remove_lines(invoice.id, {"lines": [{"id": line, "behavior": "delete"}]})
    with refused("only delete draft"):
        client.v1.invoices.delete(invoice.id)
    changed = client.v1.invoices.update(invoice.id, {"metadata": {"k": "v"}})
    assert changed.metadata is not None
    assert changed.metadata["k"] == "v"


def test_an_empty_invoice_is_paid_on_finalization(client: stripe.StripeClient, customer: str) -> None:
    final = client.v1.invoices.finalize_invoice(draft(client, customer).id)
    assert (final.status, final.total) == ("paid", 0)


def test_a_credit_goes_to_the_balance_and_is_used_next(client: stripe.StripeClient, customer: str) -> None:
    credit = add(client, draft(client, customer), {"amount": -300})
    assert client.v1.invoices.finalize_invoice(credit.id).status == "paid"
    assert client.v1.customers.retrieve(customer).balance == -300
    following = add(client, draft(client, customer), {"amount": 1000})
    final = client.v1.invoices.finalize_invoice(following.id)
    assert (final.total, final.amount_due, final.ending_balance) == (1000, 700, 0)
    assert client.v1.customers.retrieve(customer).balance == 0


def test_a_debt_too_small_to_collect_waits_on_the_balance(client: stripe.StripeClient, customer: str) -> None:
    small = add(client, draft(client, customer), {"amount": 49})
    final = client.v1.invoices.finalize_invoice(small.id)
    assert (final.status, final.total, final.amount_due, final.ending_balance) == ("paid", 49, 0, 49)
    following = add(client, draft(client, customer), {"amount": 100})
    assert client.v1.invoices.finalize_invoice(following.id).amount_due == 149


def test_the_hosted_page_shows_the_invoice(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 123450, "description": "<Work>"})
    url = client.v1.invoices.finalize_invoice(invoice.id).hosted_invoice_url
    assert url is not None
    page = httpx.get(url, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert "1,234.50 EUR" in page.text
    assert "&lt;Work&gt;" in page.text
    assert httpx.get(url + "x", trust_env=False).status_code == 404


def test_a_draft_follows_its_customer_until_finalized(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 5})
    client.v1.customers.update(customer, {"name": "Acme AG"})
    assert client.v1.invoices.retrieve(invoice.id).customer_name == "Acme AG"
    client.v1.invoices.finalize_invoice(invoice.id)
    client.v1.customers.update(customer, {"name": "Other"})
    assert client.v1.invoices.retrieve(invoice.id).customer_name == "Acme AG"


def test_terms(client: stripe.StripeClient, service: StripeService, customer: str) -> None:
    with refused("must pass `days_until_due`"):
        client.v1.invoices.create({"customer": customer, "collection_method": "send_invoice"})
    with refused("only set `days_until_due` if"):
        client.v1.invoices.create({"customer": customer, "days_until_due": 3})
    with refused("only specify one of these"):
        draft(client, customer, due_date=service.clock.epoch() + DAY)
    with refused("only manually send"):
        client.v1.invoices.send_invoice(client.v1.invoices.create({"customer": customer}).id)
    nameless = client.v1.customers.create({"name": "No address"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.invoices.send_invoice(draft(client, nameless.id).id)
    assert caught.value.param == "customer"


def test_void_uncollectible_and_delete(client: stripe.StripeClient, customer: str) -> None:
    invoice = add(client, draft(client, customer), {"amount": 100})
    with refused("only void open"):
        client.v1.invoices.void_invoice(invoice.id)
    client.v1.invoices.finalize_invoice(invoice.id)
    lost = client.v1.invoices.mark_uncollectible(invoice.id)
    assert lost.status == "uncollectible"
    gone = client.v1.invoices.void_invoice(invoice.id)
    assert (gone.status, gone.amount_remaining) == ("void", 0)
    with refused("can't send"):
        client.v1.invoices.send_invoice(invoice.id)
    other = draft(client, customer)
    assert client.v1.invoices.delete(other.id).deleted is True
    with refused("No such invoice"):
        client.v1.invoices.finalize_invoice(other.id)
    assert [each.id for each in client.v1.invoices.list({"customer": customer})] == [invoice.id]


def test_a_draft_with_auto_advance_finalizes_by_itself(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    invoice = add(client, draft(client, customer, auto_advance=True), {"amount": 100})
    service.clock.advance(3500)
    assert client.v1.invoices.retrieve(invoice.id).status == "draft"
    service.clock.advance(200)
    assert client.v1.invoices.retrieve(invoice.id).status == "open"
    by_itself = service.journal.select(method="CLOCK")
    assert ("invoice", "finalized") in [
        (each.effects[0].object, each.effects[0].action) for each in by_itself
    ]


def test_an_unpaid_invoice_becomes_overdue(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    invoice = add(client, draft(client, customer), {"amount": 100})
    client.v1.invoices.finalize_invoice(invoice.id)
    service.clock.advance(31 * DAY)
    (event,) = client.v1.events.list({"type": "invoice.overdue"})
    assert event.data.object["id"] == invoice.id


def test_pending_items_join_only_when_asked(client: stripe.StripeClient, customer: str) -> None:
    item = client.v1.invoice_items.create({"customer": customer, "currency": "eur", "amount": 500})
    assert draft(client, customer).total == 0
    joined = draft(client, customer, pending_invoice_items_behavior="include")
    assert joined.total == 500
    assert client.v1.invoice_items.retrieve(item.id).invoice == joined.id
    client.v1.invoice_items.update(item.id, {"amount": 700})
    assert client.v1.invoices.retrieve(joined.id).total == 700
    client.v1.invoice_items.delete(item.id)
    assert client.v1.invoices.retrieve(joined.id).total == 0


def test_a_preview_leaves_nothing_behind(
    client: stripe.StripeClient, service: StripeService, customer: str, product: str
) -> None:
    before = len(service.journal.effects())
    seen = client.v1.invoices.create_preview(
        {
            "customer": customer,
            "invoice_items": [
                {"price_data": {"currency": "eur", "product": product, "unit_amount": 250}, "quantity": 2}
            ],
        }
    )
    assert (seen.total, seen.currency, seen.lines.data[0].amount) == (500, "eur", 500)
    assert client.v1.prices.list().data == []
    assert len(service.journal.effects()) == before
    assert client.v1.customers.retrieve(customer).currency is None
    assert client.v1.invoices.list().data == []
