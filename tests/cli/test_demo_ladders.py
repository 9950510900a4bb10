"""The demo's third act: the same on every day it is played, and it notices whatever is otherwise than told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from order_to_cash.cli import demo_ladders, demo_ladders_seen, demo_slack
from order_to_cash.cli.demo_ladders import (
    A_DAY_LATER,
    FAILS,
    MOMENTS,
    NEAR_THE_END,
    STORIES,
    THREE_DAYS_LATER,
    Cast,
    Moment,
    Shown,
    Story,
    first_failure,
)
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.settings import Settings

FAILED_AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
STARTS = [
    datetime(2026, 11, 20, 0, 30, tzinfo=UTC) + timedelta(hours=hours) for hours in range(0, 14 * 24, 5)
]


@pytest.mark.parametrize("start", STARTS, ids=lambda at: f"{at:%a-%H}")
def test_whenever_it_begins_its_moments_are_in_business_hours(start: datetime) -> None:
    policy, failed_at = default_policy(), first_failure(start)
    hours = policy.contact_hours
    assert timedelta(days=1) < failed_at - start <= timedelta(days=8)
    assert all(hours.are_open(moment.at(failed_at), hours.zone()) for moment in MOMENTS)
    assert all(one.after < other.after for one, other in pairwise(MOMENTS))
    # The invoices of the first act are due after 30 days: none of them may be chased, too.
    assert NEAR_THE_END.at(failed_at) - start < timedelta(days=30)


def test_steps_are_due_between_the_moments_that_show_them() -> None:
    policy = default_policy()
    ladder, hours = policy.charged, policy.contact_hours
    due = {step.key: FAILED_AT + step.delay for step in ladder.steps}
    assert due["first-failure"] <= FAILS.at(FAILED_AT) < due["customer-mail"] <= A_DAY_LATER.at(FAILED_AT)
    assert A_DAY_LATER.at(FAILED_AT) < due["csm-outreach"] <= THREE_DAYS_LATER.at(FAILED_AT)
    end = FAILED_AT + ladder.window
    executive = hours.last_open(end - ladder.lead, hours.zone())
    assert THREE_DAYS_LATER.at(FAILED_AT) < executive <= NEAR_THE_END.at(FAILED_AT) < end
    assert sum(demo_ladders.RETRY_DAYS) == ladder.days_to_final_action, "Stripe ends as the policy says"


def as_told(story: Story, **changes: Any) -> Shown:
    at = {moment: story.wanted(moment) for moment in MOMENTS}
    return replace(Shown(story, at, story.ends), **changes)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.ref)
def test_what_went_as_told_has_no_differences(story: Story) -> None:
    assert list(as_told(story).differences()) == []


@pytest.mark.parametrize(
    ("moment", "seen", "said"),
    [
        (A_DAY_LATER, ["Case"], "24 hours later: Case, not Case, mail to billing@granite.example"),
        (
            A_DAY_LATER,
            ["Case", "mail to billing@granite.example", "mail to billing@granite.example"],
            "24 hours later: Case, mail to billing@granite.example, mail to billing@granite.example, "
            "not Case, mail to billing@granite.example",
        ),
        (THREE_DAYS_LATER, [], "72 hours later: nothing, not Task “Talk to the customer”"),
    ],
)
def test_each_difference_is_named(moment: Moment, seen: Sequence[str], said: str) -> None:
    story = next(one for one in STORIES if one.ref == "granite")
    shown = as_told(story)
    assert list(replace(shown, at={**shown.at, moment: seen}).differences()) == [said]


def test_how_an_account_stands_counts_in_the_end_only() -> None:
    shown = as_told(STORIES[0], ends="Failed")
    assert list(shown.differences(THREE_DAYS_LATER)) == []
    assert list(shown.differences()) == ["in the end: Failed, not Healthy"]


def test_what_must_not_be_seen_is_a_difference() -> None:
    held = next(one for one in STORIES if one.ref == "aspen")
    shown = as_told(held)
    mailed = {**shown.at, A_DAY_LATER: [f"mail to {held.billing}"]}
    assert list(replace(shown, at=mailed).differences()) == [
        f"24 hours later: mail to {held.billing}, not nothing"
    ]


def test_the_table_says_what_went_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    cast = Cast(FAILED_AT, {}, {}, {})
    assert demo_ladders.show([as_told(story) for story in STORIES], cast)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("✓") for line in lines) == len(STORIES)
    assert max(map(len, lines)) <= 120
    assert not demo_ladders.show([as_told(STORIES[0], ends="Failed")], cast)
    told = capsys.readouterr().out
    assert "✗  Willow Bakery" in told
    assert "Not as told: Willow Bakery: in the end: Failed, not Healthy" in told


TASK = {
    "WhatId": "001A",
    "Subject": "Payment failed: $495.00 USD, invoice A-1",
    "O2C_Key__c": "ladder:in_1:first-failure:task",
    "CreatedDate": "2026-11-23T10:05:02.000+0000",
    "CompletedDateTime": "2026-11-24T11:00:05.000+0000",
}


def test_what_people_see_is_read_from_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {**TASK, "WhatId": "001B"}
    mail_task = {
        **TASK,
        "Subject": "E-mail: Emulator: pay",
        "O2C_Key__c": "o2c:contact:email:cus_1:2026-11-24",
    }
    signal = {**TASK, "O2C_Key__c": "o2c:signal:payment_failed:in_1:1:activity"}
    account = {"Id": "001A", "Stripe_Payment_Health__c": "Failed", "Payment_Escalated__c": True}
    case = {"AccountId": "001A", "CreatedDate": "2026-11-24T10:10:00.000+0000", "ClosedDate": None}
    rows: dict[str, list[dict[str, Any]]] = {
        "Account": [account],
        "Task": [TASK, others, mail_task, signal],
        "Case": [case],
    }
    posts = [
        {"text": "Payment failed: $495.00 USD, Acme", "ts": "1795428300.1"},  # 23 Nov 2026, 10:05 UTC
        {"text": "Paid: $495.00 USD, Acme", "ts": "1795518000.1", "thread_ts": "1795428300.1"},
        {"text": "Payment failed: $495.00 USD, Another", "ts": "1795428300.2"},
    ]
    mails = [
        {"at": "2026-11-24T10:10:01+00:00", "recipients": ["billing@acme.example"], "subject": "Pay"},
        {"at": "2026-12-04T10:00:01+00:00", "recipients": ["sponsor@us.example"], "subject": "Acme: unpaid"},
        {"at": "2026-12-04T10:00:01+00:00", "recipients": ["billing@another.example"], "subject": "Pay"},
    ]

    def records(settings: Settings, sobject: str) -> Sequence[Mapping[str, Any]]:
        del settings
        return rows[sobject]

    monkeypatch.setattr(demo_ladders_seen, "records", records)
    monkeypatch.setattr(demo_ladders_seen, "mails_in", lambda mailbox: mails)
    monkeypatch.setattr(demo_slack, "messages", lambda settings: posts)
    people = {"acme": ("Acme", "billing@acme.example", "001A")}
    seen = demo_ladders_seen.happened(Settings(), "http://mailbox", people)["acme"]
    assert [words for _, words in seen.happenings] == [
        "Slack: Payment failed",
        "Task “Payment failed”",
        "Case",
        "mail to billing@acme.example",
        "Slack thread: Paid",
        "Task closed",
        "mail to sponsor@us.example",
    ]
    assert seen.account == "Failed, escalated"
