"""What people read of a ladder: it says what is known, fits where it goes, and passes on no suspicion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.dunning.outlook import Coming, what_comes
from order_to_cash.domain.dunning.policy import FinalAction
from order_to_cash.domain.dunning.posts import ended_post, step_post, together
from order_to_cash.domain.dunning.steps import heard_of_us
from order_to_cash.domain.dunning.texts import (
    Attempt,
    Debt,
    Links,
    Taken,
    case_text,
    next_attempt,
    outreach_text,
    stripes_end,
    task_text,
    what_is_next,
    why,
)
from order_to_cash.domain.dunning.wording import LONGEST_DESCRIPTION, fitting
from order_to_cash.domain.messages import (
    LONGEST_HEADER,
    LONGEST_MESSAGE,
    LONGEST_SECTION,
    MOST_BLOCKS,
    Message,
)
from order_to_cash.domain.money import Money
from order_to_cash.domain.sync.declines import _HIDDEN
from order_to_cash.domain.sync.shapes import Person
from tests.domain.dunning.ladders import DAY, HOUR, START, facts, invoice, only, state

UTC = ZoneInfo("UTC")
FAILURE, MAIL, OUTREACH, EXECUTIVE = default_policy().charged.steps


def debt(**other: Any) -> Debt:
    told: dict[str, Any] = {
        "invoice_id": "in_1",
        "number": "A-0001",
        "name": "Acme Ltd",
        "zone": UTC,
        "amount": Money(120_000, "usd"),
        "decline_code": "expired_card",
        "attempt_count": 1,
        "next_attempt_at": START + DAY,
        "owner_name": "Dana",
        "links": Links(account="https://org.example/001", payment_page="https://pay.example/i/1"),
    }
    return Debt(**{**told, **other})


def blocks_fit(message: Message) -> bool:
    header, *rest = message.blocks
    sections = [block["text"]["text"] for block in rest if block["type"] == "section"]
    return (
        len(header["text"]["text"]) <= LONGEST_HEADER
        and all(0 < len(part) <= LONGEST_SECTION for part in sections)
        and sum(map(len, sections)) <= LONGEST_MESSAGE
        and len(message.blocks) <= MOST_BLOCKS
    )


NAMES = st.text(max_size=400)
DEBTS = st.builds(
    debt,
    name=NAMES,
    number=st.text(min_size=1, max_size=40),
    owner_name=NAMES,
    amount=st.none() | st.integers(1, 10**12).map(lambda minor: Money(minor, "usd")),
    charged=st.booleans(),
    decline_code=st.sampled_from(
        ["", "expired_card", "stolen_card", "authentication_required", "never_heard_of"]
    ),
    attempt_count=st.none() | st.integers(0, 99),
    next_attempt_at=st.none() | st.just(START),
    links=st.sampled_from(
        [Links(), Links(account="https://a.example/" + "x" * 200, run="https://r.example")]
    ),
)


def test_a_task_says_who_owes_what_why_and_what_happens_next() -> None:
    coming = Coming(MAIL, START + DAY)
    told = task_text(
        debt(
            coming=coming, subscription=True, stripe_ends_at=START + 14 * DAY, final_action=FinalAction.CANCEL
        ),
        FAILURE,
    )
    assert told.subject == "Payment failed: $1,200.00 USD, invoice A-0001"
    assert told.lines == (
        "Acme Ltd owes $1,200.00 USD for invoice A-0001.",
        "Why: The card has expired. The customer should enter another card.",
        "Attempts so far: 1. Stripe tries again on Wed 4 Mar 2026, 09:30 UTC.",
        "If it stays unpaid, Stripe cancels the subscription on about Tue 17 Mar 2026.",
        "Next step, if it stays unpaid: Ask for another payment method (e-mail to the customer, Case) "
        "on Wed 4 Mar 2026, 09:30 UTC.",
        "Payment page for the customer: https://pay.example/i/1",
    )


def test_what_helps_follows_from_the_decline() -> None:
    assert "only another one helps" in why(debt(decline_code="account_closed"))
    assert "on the payment page" in why(debt(decline_code="authentication_required"))
    assert why(debt(decline_code="")) == "Stripe gives no reason that is known here."
    assert why(debt(decline_code="", charged=False)) == ""


@pytest.mark.parametrize("code", sorted(_HIDDEN))
def test_no_suspicion_is_passed_on(code: str) -> None:
    suspected = debt(decline_code=code, attempts=(Attempt(at=START, code=code),))
    told = outreach_text([suspected], OUTREACH).body + str(step_post(suspected, FAILURE).message.blocks)
    if code not in {"generic_decline", "card_declined"}:
        assert code not in told
    for word in ("stolen", "lost", "fraud"):
        assert word not in told.lower()


def test_a_sent_invoice_is_overdue_and_not_declined() -> None:
    sent = debt(charged=False, decline_code="", due_at=START, next_attempt_at=None)
    assert next_attempt(sent) == "It was due on Tue 3 Mar 2026. Stripe does not charge it."
    assert case_text(sent, MAIL).subject == "Unpaid invoice A-0001: $1,200.00 USD is overdue"
    assert stripes_end(sent) == ""


def test_moments_are_shown_on_our_own_wall_clock() -> None:
    berlin = debt(zone=ZoneInfo("Europe/Berlin"))
    assert next_attempt(berlin).endswith("Stripe tries again on Wed 4 Mar 2026, 10:30 CET.")
    assert next_attempt(debt(next_attempt_at=None)).endswith("Stripe plans no further attempt.")


def test_an_outreach_task_carries_the_whole_history_of_each_invoice() -> None:
    first = debt(
        attempts=(
            Attempt(at=START, amount=Money(120_000, "usd"), code="expired_card"),
            Attempt(at=START + DAY, code="insufficient_funds"),
        ),
        attempt_count=3,
        taken=(
            Taken(title="Payment failed", at=START, state=StepState.DONE, note="no_account"),
            Taken(title="Ask", at=START + DAY, state=StepState.DONE, contacted=True),
            Taken(title="Large ones", at=START + DAY, state=StepState.PASSED, note="amount"),
        ),
        billing_contact="Kim, kim@acme.example",
    )
    second = debt(invoice_id="in_2", number="A-0002", amount=Money(5_000, "eur"))
    told = outreach_text([first, second], OUTREACH)
    assert told.subject == "Talk to the customer: $1,200.00 USD and €50.00 EUR unpaid, 2 invoices"
    for line in (
        "Billing contact: Kim, kim@acme.example",
        "Invoice A-0001 (in_1), step csm-outreach.",
        "- Tue 3 Mar 2026, 09:30 UTC, $1,200.00 USD: The card has expired. The customer should enter another card. "
        "(expired_card)",
        "1 of the attempts that Stripe counts is not listed: Salesforce does not have it yet.",
        "- Tue 3 Mar 2026, 09:30 UTC: Payment failed. no_account",
        "- Wed 4 Mar 2026, 09:30 UTC: Ask, the customer was contacted",
        "- Wed 4 Mar 2026, 09:30 UTC: Large ones (not for this invoice)",
        "Invoice A-0002 (in_2), step csm-outreach.",
    ):
        assert line in told.lines


def test_a_task_is_due_when_somebody_is_there() -> None:
    hours = default_policy().contact_hours
    friday_evening = START + 3 * DAY + 12 * HOUR
    assert people_records.working_day(friday_evening, hours) == (START + 6 * DAY).date()
    assert people_records.working_day(START - 3 * HOUR, hours) == START.date()


@given(DEBTS, st.lists(DEBTS, max_size=3))
def test_records_fit_salesforce(one: Debt, others: list[Debt]) -> None:
    person = Person("005", "Dana")
    for said in (task_text(one, FAILURE), outreach_text([one, *others], OUTREACH)):
        row = people_records.task("key", said, account_id="001", owner=person, due=START.date())
        assert 0 < len(row["Subject"]) <= 255
        assert len(row["Description"]) <= LONGEST_DESCRIPTION
        assert "\n" not in row["Subject"]


@given(st.text(max_size=300), st.integers(80, 300))
def test_what_does_not_fit_says_so(text: str, longest: int) -> None:
    shown = fitting(text, longest)
    assert len(shown) <= longest
    assert shown == text or shown.endswith("see the timeline and Stripe.")


@given(DEBTS, st.lists(st.text(min_size=1, max_size=40).map(lambda text: text * 100), max_size=9))
def test_a_message_fits_slack_and_notifies_nobody(one: Debt, trouble: list[str]) -> None:
    posts = [step_post(one, FAILURE, executive="<!channel>", trouble=trouble)]
    posts += [ended_post(one, reason, closed="", trouble=trouble) for reason in EndReason]
    for post in posts:
        assert blocks_fit(post.message)
        assert "<!" not in post.message.text + str(post.message.blocks) + post.line


@given(st.lists(DEBTS, min_size=1, max_size=60))
def test_each_ladder_stands_in_one_shared_message(debts: list[Debt]) -> None:
    named = [
        (f"key-{number}", step_post(replace(each, number=f"N{number}."), FAILURE))
        for number, each in enumerate(debts)
    ]
    groups = together(named, "https://run.example")
    assert Counter(key for keys, _ in groups for key in keys) == Counter(key for key, _ in named)
    assert [key for keys, _ in groups for key in keys] == [key for key, _ in named]
    for keys, message in groups:
        assert len(keys) <= 20
        assert blocks_fit(message)
        assert str(message.blocks).count("• ") == len(keys)


def test_a_line_of_a_shared_message_escapes_what_people_typed_once() -> None:
    told = step_post(debt(name="Acme & <Sons>", owner_name="D&A"), FAILURE, trouble=["No & never."]).line
    assert told == (
        "• *<https://org.example/001|Acme &amp; &lt;Sons&gt;>* · A-0001 · $1,200.00 USD · Payment failed · "
        "The card has expired. The customer should enter another card. · No &amp; never. · D&amp;A"
    )


def test_what_comes_is_the_step_after_the_one_that_is_taken() -> None:
    policy = default_policy()
    coming = what_comes(facts(), policy, FAILURE, START)
    assert coming == Coming(MAIL, START + DAY)
    done = {step.key: StepState.DONE for step in (FAILURE, MAIL)}
    after_contact = what_comes(facts(state(journal=done)), policy, OUTREACH, START + 3 * DAY)
    assert after_contact is not None
    assert after_contact.step == EXECUTIVE
    all_done = {step.key: StepState.DONE for step in policy.charged.steps[:3]}
    assert what_comes(facts(state(journal=all_done)), policy, EXECUTIVE, START + 12 * DAY) is None
    assert what_is_next(debt()) == "No further step is planned."


def test_what_comes_leaves_out_what_is_not_for_this_invoice() -> None:
    policy = only({"attempts_at_least": 5}, key="later", delay="1h")
    first = only({}).charged.steps[0]
    later = policy.charged.steps[0]
    both = policy.model_copy(update={"charged": policy.charged.model_copy(update={"steps": (first, later)})})
    standing = facts(state(both), invoice(attempt_count=1))
    assert what_comes(standing, both, first, START + timedelta(hours=2)) is None


def test_a_task_to_call_tells_nobody_that_the_customer_was_reached() -> None:
    assert heard_of_us(START, MAIL)
    assert not heard_of_us(START, OUTREACH)
    assert heard_of_us(START, None), "a step that the policy does not have any more"
    assert not heard_of_us(None, MAIL)
