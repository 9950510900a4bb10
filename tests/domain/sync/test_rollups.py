"""The Account as a whole: one rule for each figure, the same whatever the order of its records."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.sync.fields import ACCOUNT, FIELDS, PICKLISTS
from order_to_cash.domain.sync.rollups import AccountFacts, Record, account_facts, rollup, rollup_queries
from tests.domain.sync.stripe_objects import ACCOUNT as ACCOUNT_ID

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
TODAY = NOW.date()


def sub(**more: Any) -> Record:
    return {
        "Account__c": ACCOUNT_ID,
        "Status__c": "active",
        "MRR__c": Decimal("100.00"),
        "Currency__c": "USD",
        "Current_Period_End__c": "2026-10-20T00:00:00.000+0000",
        "Cancel_At_Period_End__c": False,
        "Cancel_At__c": None,
        "Collection_Method__c": "charge_automatically",
        **more,
    }


def owed(**more: Any) -> Record:
    return {
        "Account__c": ACCOUNT_ID,
        "Status__c": "open",
        "Collection_Method__c": "charge_automatically",
        "Failure_Code__c": None,
        "Due_Date__c": None,
        **more,
    }


def facts(
    account: Record | None = None,
    subs: tuple[Record, ...] = (),
    invoices: tuple[Record, ...] = (),
    disputes: tuple[Record, ...] = (),
    paid: str = "",
) -> AccountFacts:
    last = ({"Account__c": ACCOUNT_ID, "last": paid},) if paid else ()
    return AccountFacts({"Id": ACCOUNT_ID, **(account or {})}, subs, invoices, disputes, last)


FAILED = owed(Failure_Code__c="insufficient_funds")
OVERDUE = owed(Collection_Method__c="send_invoice", Due_Date__c="2026-09-30")
NO_METHOD = {"Stripe_Payment_Method_Type__c": "none"}


@pytest.mark.parametrize(
    ("given", "health", "status"),
    [
        (facts(), "Healthy", "Prospect"),
        (facts(subs=(sub(),)), "Healthy", "Active"),
        (facts(subs=(sub(),), invoices=(owed(),)), "Healthy", "Active"),
        (facts(subs=(sub(),), invoices=(FAILED,)), "Failed", "Payment Overdue"),
        (facts(invoices=(owed(Status__c="uncollectible"),)), "Failed", "Payment Overdue"),
        (facts(subs=(sub(Status__c="unpaid"),)), "Failed", "Active"),
        (facts(subs=(sub(),), invoices=(OVERDUE,)), "At Risk", "Payment Overdue"),
        (facts(invoices=(owed(Due_Date__c=TODAY),)), "Healthy", "Prospect"),
        (facts(subs=(sub(Status__c="past_due"),)), "At Risk", "Active"),
        (facts(subs=(sub(Status__c="incomplete"),)), "At Risk", "Prospect"),
        (facts(subs=(sub(),), disputes=({"Status__c": "needs_response"},)), "At Risk", "Active"),
        (facts({"Stripe_Card_Expires_On__c": "2026-10-31"}, (sub(),)), "At Risk", "Active"),
        (facts({"Stripe_Card_Expires_On__c": "2026-11-30"}, (sub(),)), "Healthy", "Active"),
        (facts(NO_METHOD, (sub(),)), "No Payment Method", "Active"),
        (facts(NO_METHOD, (sub(Collection_Method__c="send_invoice"),)), "Healthy", "Active"),
        (facts(NO_METHOD, (sub(Status__c="canceled"),)), "Healthy", "Churned"),
        # the subscription is another payer's, whose method the Account does not show
        (
            facts(NO_METHOD | {"Stripe_Customer_Id__c": "cus_1"}, (sub(Stripe_Customer_Id__c="cus_2"),)),
            "Healthy",
            "Active",
        ),
        (facts(NO_METHOD, (sub(),), (FAILED,)), "Failed", "Payment Overdue"),
        (facts(subs=(sub(Status__c="trialing"),)), "Healthy", "Trialing"),
        (facts(paid="2026-09-01T00:00:00.000+0000"), "Healthy", "Active"),
        # a sent invoice whose customer tried a card in vain is not failed before it is due
        (
            facts(invoices=(owed(Collection_Method__c="send_invoice", Failure_Code__c="x"),)),
            "Healthy",
            "Prospect",
        ),
    ],
)
def test_health_and_status(given: AccountFacts, health: str, status: str) -> None:
    made = rollup(given, NOW)
    assert (made["Stripe_Payment_Health__c"], made["Stripe_Account_Status__c"]) == (health, status)


def test_counts_sums_and_dates() -> None:
    subs = (
        sub(),
        sub(
            MRR__c=Decimal("20.50"),
            Status__c="past_due",
            Current_Period_End__c="2026-10-05T23:00:00.000+0000",
        ),
        sub(Status__c="trialing", MRR__c=0, Current_Period_End__c="2026-10-02T00:00:00.000+0000"),
        sub(Status__c="canceled", Current_Period_End__c="2026-10-01T00:00:00.000+0000"),
        sub(Status__c="incomplete_expired"),
    )
    made = rollup(facts(subs=subs, paid="2026-09-29T23:30:00.000+0000"), NOW)
    assert made["Stripe_Subscription_Count__c"] == 3
    assert (made["Stripe_MRR__c"], made["Stripe_MRR_Currency__c"]) == (Decimal("120.50"), "USD")
    assert made["Stripe_Next_Renewal_Date__c"] == date(2026, 10, 2)
    assert made["Stripe_Last_Payment_Date__c"] == date(2026, 9, 29)
    assert "Stripe_Days_Since_Last_Payment__c" not in made  # a formula of the package: it ages by itself


@pytest.mark.parametrize(
    "row",
    [
        sub(Cancel_At_Period_End__c=True),
        sub(Cancel_At__c="2026-10-20T00:00:00.000+0000"),
        sub(Current_Period_End__c="2026-09-30T00:00:00.000+0000"),
        sub(Current_Period_End__c=None),
        sub(Status__c="canceled"),
    ],
)
def test_what_will_not_be_billed_again_has_no_renewal(row: Record) -> None:
    assert "Stripe_Next_Renewal_Date__c" not in rollup(facts(subs=(row,)), NOW)  # it is empty already


def test_amounts_in_other_currencies_are_told_and_never_converted() -> None:
    subs = (sub(Currency__c="EUR"), sub(), sub(), sub(Currency__c="JPY", MRR__c=Decimal(900)))
    made = rollup(facts(subs=subs), NOW)
    assert (made["Stripe_MRR__c"], made["Stripe_MRR_Currency__c"]) == (Decimal("200.00"), "USD")
    assert made["Stripe_MRR_Other_Currencies__c"] == "€100.00 EUR, ¥900 JPY"
    own = rollup(facts({"CurrencyIsoCode": "EUR"}, subs), NOW)
    assert (own["Stripe_MRR__c"], own["Stripe_MRR_Currency__c"]) == (Decimal("100.00"), "EUR")


def test_only_what_differs_is_written() -> None:
    given = facts(subs=(sub(),), paid="2026-09-29T23:30:00.000+0000")
    made = rollup(given, NOW)
    shown = {name: value.isoformat() if isinstance(value, date) else value for name, value in made.items()}
    again = AccountFacts({"Id": ACCOUNT_ID, **shown}, given.subscriptions, (), (), given.last_payments)
    assert rollup(again, NOW) == {}
    assert rollup(again, NOW + timedelta(days=1)) == {}


def test_answers_become_the_facts_of_each_account() -> None:
    other = "001000000000002AAA"
    answers: dict[str, list[Record]] = {
        "account": [{"Id": ACCOUNT_ID}, {"Id": other}],
        "subscriptions": [sub(), sub(Account__c=other), sub(Account__c="001000000000003AAA")],
        "open_invoices": [owed()],
        "last_payments": [{"Account__c": other, "last": "2026-09-29T23:30:00.000+0000"}],
    }
    found = account_facts(answers)
    assert set(found) == {ACCOUNT_ID, other}
    assert [len(found[one].subscriptions) for one in (ACCOUNT_ID, other)] == [1, 1]
    assert [len(found[one].open_invoices) for one in (ACCOUNT_ID, other)] == [1, 0]
    assert [len(found[one].last_payments) for one in (ACCOUNT_ID, other)] == [0, 1]


def test_the_queries_name_the_fields_of_the_package() -> None:
    queries = rollup_queries([ACCOUNT_ID], multi_currency=True)
    assert set(queries) == {"account", "subscriptions", "open_invoices", "open_disputes", "last_payments"}
    assert all(ACCOUNT_ID in text for texts in queries.values() for text in texts)
    assert "CurrencyIsoCode" in queries["account"][0]
    for texts in queries.values():
        names, _, rest = texts[0].removeprefix("SELECT ").partition(" FROM ")
        declared = FIELDS[rest.split(" ", 1)[0]]
        plain = [name.removeprefix("MAX(").removesuffix(") last") for name in names.split(", ")]
        assert set(plain) - {"Id", "CurrencyIsoCode"} <= set(declared)


ROWS = st.lists(
    st.builds(
        sub,
        Status__c=st.sampled_from(["active", "past_due", "trialing", "canceled", "unpaid", "incomplete"]),
        Currency__c=st.sampled_from(["USD", "EUR", "JPY"]),
        MRR__c=st.decimals(0, 10_000, places=2),
    ),
    max_size=6,
)


@given(
    ROWS, st.lists(st.sampled_from([FAILED, OVERDUE, owed()]), max_size=3), st.randoms(use_true_random=False)
)
def test_the_order_of_records_changes_nothing(
    subs: list[Record], owe: list[Record], chance: random.Random
) -> None:
    wanted = rollup(facts(subs=tuple(subs), invoices=tuple(owe)), NOW)
    chance.shuffle(subs)
    chance.shuffle(owe)
    assert rollup(facts(subs=tuple(subs), invoices=tuple(owe)), NOW) == wanted
    assert wanted["Stripe_Payment_Health__c"] in PICKLISTS[ACCOUNT, "Stripe_Payment_Health__c"]
    assert wanted["Stripe_Account_Status__c"] in PICKLISTS[ACCOUNT, "Stripe_Account_Status__c"]
    assert set(wanted) <= set(FIELDS[ACCOUNT])
