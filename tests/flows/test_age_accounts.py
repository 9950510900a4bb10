"""The days change what Accounts say, with no event at all: judged by what the org shows."""

from __future__ import annotations

import calendar
from datetime import timedelta

import pytest

from flows.age_accounts import age_accounts
from tests.flows.sync_world import Sync
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.fixture
def sync(books: World) -> Sync:
    return Sync(books)


async def aged() -> str:
    state = await age_accounts(return_state=True)
    assert state.is_completed(), state.message
    return str(state.message)


async def test_a_card_that_expires_has_its_task_once_and_then_is_a_risk(sync: Sync) -> None:
    customer = sync.customer()
    method = sync.card(customer)
    today = sync.world.clock.now().date()
    printed = today + timedelta(days=100)
    last = printed.replace(day=calendar.monthrange(printed.year, printed.month)[1])
    sync.world.control("stripe", f"cards/{method}", {"exp_month": last.month, "exp_year": last.year})
    sync.subscription(customer, collection_method="send_invoice", days_until_due=365)
    assert (await sync.bring()).parked == ()
    assert sync.account_of(customer)["Stripe_Payment_Health__c"] == "Healthy"
    assert await aged() == "0 Accounts changed with the day; 0 cards expire within 60 days"
    sync.world.pass_time(days=(last - today).days - 45)
    for _ in range(2):
        await aged()
    open_tasks = [one for one in sync.records("Task") if one["Status"] != "Completed"]
    assert [one["WhatId"] for one in open_tasks] == [sync.account_of(customer)["Id"]]
    assert "4242" in open_tasks[0]["Subject"]
    assert sync.account_of(customer)["Stripe_Payment_Health__c"] == "Healthy"
    sync.world.pass_time(days=25)
    await aged()
    assert sync.account_of(customer)["Stripe_Payment_Health__c"] == "At Risk"
    assert len([one for one in sync.records("Task") if one["Status"] != "Completed"]) == 1


async def test_a_card_of_which_an_event_told_is_not_told_of_again(sync: Sync) -> None:
    customer = sync.customer()
    method = sync.card(customer)
    soon = sync.world.clock.now() + timedelta(days=20)
    sync.world.control("stripe", f"cards/{method}", {"exp_month": soon.month, "exp_year": soon.year})
    sync.subscription(customer)
    assert (await sync.bring()).parked == ()
    before = len(sync.records("Task"))
    assert before
    assert (await aged()).endswith("; 1 cards expire within 60 days")
    assert len(sync.records("Task")) == before


async def test_due_dates_and_renewals_pass_without_an_event(sync: Sync) -> None:
    """Webhooks of Stripe's own that would say so are lost."""
    overdue, renewed, fine = (sync.customer(card="pm_card_visa") for _ in range(3))
    sync.invoice(overdue, collection_method="send_invoice", days_until_due=10)
    for customer in (renewed, fine):
        sync.subscription(customer)
    assert (await sync.bring()).parked == ()
    renewal = sync.account_of(renewed)["Stripe_Next_Renewal_Date__c"]
    assert renewal
    sync.world.pass_time(days=12)
    assert await aged() == "1 Accounts changed with the day; 0 cards expire within 60 days"
    shown = sync.account_of(overdue)
    assert (shown["Stripe_Payment_Health__c"], shown["Stripe_Account_Status__c"]) == (
        "At Risk",
        "Payment Overdue",
    )
    sync.world.forget_calls()
    await aged()
    assert sync.writes() == []
    assert len(sync.world.calls("salesforce", "POST", "composite")) == 1, "one call where nothing changed"
    sync.world.pass_time(days=30)
    await aged()
    assert sync.account_of(renewed)["Stripe_Next_Renewal_Date__c"] is None
