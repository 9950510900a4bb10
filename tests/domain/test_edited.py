"""Deals that were changed after they were billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from order_to_cash.domain.edited import Billed, edit_of
from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import WonDeal
from tests.domain.deals import CATALOGUE, GO_LIVE, RULES, bill_to, deal, line

OTHER_ACCOUNT = "001000000000002AAA"


def billed_as(won: WonDeal) -> Billed:
    plan = plan_deal(won, CATALOGUE, RULES)
    return Billed(plan_digest=plan.digest, account_id=plan.account_id, total=plan.total)


def edit(now: WonDeal, before: WonDeal | None = None, **kwargs: Any) -> str:
    carrying = now.model_copy(update={"stripe_invoice_id": "in_1"})
    found = edit_of(carrying, billed_as(before or deal()), CATALOGUE, RULES, **kwargs)
    return found.message if found else ""


def test_a_deal_that_is_what_was_billed_was_not_edited() -> None:
    assert edit(deal()) == ""
    assert edit(deal(name="Another name", lead_source="Phone")) == ""
    assert edit(deal(line(number=7))) == ""


@pytest.mark.parametrize(
    "now",
    [
        deal(line("11", "110")),
        deal(line("5", "100")),
        deal(amount=Decimal(90)),
        deal(amount=None),
        deal(stage_name="Closed Lost"),
        deal(days_until_due=14),
        deal(account=bill_to(account_id=OTHER_ACCOUNT)),
    ],
)
def test_edits_are_named_with_both_amounts(now: WonDeal) -> None:
    assert "100.00 USD were billed" in edit(now)


def test_what_is_no_edit_of_the_deal_is_none() -> None:
    assert edit(deal(account=bill_to(email=""))) == ""  # billed before, e-mail deleted since
    later = BillingRules(bill_deals_closed_on_or_after=GO_LIVE.replace(month=12))
    carrying = deal(stripe_invoice_id="in_1")
    assert edit_of(carrying, billed_as(deal()), CATALOGUE, later) is None
    archived = {**CATALOGUE, "price_seat": CATALOGUE["price_seat"].model_copy(update={"active": False})}
    assert edit_of(carrying, billed_as(deal()), archived, RULES) is None


def test_a_merge_of_accounts_is_no_edit_of_their_deals() -> None:
    moved = deal(account=bill_to(account_id=OTHER_ACCOUNT))
    assert edit(moved, account_gone=True) == ""
    assert edit(moved, account_gone=False) != ""
