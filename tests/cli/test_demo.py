"""The demo, whole and in parts: it must notice whatever is otherwise than its story says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from order_to_cash.cli import demo_slack, guardian
from order_to_cash.cli.demo_company import BILLED, HELD, SKIPPED, STORY, Expected
from order_to_cash.cli.demo_ladders import STORIES
from order_to_cash.cli.demo_payments import TURNS, Shown
from order_to_cash.cli.demo_result import Seen
from tests.cli.waiting import until_now

O2C = [sys.executable, "-m", "order_to_cash.cli", "demo", "--exit"]
INVOICE = {"id": "in_1", "number": "A-1", "total": 370000, "currency": "usd"}


def billed(**changes: Any) -> Seen:
    as_told = {
        "expected": Expected("harbor", "Harbor", BILLED, "370000 usd", ""),
        "opportunity_id": "006A",
        "written_back": "in_1",
        "invoices": (INVOICE,),
        "done": Counter(finalized=1, sent=1, created=1),
        "customers": 1,
        "page": "<h1>Invoice A-1</h1>",
    }
    return Seen(**{**as_told, **changes})


def test_a_deal_that_is_billed_as_told_has_no_differences() -> None:
    assert list(billed().differences()) == []
    assert billed().outcome == BILLED
    assert billed().in_journal == "1 final, 1 sent"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"done": Counter(finalized=2, sent=1)}, "finalized 2 times"),
        ({"done": Counter(finalized=1)}, "sent 0 times"),
        ({"invoices": (INVOICE, {**INVOICE, "id": "in_2"})}, "2 invoices were made"),
        ({"invoices": ({**INVOICE, "total": 369999},)}, "billed $3,699.99 USD, not $3,700.00 USD"),
        ({"written_back": ""}, "Salesforce does not name the invoice"),
        ({"page": "Not found"}, "its address does not show it"),
    ],
)
def test_each_difference_of_a_billed_deal_is_named(changes: dict[str, Any], said: str) -> None:
    assert list(billed(**changes).differences()) == [said]


@pytest.mark.parametrize("ends", [HELD, SKIPPED])
def test_a_deal_that_must_not_be_billed_leaves_no_trace_in_stripe(ends: str) -> None:
    reasons = ("price_missing",) if ends == HELD else ()
    expected = Expected("quill", "Quill", ends, *reasons or ("",), "")
    assert list(Seen(expected, "006A", reasons=reasons).differences()) == []
    assert list(Seen(expected, "006A", reasons=reasons, customers=1).differences())
    assert list(Seen(expected, "006A", reasons=("another",)).differences())
    assert Seen(expected, "006A", reasons=reasons).outcome == ends


PAYMENT = {"Status__c": "succeeded", "Amount__c": Decimal("2500.0"), "Currency__c": "USD"}
REFUND = {"Amount__c": Decimal("500.0"), "Currency__c": "USD"}


def paid_and_refunded(**changes: Any) -> Shown:
    turn = next(one for one in TURNS if one.refunded)
    as_told = {
        "turn": turn,
        "account": {"Stripe_Payment_Health__c": "Healthy"},
        "opportunity": {"Stripe_Paid__c": True},
        "payments": [PAYMENT],
        "refunds": [REFUND],
    }
    return Shown(**{**as_told, **changes})


def test_a_payment_that_salesforce_shows_as_told_has_no_differences() -> None:
    assert list(paid_and_refunded().differences()) == []
    assert paid_and_refunded().in_words == "Healthy, $2,500.00 USD succeeded, refund $500.00 USD"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": {"Stripe_Payment_Health__c": "Failed"}}, "payment health is Failed, not Healthy"),
        ({"opportunity": {"Stripe_Paid__c": False}}, "the deal is not paid"),
        ({"payments": [PAYMENT, PAYMENT]}, "2 payments came in"),
        ({"refunds": []}, "refunds: none"),
        ({"tasks": [{}]}, "1 Tasks"),
    ],
)
def test_each_difference_of_a_payment_is_named(changes: dict[str, Any], said: str) -> None:
    assert list(paid_and_refunded(**changes).differences()) == [said]


def test_a_declined_card_has_a_task_at_once_and_its_case_later() -> None:
    turn = next(one for one in TURNS if one.chased)
    account = {"Stripe_Payment_Health__c": "Failed"}
    assert list(Shown(turn, account, {}, tasks=[{}]).differences()) == []
    assert list(Shown(turn, account, {}, tasks=[{}], cases=[{}]).differences()) == ["1 Cases"]
    assert list(Shown(turn, account, {}).differences()) == ["0 Tasks"]


def test_slack_is_told_in_lines_that_fit() -> None:
    long = "too long " * 30
    message = {
        "text": "2 deals are held: price_missing",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "2 deals are held"}},
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "*price_missing* (2)\n*What to do:* Fill it in.\n"
                    f"• Quill &amp; Paper: <https://x.example/006A|First order> · owner Rep — {long}\n"
                    "• Tundra: <https://x.example/006B|First order> — none",
                },
            },
        ],
    }
    assert demo_slack.held_deals(message) == 2
    shown = list(demo_slack.in_short(message))
    assert shown[0] == "2 deals are held"
    assert shown[1].startswith("  • Quill & Paper · owner Rep — too long")
    assert re.search(r" (too|long) …$", shown[1]), "cut between words"
    assert shown[2] == "  • Tundra — none"
    assert max(map(len, shown)) <= demo_slack.WIDTH


def environment() -> dict[str, str]:
    """Nothing of this shell's settings; the demo drops O2C_ and PREFECT_ variables anyhow."""
    return {**os.environ, "O2C_ENVIRONMENT": "live", "PREFECT_API_URL": "http://127.0.0.1:1/api"}


@pytest.mark.prefect
def test_the_demo_goes_as_told(tmp_path: Path) -> None:
    done = subprocess.run(
        O2C, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.partition("Where to look")[0].splitlines()
    assert sum(line.startswith("✓") for line in lines) == len(STORY) + len(TURNS) + len(STORIES)
    assert max(map(len, lines)) <= 120
    assert "http" not in done.stdout.partition("Sweep")[2], "nothing answers there any more"
    assert done.stdout.count("Invoice sent:") == sum(each.ends == BILLED for each in STORY)


def test_ctrl_c_before_the_end_is_no_success_and_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.Popen(O2C, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    with demo.stdout:
        assert "Emulators" in demo.stdout.readline()
        family = guardian.descendants({demo.pid})
        assert len(family) >= 2, "the guardian and the emulators"
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.wait(30) == 1
    assert "Stopped before the story was over." in rest
    until_now(lambda: not guardian.alive(family))
