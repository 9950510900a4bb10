"""What people read of ladders: a run's message, a run's name, a ladder's page; and how long a failing one rests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_to_cash.domain.dunning.decision import Held, ReadAgain, Rest, Sleep
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import (
    EndReason,
    Facts,
    Hold,
    InvoiceFacts,
    InvoiceStatus,
    LadderState,
    StepState,
)
from order_to_cash.domain.dunning.pages import timeline_key
from order_to_cash.domain.errors import RateLimited, Unavailable
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import ClaimedLadder, Ladder, LadderStatus, LadderStep, Subject
from tasks.dunning_alarms import ladder_name
from tasks.dunning_items import AccountFacts, LadderItem
from tasks.dunning_progress import ClimbSummary, Failure, Progress
from tasks.dunning_settling import failed, settled
from tasks.dunning_timeline import Links, as_left, timeline_markdown

NOW = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
POLICY = default_policy()
STEPS = POLICY.charged.steps


def ladder(**other: Any) -> Ladder:
    told: dict[str, Any] = {
        "invoice_id": "in_1AbC",
        "customer_id": "cus_1",
        "state": LadderState(
            policy_version=POLICY.version,
            collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
            opened_at=NOW,
            first_failed_at=NOW,
            journal={},
        ),
        "status": LadderStatus.WAITING,
        "subject": Subject(
            account_name="Acme | Söhne", invoice_number="INV-7", amount_remaining=Money(120_000, "usd")
        ),
        "steps": (),
        "next_step": "customer-mail",
        "due_at": NOW + timedelta(days=1),
        "generation": 3,
        "alarm_generation": 0,
        "alarm_run_id": "",
        "hold": None,
        "ended_at": None,
    }
    return Ladder(**{**told, **other})


def progress(**other: Any) -> Progress:
    claim = ClaimedLadder(ladder=ladder(**other), token="t", lease_until=NOW, due=True)
    return Progress(claim, LadderItem(claim=claim, policy=POLICY))


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (ClimbSummary(3, 2, ended=Counter(paid=1)), "3 ladders: 2 steps taken, 1 ended (paid)"),
        (
            ClimbSummary(4, 1, 1, ended=Counter(paid=2, subscription_canceled=1)),
            "4 ladders: 1 step taken, 1 step passed over, 3 ended (2 paid, 1 subscription canceled)",
        ),
        (ClimbSummary(1), "1 ladder: nothing to do yet"),
        (
            ClimbSummary(2, statuses=Counter(held=1), failures=(Failure("in_1", "unavailable", "", True),)),
            "2 ladders: 1 held, 1 tried again later (unavailable)",
        ),
        (
            ClimbSummary(2, failures=(Failure("in_1", "no", "", False),) * 2, lost=1),
            "2 ladders: 2 failed (no 2×), 1 taken over elsewhere",
        ),
    ],
)
def test_a_run_says_what_it_did(summary: ClimbSummary, words: str) -> None:
    assert summary.in_words == words


def test_summaries_add_up() -> None:
    one = ClimbSummary(1, 2, 3, Counter(paid=1), Counter(held=1), (Failure("in_1", "no", "", True),), 1, 4)
    both = one + one
    assert both == ClimbSummary(
        2, 4, 6, Counter(paid=2), Counter(held=2), (Failure("in_1", "no", "", True),) * 2, 2, 8
    )
    assert not both.broken


def test_a_run_has_the_name_of_its_step() -> None:
    assert ladder_name(ladder()) == "Acme | Söhne · INV-7 · customer mail"
    assert ladder_name(ladder(subject=Subject(), next_step="")) == "cus_1 · in_1AbC · first look"


def test_the_page_shows_what_was_done_and_what_comes() -> None:
    steps = (
        LadderStep(key="first-failure", state=StepState.DONE, begun_at=NOW, decided_at=NOW, note="no_csm"),
        LadderStep(key="gone-since", state=StepState.PASSED, begun_at=NOW, decided_at=NOW, note="a|b"),
    )
    page = timeline_markdown(ladder(steps=steps), POLICY, Links(invoice="https://x/in", hold="javascript:no"))
    assert page.startswith("# Acme \\| Söhne · INV-7\n")
    assert "**Next: Ask for another payment method, 2026-03-04 09:30 UTC.**" in page
    assert f"Still owed: {Money(120_000, 'usd')}." in page
    assert "| Payment failed | done: no\\_csm | 2026-03-03 09:30 |" in page
    assert "| gone since | passed over: a\\|b |" in page
    assert "[Invoice in Stripe](https://x/in)" in page
    assert "javascript" not in page
    assert timeline_key("in_1AbC") == "ladder-in-1abc"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"status": LadderStatus.RESTING, "next_step": ""}, "**Every step is taken.**"),
        (
            {"status": LadderStatus.HELD, "hold": Hold(until=NOW + timedelta(days=2), reason="x")},
            "**On hold until 2026-03-05 09:30 UTC.**",
        ),
        ({"failures": 2, "code": "unavailable", "reason": "503"}, "**The last try failed (unavailable);"),
    ],
)
def test_the_page_says_how_it_stands(other: dict[str, Any], words: str) -> None:
    assert words in timeline_markdown(ladder(**other), POLICY)


def test_the_page_shows_a_hold_that_stands_on_the_account() -> None:
    held = progress()
    held.decision = Held(NOW + timedelta(days=2), "They pay on Friday")
    held.settled = settled(held, held.decision, NOW)
    page = timeline_markdown(as_left(held, NOW), POLICY)
    assert "**On hold until 2026-03-05 09:30 UTC.**" in page
    assert "Friday" not in page, "what people write may be about people"


def test_a_ladder_that_ends_in_its_first_run_is_shown_with_its_name() -> None:
    ended = progress(subject=Subject())
    assert ended.item is not None
    ended.item.facts = Facts(invoice=InvoiceFacts(status=InvoiceStatus.VOID), ladder=ladder().state)
    ended.item.account = AccountFacts(account_name="Acme Ltd")
    ended.item.invoice = {"number": "INV-7"}
    ended.ended = EndReason.VOIDED
    assert timeline_markdown(as_left(ended, NOW), POLICY).startswith("# Acme Ltd · INV-7\n")


def test_an_ended_ladder_says_why() -> None:
    ended = ladder()
    ended = replace(ended, state=replace(ended.state, ended=EndReason.PAID), ended_at=NOW, due_at=None)
    page = timeline_markdown(ended, None, Links(hold="https://form"))
    assert "**Ended 2026-03-03 09:30 UTC: paid.**" in page
    assert "Hold or snooze" not in page
    assert "Still owed" not in page


def test_a_page_shows_no_address() -> None:
    about = ladder(
        subject=Subject(account_name="kim@acme.example"), code="x", reason="to kim@acme.example", failures=1
    )
    assert "kim@" not in timeline_markdown(about, POLICY)


def test_how_long_each_sleeps() -> None:
    step = STEPS[1]
    until = NOW + timedelta(days=2)
    slept = settled(progress(), Sleep(until, step, until), NOW)
    assert (slept.status, slept.next_step, slept.due_at) == (LadderStatus.WAITING, step.key, until)
    soon = NOW + timedelta(minutes=20)
    assert settled(progress(), Held(soon), NOW).due_at == soon
    assert settled(progress(), Held(until), NOW).due_at == NOW + timedelta(hours=1)
    held = settled(progress(), Held(None), NOW)
    assert (held.status, held.next_step) == (LadderStatus.HELD, STEPS[0].key)
    again = settled(progress(failures=2), ReadAgain(("status",)), NOW)
    assert (again.due_at, again.failures, again.code) == (NOW + timedelta(minutes=15), 3, "facts_missing")
    rests = settled(progress(), Rest(), NOW)
    assert (rests.status, rests.due_at) == (LadderStatus.RESTING, NOW + timedelta(days=1))


def test_a_failing_one_rests_longer_each_time_an_hour_at_most() -> None:
    waits = []
    for failures in range(12):
        one = failed(progress(failures=failures), Unavailable("away"), NOW)
        assert one.failures == failures + 1
        assert one.due_at is not None
        waits.append(one.due_at - NOW)
    assert timedelta(minutes=1) <= waits[0] <= timedelta(seconds=75)
    assert all(wait <= timedelta(minutes=75) for wait in waits)
    assert waits[11] >= timedelta(hours=1)
    told = failed(progress(), RateLimited("wait", retry_after_seconds=1800), NOW)
    assert told.due_at is not None
    assert told.due_at >= NOW + timedelta(minutes=30)


def test_a_page_says_where_stripe_did_other_than_the_policy_says() -> None:
    page = timeline_markdown(ladder(), POLICY, doubts=["Stripe tries again | after 20 d."])
    assert "**Look at the policy**: Stripe tries again \\| after 20 d." in page
    assert "Look at the policy" not in timeline_markdown(ladder(), POLICY)
