"""Whom a deal is billed to: one customer for each Account and currency, found before one is created."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tasks.outcomes import DealStatus
from tests.flows.running import codes, held, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def test_two_deals_of_an_account_share_one_customer_and_each_currency_has_its_own(books: World) -> None:
    options: dict[str, Any] = {"currency_options": {"eur": {"unit_amount": 90_000}}}
    price = books.seeder.price("Audit", 100_000, **options)
    books.product("audit", "Audit", price, "1000.00")
    books.product("audit-eur", "Audit", price, "900.00", "EUR")
    account = books.account()
    first = books.deal(account)
    second = books.deal(account, lines=(("audit", 1, 1000),))
    euro = books.deal(account, lines=(("audit-eur", 2, 900),), CurrencyIsoCode="EUR")
    summary = await run(first, second, euro)
    assert summary.in_words == "3 billed"
    dollars = books.assert_billed_once(first, 250_000)["customer"]
    assert books.assert_billed_once(second, 100_000)["customer"] == dollars
    euros = books.assert_billed_once(euro, 180_000, "eur")["customer"]
    assert euros != dollars
    assert set(books.effects("stripe", "customer", "created")) == {dollars, euros}
    # What comes later finds both again.
    third = books.deal(account, lines=(("audit-eur", 1, 900),), CurrencyIsoCode="EUR")
    await run(third)
    assert books.assert_billed_once(third, 90_000, "eur")["customer"] == euros


def customer(world: World, name: str, email: str, **metadata: str) -> str:
    made = world.seeder.stripe("customers", name=name, email=email, metadata=metadata)
    return str(made["id"])


async def test_customers_that_stripe_has_are_found_by_id_metadata_email_domain_and_name(books: World) -> None:
    fields = {"Billing_Email__c": "ap@harbour.example", "Name": "Harbour Freight Lines"}
    accounts = {
        "stripe_id": books.account(),
        "metadata": books.account(),
        "email": books.account(Billing_Email__c="pay@northmill.example", Name="North Mill Trading"),
        "domain": books.account(**fields),
        "name": books.account(Name="Quiet Meadow Ltd", Billing_Email__c="office@quietmeadow.example"),
    }
    expected = {
        "stripe_id": customer(books, "Written by hand", "somebody@else.example"),
        "metadata": customer(
            books, "Old name", "old@old.example", salesforce_account_id=accounts["metadata"]
        ),
        "email": customer(books, "North Mill", "Pay@NorthMill.example"),
        "domain": customer(books, "Harbor Freight Lines", "billing@harbour.example"),
        "name": customer(books, "QUIET MEADOW", ""),
    }
    books.update("Account", accounts["stripe_id"], Stripe_Customer_Id__c=expected["stripe_id"])
    deals = {way: books.deal(account) for way, account in accounts.items()}
    books.forget_calls()
    summary = await run(*deals.values())
    assert summary.in_words == "5 billed"
    billed = {way: books.assert_billed_once(deal, 250_000)["customer"] for way, deal in deals.items()}
    assert billed == expected
    assert books.effects("stripe", "customer", "created") == []
    for way, account in accounts.items():
        assert books.record("Account", account)["Stripe_Customer_Id__c"] == expected[way]


async def test_customers_that_fit_equally_well_are_left_to_a_person(books: World) -> None:
    account = books.account(Name="Twin Rivers", Billing_Email__c="office@twinrivers.example")
    twins = [customer(books, "Twin Rivers", "office@twinrivers.example") for _ in range(2)]
    doubtful, clear = books.deal(account), books.deal()
    summary = await run(doubtful, clear)
    books.assert_billed_once(clear, 250_000)
    assert books.invoices(doubtful) == []
    assert codes(summary, doubtful) == ["customer_ambiguous"]
    message = outcome_of(summary, doubtful).problems[0].message
    assert all(twin in message for twin in twins)
    assert held() == {doubtful: {"customer_ambiguous"}}
    # A person says which it is: nothing else is needed.
    books.update("Account", account, Stripe_Customer_Id__c=twins[1])
    again = await run(doubtful)
    assert outcome_of(again, doubtful).status is DealStatus.BILLED
    assert books.assert_billed_once(doubtful, 250_000)["customer"] == twins[1]
    assert held() == {}


def delete_customer(world: World, customer_id: str) -> None:
    url = f"{world.urls['stripe']}/v1/customers/{customer_id}"
    answer = httpx.delete(url, headers={"Authorization": "Bearer sk_test_emulator"}, trust_env=False)
    assert answer.is_success


async def test_an_account_that_names_a_deleted_customer_gets_the_id_of_its_new_one(books: World) -> None:
    gone = books.seeder.stripe("customers", name="Gone", email="old@gone.example")["id"]
    account = books.account(Name="Gone", Stripe_Customer_Id__c=gone)
    deal = books.deal(account)
    delete_customer(books, gone)
    assert (await run()).in_words == "1 billed"
    invoice = books.assert_billed_once(deal, 250_000)
    assert invoice["customer"] != gone
    assert books.record("Account", account)["Stripe_Customer_Id__c"] == invoice["customer"]
