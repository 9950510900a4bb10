"""What the recipe relies on, asked of the emulators, and by `make test-live` of real sandboxes."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from emulators.seeding import form
from order_to_cash.domain.dunning.account_rows import owner_queries, peoples_word_queries, row_queries
from order_to_cash.domain.dunning.facts import InvoiceStatus, read_facts
from order_to_cash.domain.dunning.steps import Owner
from order_to_cash.domain.errors import FieldRefused
from tasks.dunning_facts import EXPANDED
from tests.live.place import Place


@dataclass(frozen=True)
class Deal:
    """A won deal of one line of 2,500.00, and what it hangs on."""

    opportunity_id: str
    account_id: str
    price_id: str


def won_deal(place: Place) -> Deal:
    """Make it from nothing, in both books."""
    mark = uuid.uuid4().hex[:8]
    currency = place.settings.default_currency.lower()
    product = place.post("products", name=f"Onboarding {mark}").raise_for_status().json()["id"]
    price = (
        place.post("prices", product=product, unit_amount=250_000, currency=currency)
        .raise_for_status()
        .json()["id"]
    )
    sold = place.create("Product2", Name=f"Onboarding {mark}", IsActive=True, Stripe_Price_Id__c=price)
    [book] = place.salesforce.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true")
    entry = place.create(
        "PricebookEntry",
        Pricebook2Id=book["Id"],
        Product2Id=sold,
        UnitPrice=2500,
        IsActive=True,
        **place.money(),
    )
    account = place.create(
        "Account",
        Name=f"Contract {mark}",
        BillingCountry="US",
        Billing_Email__c=f"contract-{mark}@example.com",
    )
    opportunity = place.create(
        "Opportunity",
        Name=f"Contract {mark}",
        AccountId=account,
        StageName="Prospecting",
        CloseDate=datetime.now(UTC).date().isoformat(),
        Pricebook2Id=book["Id"],
        **place.money(),
    )
    place.create(
        "OpportunityLineItem", OpportunityId=opportunity, PricebookEntryId=entry, Quantity=1, UnitPrice=2500
    )
    [won] = place.salesforce.update_rows("Opportunity", [{"Id": opportunity, "StageName": "Closed Won"}])
    assert won.ok, won.error
    return Deal(opportunity, account, price)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
async def test_a_won_deal_becomes_one_sent_invoice_also_when_it_is_run_twice(place: Place) -> None:
    from blocks.registry import save
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of

    await save(place.settings, name="contract")
    deal = await asyncio.to_thread(won_deal, place)
    for _ in range(2):
        state = await bill_won_deals(
            [deal.opportunity_id], mode=Mode.APPLY, company="contract", return_state=True
        )
        summary = await summary_of(state)
        assert summary is not None, state.message
        assert not summary.incomplete, summary.in_words
    (invoice,) = place.invoices_of(deal.opportunity_id)
    assert (invoice["status"], invoice["total"], invoice["collection_method"]) == (
        "open",
        250_000,
        "send_invoice",
    )
    assert invoice["hosted_invoice_url"]
    assert invoice["metadata"]["salesforce_account_id"] == deal.account_id
    [row] = place.salesforce.query(
        "SELECT Stripe_Invoice_Id__c, Stripe_Customer_Id__c, Stripe_Invoice_Status__c FROM Opportunity "
        f"WHERE Id = '{deal.opportunity_id}'"
    )
    assert row == {
        "Stripe_Invoice_Id__c": invoice["id"],
        "Stripe_Customer_Id__c": invoice["customer"],
        "Stripe_Invoice_Status__c": "open",
    }
    assert place.post(f"invoices/{invoice['id']}/void").json()["status"] == "void"
    place.post(f"prices/{deal.price_id}", active=False).raise_for_status()


def test_an_idempotency_key_replays_its_answer_and_refuses_other_parameters(place: Place) -> None:
    key = f"contract-{uuid.uuid4()}"
    first = place.post("customers", name="Contract", idempotency_key=key)
    again = place.post("customers", name="Contract", idempotency_key=key)
    other = place.post("customers", name="Another", idempotency_key=key)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [
        ("customers", {"nickname": "x"}, "parameter_unknown", "nickname"),
        ("prices", {"unit_amount": 1, "product": "prod_none"}, "parameter_missing", "currency"),
        ("invoices", {"customer": "cus_none"}, "resource_missing", "customer"),
    ],
)
def test_stripe_names_what_is_wrong(
    place: Place, path: str, params: dict[str, Any], code: str, param: str
) -> None:
    answer = place.post(path, **params)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)


def test_salesforce_names_a_field_that_is_not_there(place: Place) -> None:
    with pytest.raises(FieldRefused) as caught:
        place.salesforce.query("SELECT Nowhere__c FROM Account LIMIT 1")
    assert "Nowhere__c" in str(caught.value)


def test_a_bad_row_leaves_the_others(place: Place) -> None:
    account = place.create("Account", Name=f"Contract {uuid.uuid4().hex[:8]}")
    rows = [{"Id": each, "Stripe_Customer_Id__c": "cus_contract"} for each in (account, "001000000000000AAA")]
    good, bad = place.salesforce.update_rows("Account", rows)
    assert good.ok, good.error
    assert not bad.ok


def test_salesforce_answers_what_is_asked_about_ladders(place: Place) -> None:
    mark = uuid.uuid4().hex[:12]
    fields = place.settings.field_names
    customer = f"cus_{mark}"
    account = place.create("Account", Name=f"Ladder {mark}", **{fields.account_customer_id: customer})
    by_id, by_customer, of_invoice = place.salesforce.query_together(
        row_queries([account], [customer], [f"in_{mark}"], fields)
    )
    assert [row["Id"] for row in (*by_id, *by_customer)] == [account, account]
    assert by_id[0]["Owner"]["IsActive"] is True
    assert by_id[0]["Executive_Sponsor__r"] is None
    assert by_id[0]["Dunning_Hold__c"] is False
    assert of_invoice == []
    held, _ = place.salesforce.query_together(peoples_word_queries(fields))
    assert customer not in {row[fields.account_customer_id] for row in held}
    nobody = [Owner.model_validate(f"{kind}:nobody {mark}") for kind in ("user", "queue")]
    assert place.salesforce.query_together(owner_queries(nobody)) == [[], [], [], []]


def test_stripe_tells_all_of_an_unpaid_invoice_in_one_answer(place: Place) -> None:
    customer = place.post("customers", name="Ladder").raise_for_status().json()["id"]
    card = place.post("payment_methods/pm_card_chargeCustomerFail/attach", customer=customer)
    method = card.raise_for_status().json()["id"]
    invoice = place.post("invoices", customer=customer, currency="usd").raise_for_status().json()["id"]
    line = {"customer": customer, "invoice": invoice, "amount": 1200, "currency": "usd"}
    place.post("invoiceitems", **line).raise_for_status()
    place.post(f"invoices/{invoice}/finalize", auto_advance=False).raise_for_status()
    assert place.post(f"invoices/{invoice}/pay", payment_method=method).status_code == 402
    answer = place.stripe.get(f"/v1/invoices/{invoice}", params=form({"expand": list(EXPANDED)}))
    body = answer.raise_for_status().json()
    known = read_facts(body, None, body["customer"])
    assert known.status is InvoiceStatus.OPEN
    assert (known.decline_code, known.payment_under_way) == ("generic_decline", False)
    assert (known.attempt_count, known.customer_deleted, known.subscription_id) == (1, False, "")
