"""Who the customer is, when several Accounts, deals, runs or people are at it at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tasks.outcomes import DealStatus, RunSummary
from tests.flows.conftest import Policy
from tests.flows.running import codes, held, ledger, outcome_of, run
from tests.flows.test_two_runs import BACKENDS, database
from tests.world import World

pytestmark = pytest.mark.prefect


def make_customer(world: World, name: str = "", email: str = "", **metadata: str) -> str:
    return str(world.seeder.stripe("customers", name=name, email=email, metadata=metadata)["id"])


def customer_now(world: World, customer_id: str) -> dict[str, Any]:
    answer = httpx.get(
        f"{world.urls['stripe']}/v1/customers/{customer_id}",
        headers={"Authorization": "Bearer sk_test_emulator"},
        trust_env=False,
    )
    found: dict[str, Any] = answer.json()
    return found


def statuses(summary: RunSummary) -> list[DealStatus]:
    return sorted(one.status for one in summary.outcomes)


async def two_companies(world: World) -> tuple[str, dict[str, tuple[str, str]]]:
    """A customer of nobody that two Accounts fit by domain and name; Account → its address and won deal."""
    wanted = make_customer(world, "Acme", "office@acme.example")
    accounts = {}
    for name in ("Acme GmbH", "Acme Inc"):
        email = f"{name[-3:].strip().lower()}@acme.example"
        account = world.account(Name=name, Billing_Email__c=email)
        accounts[account] = (email, world.deal(account))
    return wanted, accounts


def assert_nobody_got_anothers_invoice(world: World, accounts: dict[str, tuple[str, str]]) -> set[str]:
    """Each finalized invoice went to the address of its own Account; the customers that were billed."""
    billed = set()
    for account, (email, deal) in accounts.items():
        for invoice in world.invoices(deal):
            owner = customer_now(world, invoice["customer"])
            assert owner["metadata"]["salesforce_account_id"] == account
            assert (owner["email"], invoice["customer_email"]) == (email, email)
            assert invoice["customer"] not in billed
            billed.add(invoice["customer"])
    return billed


async def test_of_two_accounts_of_one_run_that_fit_one_customer_only_one_gets_it(books: World) -> None:
    wanted, accounts = await two_companies(books)
    books.fault("stripe", method="GET", path="/v1/customers/cus_", delay_seconds=0.3)
    summary = await run(*(deal for _, deal in accounts.values()))
    assert statuses(summary) == [DealStatus.BILLED, DealStatus.QUARANTINED]
    assert set().union(*held().values()) == {"customer_ambiguous"}
    assert assert_nobody_got_anothers_invoice(books, accounts) == {wanted}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_of_two_accounts_of_two_processes_only_one_gets_it(
    books: World, policy: Policy, backend: str
) -> None:
    with database(backend) as url:
        if url:
            await policy(ledger_url=url)
        await run()
        wanted, accounts = await two_companies(books)
        # Each run opens a company of its own, with locks of its own, as another process would.
        books.fault("stripe", method="POST", path="/v1/customers/cus_", delay_seconds=5.0)
        summaries = await asyncio.gather(*(run(deal) for _, deal in accounts.values()))
        ends = sorted(one.status for summary in summaries for one in summary.outcomes)
        assert ends[0] is DealStatus.BILLED
        assert ends[1] in {DealStatus.QUARANTINED, DealStatus.WAITING}
        assert assert_nobody_got_anothers_invoice(books, accounts) == {wanted}
        books.no_faults()
        # The customer belongs to one of them now: the other one gets its own.
        await run()
        assert len(assert_nobody_got_anothers_invoice(books, accounts)) == 2


async def test_two_processes_that_read_different_things_make_one_customer(books: World) -> None:
    account = books.account(Name="Old Name", Billing_Email__c="old@both.example")
    first, second = books.deal(account), books.deal(account)
    books.fault("stripe", method="POST", path="/v1/customers$", delay_seconds=1.0)

    async def after_a_correction() -> RunSummary:
        while not books.calls("stripe", "GET", "/v1/customers"):  # noqa: ASYNC110 - a journal wakes nobody
            await asyncio.sleep(0.02)
        fields = {"Name": "New Name", "Billing_Email__c": "new@both.example"}
        await asyncio.to_thread(books.update, "Account", account, **fields)
        return await run(second)

    await asyncio.gather(run(first), after_a_correction())
    books.no_faults()
    await run()
    (customer_id,) = books.effects("stripe", "customer", "created")
    for deal in (first, second):
        assert books.assert_billed_once(deal, 250_000)["customer"] == customer_id
    now = customer_now(books, customer_id)
    assert (now["name"], now["email"]) == ("New Name", "new@both.example")


async def test_an_account_that_changes_back_and_forth_is_followed_each_time(books: World) -> None:
    account = books.account(Billing_Email__c="a@forth.example")
    await run(books.deal(account))
    (customer_id,) = books.effects("stripe", "customer", "created")
    for letter in "babab":
        books.update("Account", account, Billing_Email__c=f"{letter}@forth.example")
        await run(books.deal(account))
        assert customer_now(books, customer_id)["email"] == f"{letter}@forth.example"
    keys = [
        call.headers["idempotency-key"]
        for call in books.calls("stripe", "POST", f"/v1/customers/{customer_id}$")
    ]
    assert len(keys) == len(set(keys)) == 5


@pytest.mark.parametrize("stale_answers", [1, None])
async def test_an_update_that_stripe_answers_otherwise_is_tried_once_more(
    books: World, stale_answers: int | None
) -> None:
    account = books.account(Billing_Email__c="old@stale.example")
    await run(books.deal(account))
    (customer_id,) = books.effects("stripe", "customer", "created")
    books.update("Account", account, Billing_Email__c="new@stale.example")
    stale = customer_now(books, customer_id)
    path = f"/v1/customers/{customer_id}$"
    books.fault("stripe", method="POST", path=path, status=200, response=stale, times=stale_answers)
    deal = books.deal(account)
    summary = await run(deal)
    if stale_answers:
        assert books.assert_billed_once(deal, 250_000)["customer_email"] == "new@stale.example"
    else:
        assert codes(summary, deal) == ["customer_not_updated"]
        assert books.invoices(deal) == []
    first, second = (call.headers["idempotency-key"] for call in books.calls("stripe", "POST", path))
    assert first != second


async def test_contacts_of_two_deals_do_not_get_each_others_invoices(books: World) -> None:
    account = books.account(Billing_Email__c=None)
    deals = {f"buyer{number}@contacts.example": books.deal(account) for number in (1, 2)}
    for email, deal in deals.items():
        set_contact(books, account, deal, email)
    summary = await run(*deals.values())
    assert statuses(summary) == [DealStatus.BILLED, DealStatus.QUARANTINED]
    (billed,) = (deal for deal in deals.values() if outcome_of(summary, deal).status is DealStatus.BILLED)
    (waiting,) = set(deals.values()) - {billed}
    invoice = books.assert_billed_once(billed, 250_000)
    assert invoice["customer_email"] == next(email for email, deal in deals.items() if deal == billed)
    assert codes(summary, waiting) == ["billing_email_conflict"]
    assert outcome_of(summary, waiting).problems[0].field == "Account.Billing_Email__c"
    assert books.invoices(waiting) == []
    # The Account says where its invoices go: that counts for all of its deals.
    books.update("Account", account, Billing_Email__c="ap@contacts.example")
    await run(waiting)
    assert books.assert_billed_once(waiting, 250_000)["customer_email"] == "ap@contacts.example"
    assert len(books.effects("stripe", "customer", "created")) == 1


async def test_a_contacts_address_fills_in_what_a_customer_lacks(books: World) -> None:
    account = books.account(Billing_Email__c=None)
    known = make_customer(books, "Known", salesforce_account_id=account)
    deal = books.deal(account)
    set_contact(books, account, deal, "buyer@filled.example")
    await run(deal)
    invoice = books.assert_billed_once(deal, 250_000)
    assert (invoice["customer"], invoice["customer_email"]) == (known, "buyer@filled.example")


def set_contact(world: World, account: str, deal: str, email: str) -> None:
    contact = {"type": "Contact", "ref": "contact", "AccountId": account, "LastName": "Buyer", "Email": email}
    role = {"OpportunityId": deal, "ContactId": "@contact", "IsPrimary": True}
    world.seeder.salesforce([contact, {"type": "OpportunityContactRole", **role}])


async def test_a_corrected_address_reaches_stripe_and_costs_nothing_when_it_stands(books: World) -> None:
    fields = {"BillingStreet": "Main Street 1\nFloor 2", "BillingCity": "Springfield"}
    account = books.account(**fields)
    await run(books.deal(account))
    (customer_id,) = books.effects("stripe", "customer", "created")
    books.update(
        "Account", account, BillingStreet="High Street 9", ShippingCity="Leeds", ShippingCountry="GB"
    )
    await run(books.deal(account))
    now = customer_now(books, customer_id)
    assert (now["address"]["line1"], now["address"]["line2"]) == ("High Street 9", None)
    assert (now["shipping"]["address"]["city"], now["shipping"]["address"]["country"]) == ("Leeds", "GB")
    deal = books.deal(account)
    books.forget_calls()
    await run(deal)
    assert books.calls("stripe", "POST", "/v1/customers") == []
    shared = {"/v1/prices", "/v1/customers", "/v1/events", "/v1/account"}
    own = [f"{call.method} {call.path}" for call in books.calls("stripe") if call.path not in shared]
    assert len(own) == 6, own
    assert books.assert_billed_once(deal, 250_000)["customer"] == customer_id


async def test_what_a_person_maps_in_stripe_is_honoured_by_the_next_run(books: World) -> None:
    strange = make_customer(books, "Written by hand", "somebody@else.example")
    books.pass_time(hours=1)
    await run(books.deal())
    account = books.account()
    books.pass_time(hours=1)
    # With the 15 characters that Salesforce shows in a report.
    books.seeder.stripe(f"customers/{strange}", metadata={"salesforce_account_id": account[:15]})
    books.pass_time(hours=1)
    deal = books.deal(account)
    await run(deal)
    assert books.assert_billed_once(deal, 250_000)["customer"] == strange


async def test_twins_that_a_person_has_told_apart_are_no_longer_ambiguous(books: World) -> None:
    account = books.account(Name="Twin Rivers", Billing_Email__c="office@twinrivers.example")
    twins = [make_customer(books, "Twin Rivers") for _ in range(2)]
    books.pass_time(hours=1)
    deal = books.deal(account)
    assert codes(await run(deal), deal) == ["customer_ambiguous"]
    books.pass_time(hours=1)
    books.seeder.stripe(f"customers/{twins[0]}", name="Somebody else")
    await run(deal)
    assert books.assert_billed_once(deal, 250_000)["customer"] == twins[1]


async def test_a_customer_of_no_currency_is_taken_for_one_currency_only(books: World) -> None:
    price = books.seeder.price("Audit", 100_000, currency_options={"eur": {"unit_amount": 90_000}})
    books.product("audit-eur", "Audit", price, "900.00", "EUR")
    account = books.account(Name="Two Coins", Billing_Email__c="ap@twocoins.example")
    known = make_customer(books, "Two Coins", "ap@twocoins.example")
    dollar = books.deal(account)
    euro = books.deal(account, lines=(("audit-eur", 1, 900),), CurrencyIsoCode="EUR")
    summary = await run(dollar, euro)
    assert summary.in_words == "2 billed"
    payers = {
        "usd": books.assert_billed_once(dollar, 250_000)["customer"],
        "eur": books.assert_billed_once(euro, 90_000, "eur")["customer"],
    }
    assert len(set(payers.values())) == 2
    assert known in payers.values()
    for currency, payer in payers.items():
        assert customer_now(books, payer)["metadata"]["o2c_currency"] == currency


async def test_an_account_that_names_anothers_customer_waits_for_a_person(books: World) -> None:
    owner = books.account(Billing_Email__c="ap@owner.example")
    await run(books.deal(owner))
    (customer_id,) = books.effects("stripe", "customer", "created")
    books.update("Account", owner, Stripe_Customer_Id__c=None)
    other = books.account(Billing_Email__c="ap@other.example", Stripe_Customer_Id__c=customer_id)
    deal = books.deal(other)
    summary = await run(deal)
    assert codes(summary, deal) == ["customer_ambiguous"]
    assert customer_now(books, customer_id)["email"] == "ap@owner.example"
    # Where the former one was merged into it, it is the same company.
    books.control("salesforce", "merge", {"master": other, "losers": [owner]})
    await run(deal)
    assert books.assert_billed_once(deal, 250_000)["customer"] == customer_id
    assert customer_now(books, customer_id)["metadata"]["salesforce_account_id"] == other


async def test_a_customer_that_was_given_to_another_account_is_followed_by_another(books: World) -> None:
    first, other = books.account(), books.account()
    await run(books.deal(first))
    (customer_id,) = books.effects("stripe", "customer", "created")
    books.update("Account", first, Stripe_Customer_Id__c=None)
    books.seeder.stripe(f"customers/{customer_id}", metadata={"salesforce_account_id": other})
    deal = books.deal(first)
    await run(deal)
    assert books.assert_billed_once(deal, 250_000)["customer"] != customer_id


async def test_a_dead_runs_lease_on_a_customer_is_waited_out(books: World) -> None:
    account = books.account()
    deal = books.deal(account)
    with ledger() as opened:
        opened.leases.take(f"o2c:customer:{account}:usd", "a run that was killed")
    waiting = await run(deal)
    assert codes(waiting, deal) == ["claimed_elsewhere"]
    books.pass_time(seconds=121)
    await run(deal)
    books.assert_billed_once(deal, 250_000)
