"""What chasing brought: figures that people steer by, so each is counted by hand once."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.recovery import CHURNED, LOST, Chase, Recovery, Tally, percentile, recovery
from order_to_cash.domain.dunning.recovery_texts import amounts, percent, recovery_markdown, recovery_message
from order_to_cash.domain.messages import LONGEST_SECTION
from order_to_cash.domain.money import Money
from tests.domain.dunning.ladders import DAY, HOUR, START

UNTIL = START + 30 * DAY
TITLES = {"first-failure": "Payment failed", "customer-mail": "Ask for another payment method"}


def chase(number: int, **told: Any) -> Chase:
    usual = {
        "invoice_id": f"in_{number}",
        "customer_id": f"cus_{number}",
        "began_at": START,
        "opened_at": START,
        "owed": Money(10_000 * number, "usd"),
    }
    return Chase(**{**usual, **told})


def paid(number: int, after: timedelta, last_step: str = "first-failure", **told: Any) -> Chase:
    return chase(number, ended_at=START + after, ended=EndReason.PAID, last_step=last_step, **told)


def ended(number: int, reason: EndReason, **told: Any) -> Chase:
    return chase(number, ended_at=START + 14 * DAY, ended=reason, **told)


@pytest.fixture
def month() -> Recovery:
    return recovery(
        [
            chase(1, held=True),
            chase(2, customer_id="cus_1", owed=Money(900, "eur")),
            chase(3, owed=None),
            paid(4, HOUR, ""),
            paid(5, 2 * DAY),
            paid(6, 3 * DAY, "customer-mail"),
            paid(7, 10 * DAY, "customer-mail", customer_id="cus_6", owed=Money(500, "jpy")),
            ended(8, EndReason.SUBSCRIPTION_CANCELED),
            ended(9, EndReason.UNCOLLECTIBLE),
            ended(10, EndReason.WRITTEN_OFF),
            ended(11, EndReason.VOIDED),
            ended(12, EndReason.VOIDED),
            ended(13, EndReason.CUSTOMER_DELETED),
            paid(14, 30 * DAY),  # at `until`: of the next period
            paid(15, timedelta(0), began_at=START - 9 * DAY, opened_at=START - 9 * DAY),
            paid(16, -DAY, began_at=START - 9 * DAY, opened_at=START - 9 * DAY),  # of the period before
        ],
        START,
        UNTIL,
    )


def test_what_is_open_is_at_risk_by_currency(month: Recovery) -> None:
    assert month.open == Tally(3, 2, (Money(900, "eur"), Money(10_000, "usd")), unknown=1)
    assert month.held == 1
    assert month.opened == 14


def test_what_was_recovered_counts_by_the_last_step_before_the_payment(month: Recovery) -> None:
    assert month.recovered == Tally(5, 4, (Money(500, "jpy"), Money(300_000, "usd")))
    assert month.by_step == {
        "": Tally(1, 1, (Money(40_000, "usd"),)),
        "customer-mail": Tally(2, 1, (Money(500, "jpy"), Money(60_000, "usd"))),
        "first-failure": Tally(2, 2, (Money(200_000, "usd"),)),
    }
    assert (month.median, month.p90) == (3 * DAY, 10 * DAY)


def test_churn_is_lost_and_what_was_voided_is_neither(month: Recovery) -> None:
    assert month.churned == Tally(2, 2, (Money(170_000, "usd"),))
    assert month.lost == Tally(3, 3, (Money(270_000, "usd"),))
    assert month.rate == Fraction(5, 8)
    assert month.other_ends == {EndReason.CUSTOMER_DELETED: 1, EndReason.VOIDED: 2}


def test_a_period_in_which_nothing_ended() -> None:
    empty = recovery([], START, UNTIL)
    assert (empty.rate, empty.median, empty.p90, empty.open) == (None, None, None, Tally())
    assert "Nothing was recovered in this period." in recovery_markdown(empty, TITLES)
    assert "Time to resolve" not in recovery_markdown(empty, TITLES)
    assert "none decided" in str(recovery_message(empty, TITLES).blocks)


def test_the_artifact_says_it_all(month: Recovery) -> None:
    shown = recovery_markdown(month, TITLES)
    for words in (
        "# Recovery, 2026-03-03 to 2026-04-02 09:30 UTC",
        "| **At risk: open now** | 3 | 2 | €9.00 EUR, $100.00 USD, 1 of unknown amount |",
        "| **Recovered** | 5 | 4 | ¥500 JPY, $3,000.00 USD |",
        "| **Involuntary churn** | 2 | 2 | $1,700.00 USD |",
        "- **Recovery rate**: 62.5 % of what was recovered or lost",
        "- **Time to resolve**: half within 3 d, 90 % within 10 d",
        "- **On hold**: 1",
        "- **Ended otherwise**: 1 customer deleted, 2 voided",
    ):
        assert words in shown
    after = [line.split(" | ")[0] for line in shown.splitlines() if line.startswith("| ")][-3:]
    assert after == ["| before the first step", "| Payment failed", "| Ask for another payment method"]


def test_a_title_cannot_break_the_table_or_call_the_channel() -> None:
    report = recovery([paid(1, DAY, "gone"), paid(2, DAY, "first-failure")], START, UNTIL)
    titles = {"first-failure": "a | b <!channel>"}
    shown = recovery_markdown(report, titles)
    assert "| a \\| b &lt;!channel&gt; |" in shown
    assert shown.index("| gone |") > shown.index("a \\| b"), "no policy names it any more"
    assert "<!channel>" not in str(recovery_message(report, titles))


def test_the_message_has_a_line_for_each_figure(month: Recovery) -> None:
    said = recovery_message(month, TITLES, run_url="https://prefect.example/runs/1")
    assert said.text == (
        "Recovery report 2026-04-02: 3 open (€9.00 EUR, $100.00 USD, 1 of unknown amount), 5 recovered in 30 d"
    )
    body = said.blocks[1]["text"]["text"]
    assert "*At risk: open now*: 3 (€9.00 EUR, $100.00 USD, 1 of unknown amount)" in body
    assert "• Ask for another payment method: 2 (¥500 JPY, $600.00 USD)" in body
    assert "<https://prefect.example/runs/1|Open the report>" in str(said.blocks[2])


def test_what_stripe_did_otherwise_is_told_first_in_slack_and_listed_below(month: Recovery) -> None:
    doubts = [f"in_{number}: Stripe tries again 20 d after the first failure" for number in range(25)]
    shown = recovery_markdown(month, TITLES, doubts)
    assert "## Stripe did other than the policy says" in shown
    assert "Compare days_to_final_action of the dunning policy with the retry settings" in shown
    assert shown.count("Stripe tries again 20 d") == 20
    assert "- … and 5 more" in shown
    body = recovery_message(month, TITLES, doubts).blocks[1]["text"]["text"]
    assert body.startswith("*Stripe did other than the policy says*, seen on 25 ladders. Compare ")
    assert "other than" not in recovery_markdown(month, TITLES)


def test_many_steps_and_currencies_still_fit_a_message() -> None:
    currencies = ("usd", "eur", "gbp", "jpy", "chf", "sek", "nok", "dkk", "pln", "czk")
    many = [
        paid(number, DAY, f"step-{number % 59}", owed=Money(10**9, currencies[number % 10]))
        for number in range(1, 500)
    ]
    said = recovery_message(recovery(many, START, UNTIL), {})
    body = said.blocks[1]["text"]["text"]
    assert len(body) <= LONGEST_SECTION
    assert body.endswith("… the rest stands in the report.")
    assert all(line.count("(") == line.count(")") for line in body.splitlines()), "whole lines only"


def test_rates_and_amounts_in_words() -> None:
    assert [percent(rate) for rate in (None, Fraction(1), Fraction(0), Fraction(2, 3))] == [
        *("none decided", "100 %", "0 %", "66.7 %")
    ]
    assert amounts(Tally()) == "nothing"


def test_percentiles_by_nearest_rank() -> None:
    waits = [HOUR * hours for hours in range(1, 11)]
    assert percentile(waits, 50) == 5 * HOUR
    assert percentile(waits, 90) == 9 * HOUR
    assert percentile(waits[:1], 90) == HOUR
    assert percentile([], 50) is None
    assert percentile([-HOUR], 50) == timedelta(0), "clocks differ"


REASONS = st.none() | st.sampled_from(EndReason)


@st.composite
def chases(draw: st.DrawFn) -> Chase:
    reason = draw(REASONS)
    opened = START + HOUR * draw(st.integers(-60 * 24, 60 * 24))
    return chase(
        draw(st.integers(1, 10_000)),
        customer_id=f"cus_{draw(st.integers(1, 5))}",
        opened_at=opened,
        began_at=opened - HOUR * draw(st.integers(0, 100)),
        ended=reason,
        ended_at=None if reason is None else opened + HOUR * draw(st.integers(0, 800)),
        last_step=draw(st.sampled_from(["", *TITLES, "gone"])),
        owed=draw(
            st.none() | st.builds(Money, st.integers(0, 10**9), st.sampled_from(["usd", "eur", "jpy"]))
        ),
    )


@given(st.lists(chases(), max_size=30))
def test_every_ladder_is_counted_once_and_no_money_is_lost(those: list[Chase]) -> None:
    report = recovery(those, START, UNTIL)
    within = [one for one in those if one.ended_at is not None and START <= one.ended_at < UNTIL]
    assert report.recovered.count + report.lost.count + sum(report.other_ends.values()) == len(within)
    assert sum(tally.count for tally in report.by_step.values()) == report.recovered.count
    assert report.open.count == sum(one.ended is None for one in those)
    assert report.churned.count == sum(one.ended in CHURNED for one in within)
    assert CHURNED < LOST
    for tally, of in ((report.open, [one for one in those if one.ended is None]),):
        owed = [one.owed for one in of if one.owed is not None]
        assert {money.currency: money.amount_minor for money in tally.amounts} == {
            code: sum(money.amount_minor for money in owed if money.currency == code)
            for code in {money.currency for money in owed}
        }
    if report.recovered.count:
        assert report.median is not None
        assert report.p90 is not None
        assert report.median <= report.p90
    recovery_markdown(report, TITLES)
    recovery_message(report, TITLES)
