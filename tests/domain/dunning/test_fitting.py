"""For which invoices a step is, and what becomes of it where that is not known."""

from __future__ import annotations

from typing import Any

import pytest

from order_to_cash.domain.dunning.decision import (
    Do,
    Pass,
    next_step,
)
from tests.domain.dunning.ladders import START, facts, invoice, only, state

HARD = {"decline_code": "stolen_card"}


@pytest.mark.parametrize(
    ("when", "told", "fits"),
    [
        ({"amount_at_least": {"USD": "1200"}}, {}, True),
        ({"amount_at_least": {"USD": "1200.01"}}, {}, False),
        ({"amount_below": {"USD": "1200"}}, {}, False),
        ({"amount_at_least": {"EUR": "99999"}}, {}, True),  # a currency nobody thought of counts as large
        ({"amount_below": {"EUR": "99999"}}, {}, False),
        ({"attempts_at_least": 2}, {}, False),
        ({"attempts_at_most": 1}, {}, True),
        ({"attempts_at_most": 1}, {"attempt_count": 2}, False),
        ({"declines": ["hard"]}, HARD, True),
        ({"declines": ["soft", "confirmation"]}, HARD, False),
        ({"declines": ["confirmation"]}, {"decline_code": "authentication_required"}, True),
        ({"billing": "subscription"}, {}, True),
        ({"billing": "one_off"}, {}, False),
        ({"billing": "one_off"}, {"subscription_id": ""}, True),
        ({"billing": "one_off", "declines": ["hard"]}, HARD, False),  # all of them must hold
    ],
)
def test_conditions_say_for_which_invoices_a_step_is(
    when: dict[str, Any], told: dict[str, Any], fits: bool
) -> None:
    policy = only(when)
    decision = next_step(facts(state(policy), invoice(**told)), policy, START)
    assert isinstance(decision, Do if fits else Pass)


@pytest.mark.parametrize(
    ("when", "told", "fact"),
    [
        ({"amount_at_least": {"USD": 1}}, {"amount_remaining": None}, "amount"),
        ({"segments": ["Enterprise"]}, {}, "segment"),
        ({"attempts_at_least": 2}, {"attempt_count": None}, "attempts"),
        ({"declines": ["hard"]}, {}, "decline"),
        ({"declines": ["hard"]}, {"decline_code": "never_heard_of"}, "decline"),
        ({"billing": "one_off"}, {"subscription_id": None}, "billing"),
    ],
)
def test_an_unknown_fact_is_told_and_the_policy_says_what_it_means(
    when: dict[str, Any], told: dict[str, Any], fact: str
) -> None:
    policy = only(when)
    decision = next_step(facts(state(policy), invoice(**told)), policy, START)
    assert isinstance(decision, Do)
    assert decision.unknown == (fact,)
    cautious = only({**when, "if_unknown": "pass"})
    decision = next_step(facts(state(cautious), invoice(**told)), cautious, START)
    assert isinstance(decision, Pass)
    assert decision.why == f"not known: {fact}"


@pytest.mark.parametrize(("segment", "fits"), [("Enterprise", True), ("ENTERPRISE", True), ("SMB", False)])
def test_segments_are_the_accounts(segment: str, fits: bool) -> None:
    policy = only({"segments": ["enterprise"]})
    decision = next_step(facts(state(policy), segment=segment), policy, START)
    assert isinstance(decision, Do if fits else Pass)
