"""What people are given for a signal: in plain words, once, to whoever looks after the Account."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from order_to_cash.domain.sync import signals as kinds
from order_to_cash.domain.sync.declines import chosen_code, is_known, plain_words, shown_code
from order_to_cash.domain.sync.reactions import owner_of, reaction
from order_to_cash.domain.sync.shapes import ObjectKey, Person, ReactionFacts, Signal
from tests.domain.sync.stripe_objects import ACCOUNT

AT = datetime(2026, 9, 21, 13, 0, tzinfo=UTC)
FACTS = ReactionFacts(
    owner=Person("005000000000001AAA", "Kim"),
    account_id=ACCOUNT,
    account_name="Acme <!channel>",
    invoice_number="A-1",
    invoice_record_id="a00000000000001AAA",
    hosted_invoice_url="https://invoice.example/1",
    next_attempt_at=datetime(2026, 9, 24, 13, 0, tzinfo=UTC),
    failure_code="insufficient_funds",
    salesforce_url="https://org.example",
    run_url="https://prefect.example/1",
)
HELD: dict[str, Any] = {
    "invoice": "in_1",
    "number": "A-1",
    "attempt_count": 2,
    "amount_minor": 123_450,
    "monthly_minor": 5_000,
    "old_monthly_minor": 10_000,
    "currency": "usd",
    "plan": "Team × 1",
    "old_plan": "Team × 2",
    "direction": "downgrade",
    "subscription": "sub_1",
    "due_at": 1_789_000_000,
    "ends_at": 1_792_000_000,
    "reason": "cancellation_requested",
    "feedback": "too_expensive",
    "status": "lost",
    "dispute": "du_1",
    "charge": "ch_1",
    "refund": "re_1",
    "code": "customer_tax_location_invalid",
    "brand": "visa",
    "last4": "4242",
    "expires_on": date(2026, 10, 31),
}
# kind → case, task, activity, message
CALLS_FOR = {
    kinds.PAYMENT_FAILED: "case task message",
    kinds.PAYMENT_ACTION_REQUIRED: "task",
    kinds.FINALIZATION_FAILED: "task message",
    kinds.OVERDUE: "task message",
    kinds.UNCOLLECTIBLE: "task message",
    kinds.PLAN_CHANGED: "task activity message",
    kinds.CANCELLATION_SCHEDULED: "task message",
    kinds.CANCELLATION_WITHDRAWN: "activity",
    kinds.SUBSCRIPTION_ENDED: "task message",
    kinds.SUBSCRIPTION_PAUSED: "activity",
    kinds.SUBSCRIPTION_RESUMED: "activity",
    kinds.TRIAL_ENDING: "task",
    kinds.DISPUTE_OPENED: "case task message",
    kinds.DISPUTE_CLOSED: "activity message",
    kinds.REFUND_FAILED: "task",
    kinds.CARD_EXPIRING: "task",
}


def signal(kind: str, about: str = "in_1", **more: Any) -> Signal:
    key = f"o2c:signal:{kind}:{about}:{more.get('attempt_count', HELD['attempt_count'])}"
    return Signal(kind, key, ObjectKey("invoice", about), "cus_1", "evt_1", AT, HELD | more)


def test_every_kind_of_signal_is_answered() -> None:
    named = {
        value
        for name, value in vars(kinds).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    assert named == set(CALLS_FOR)


@pytest.mark.parametrize("kind", CALLS_FOR)
def test_what_each_calls_for(kind: str) -> None:
    made = reaction(signal(kind), FACTS)
    parts = {"case": made.case, "task": made.task, "activity": made.activity, "message": made.message}
    assert " ".join(name for name, part in parts.items() if part is not None) == CALLS_FOR[kind]
    records = [record for record in (made.case, made.task, made.activity) if record]
    keys = [record["O2C_Key__c"] for record in records]
    assert len(set(keys)) == len(keys)
    for record in records:
        assert record["OwnerId"] == FACTS.owner.user_id
        assert ACCOUNT in {record.get("AccountId"), record.get("WhatId")}
        assert 0 < len(record["Subject"]) <= 255
        assert "None" not in f"{record['Subject']} {record['Description']}"
    assert reaction(signal(kind), FACTS) == made


def test_each_failed_attempt_is_a_task_and_all_of_them_one_case() -> None:
    first, second = (reaction(signal(kinds.PAYMENT_FAILED, attempt_count=count), FACTS) for count in (1, 2))
    assert first.task is not None
    assert second.task is not None
    assert first.task["O2C_Key__c"] != second.task["O2C_Key__c"]
    assert first.case == second.case


def test_a_failed_payment_says_how_much_why_and_what_comes_next() -> None:
    made = reaction(signal(kinds.PAYMENT_FAILED), FACTS)
    assert made.task is not None
    assert made.message is not None
    assert made.task["Subject"] == "Payment failed (attempt 2): $1,234.50 USD"
    assert made.task["Priority"] == "High"
    assert made.task["ActivityDate"] == date(2026, 9, 23)  # 48 hours later
    assert made.task["Description"].splitlines() == [
        "Invoice A-1 is unpaid.",
        "The account behind the card has not enough money.",
        "Stripe tries again on 2026-09-24 13:00 UTC.",
        "Payment page: https://invoice.example/1",
    ]
    shown = json.dumps(made.message.blocks)
    assert "https://org.example/a00000000000001AAA" in shown
    assert "Owner: Kim" in shown
    assert "<!channel>" not in shown
    assert "<!channel>" not in made.message.text


def test_without_another_attempt_it_says_so() -> None:
    bare = ReactionFacts(owner=Person(""))
    made = reaction(signal(kinds.PAYMENT_FAILED, next_payment_attempt=None), bare)
    assert made.task is not None
    assert "Stripe will not try again by itself." in made.task["Description"]
    assert not {"OwnerId", "WhatId"} & set(made.task)


@pytest.mark.parametrize(("status", "word"), [("paid", "paid"), ("void", "voided")])
@pytest.mark.parametrize("kind", [kinds.PAYMENT_FAILED, kinds.OVERDUE])
def test_what_is_heard_of_late_does_not_say_that_it_is_unpaid(kind: str, status: str, word: str) -> None:
    made = reaction(signal(kind), replace(FACTS, invoice_status=status))
    told = [record["Description"] for record in (made.case, made.task) if record]
    assert told
    for text in told:
        assert f"The invoice was {word} meanwhile" in text
        assert not any(words in text for words in ("is unpaid", "is not paid", "Payment page", "tries again"))


def test_an_upgrade_is_history_and_no_alarm() -> None:
    made = reaction(signal(kinds.PLAN_CHANGED, direction="upgrade", old_monthly_minor=1_000), FACTS)
    assert (made.task, made.case, made.message) == (None, None, None)
    assert made.activity is not None
    assert made.activity["Subject"] == "Subscription upgraded: $10.00 USD → $50.00 USD a month"
    assert made.activity["Status"] == "Completed"


def test_a_dispute_that_was_won_needs_no_message() -> None:
    assert reaction(signal(kinds.DISPUTE_CLOSED, status="won"), FACTS).message is None


def test_an_unknown_kind_calls_for_nothing() -> None:
    made = reaction(signal("never_heard_of"), FACTS)
    assert (made.case, made.task, made.activity, made.message) == (None, None, None, None)


def test_an_amount_in_an_unknown_currency_is_not_guessed() -> None:
    made = reaction(signal(kinds.OVERDUE, currency="zzz"), FACTS)
    assert made.task is not None
    assert "an amount in an unknown currency" in made.task["Subject"]


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        ({"CSM__c": "005C", "CSM__r": {"Name": "Cas"}, "OwnerId": "005O"}, Person("005C", "Cas")),
        ({"CSM__c": "005C", "CSM__r": {"Name": "Cas", "IsActive": False}, "OwnerId": "005O"}, Person("005O")),
        ({"CSM__c": None, "OwnerId": "005O", "Owner": {"Name": "Ola"}}, Person("005O", "Ola")),
        ({"OwnerId": "005O", "Owner": {"Name": "Ola", "IsActive": False}}, Person("005D", "Dee")),
        ({}, Person("005D", "Dee")),
    ],
)
def test_who_it_belongs_to(account: dict[str, Any], wanted: Person) -> None:
    assert owner_of(account, Person("005D", "Dee")) == wanted


@pytest.mark.parametrize(
    "code", ["fraudulent", "lost_card", "stolen_card", "merchant_blacklist", "pickup_card"]
)
def test_a_suspicion_reads_like_a_decline_without_a_reason(code: str) -> None:
    assert plain_words(code) == plain_words("generic_decline")
    assert shown_code(code) == "generic_decline"


def test_unknown_codes_have_words_too_and_the_telling_one_wins() -> None:
    assert plain_words("never_heard_of")
    assert not is_known("never_heard_of")
    assert shown_code("Expired_Card ") == "expired_card"
    assert chosen_code("", "card_declined", "expired_card") == "expired_card"
    assert chosen_code("highest_risk_level", "card_declined") == "card_declined"
    assert chosen_code("never_heard_of") == "never_heard_of"
    assert chosen_code("", "") == ""


@pytest.mark.parametrize("kind", CALLS_FOR)
def test_where_ladders_climb_an_unpaid_invoice_is_history_and_all_else_as_ever(kind: str) -> None:
    ladders = replace(FACTS, has_ladders=True)
    charged = signal(kind, collection_method="charge_automatically")
    made = reaction(charged, ladders)
    if kind not in {kinds.PAYMENT_FAILED, kinds.OVERDUE}:
        assert made == reaction(charged, FACTS)
        return
    assert (made.case, made.task, made.message) == (None, None, None)
    assert made.activity is not None
    assert made.activity["Status"] == "Completed"
    usual = reaction(charged, FACTS).task
    assert usual is not None
    assert made.activity["Description"] == usual["Description"]
    assert made.activity["O2C_Key__c"] != usual["O2C_Key__c"]


def test_a_customer_who_fails_to_pay_what_was_sent_has_no_ladder_before_it_is_due() -> None:
    ladders = replace(FACTS, has_ladders=True)
    sent = signal(kinds.PAYMENT_FAILED, collection_method="send_invoice")
    assert reaction(sent, ladders) == reaction(sent, FACTS)
    overdue = reaction(signal(kinds.OVERDUE, collection_method="send_invoice"), ladders)
    assert overdue.task is None
    assert overdue.activity is not None
