"""What people are told: complete, within Slack's limits, and harmless whatever somebody typed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.decisions import RunLimit
from order_to_cash.domain.matching import MatchDecision
from order_to_cash.domain.messages import (
    DEALS_A_MESSAGE,
    LONGEST_HEADER,
    LONGEST_MESSAGE,
    LONGEST_SECTION,
    MOST_BLOCKS,
    BilledNotice,
    Message,
    QuarantineNotice,
    billed_message,
    billed_messages,
    escape_slack,
    failed_run_message,
    held_run_message,
    link,
    one_line,
    quarantine_message,
)
from order_to_cash.domain.money import Money
from order_to_cash.domain.plan import plan_deal
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import CustomerMatch
from order_to_cash.domain.tables import PlannedDeal, billed_table, plan_table, quarantine_table
from tests.domain.deals import CATALOGUE, OPPORTUNITY, RULES, bill_to, deal

ORG = "https://northwind.my.salesforce.example/"
NASTY = 'O\'Brien \\ "Co" <!channel> & | *bold*\n# <script>'


def billed(name: str = "Northwind Traders", opportunity_id: str = OPPORTUNITY) -> BilledNotice:
    return BilledNotice(
        opportunity_id=opportunity_id,
        opportunity_name=name,
        account_name=name,
        owner_name="Sales Desk",
        total=Money(1234500, "usd"),
        tax=Money(234555, "usd"),
        invoice_id="in_1",
        invoice_number="NW-0001",
        hosted_invoice_url="https://invoice.example/i/1",
        days_until_due=30,
    )


def held(name: str = "Northwind Traders", number: int = 1, *reasons: Reason) -> QuarantineNotice:
    chosen = reasons or (Reason.BILLING_EMAIL_MISSING,)
    return QuarantineNotice(
        opportunity_id=f"006{number:012d}AAA",
        opportunity_name=name,
        account_name=name,
        owner_name="Sales Desk",
        problems=tuple(problem(reason, f"Something about {name}") for reason in chosen),
    )


def fits(message: Message) -> None:
    assert message.text
    assert len(message.blocks) <= MOST_BLOCKS
    assert len(message.blocks[0]["text"]["text"]) <= LONGEST_HEADER
    for block in message.blocks:
        if block["type"] == "section":
            assert 0 < len(block["text"]["text"]) <= LONGEST_SECTION
    assert characters(list(message.blocks)) <= LONGEST_MESSAGE


def characters(value: object) -> int:
    """Of text in all blocks, as Slack counts them."""
    if isinstance(value, list):
        return sum(map(characters, value))
    if not isinstance(value, dict):
        return 0
    own = value.get("text")
    return (len(own) if isinstance(own, str) else 0) + sum(map(characters, value.values()))


def bullets(message: Message) -> int:
    texts = [block["text"]["text"] for block in message.blocks if block["type"] == "section"]
    return sum(line.startswith("• ") for text in texts for line in text.split("\n"))


def test_a_billed_deal_is_told_with_amount_customer_and_invoice() -> None:
    message = billed_message(billed(), salesforce_url=ORG, run_url="https://prefect.example/r/1")
    fits(message)
    body = message.blocks[1]["text"]["text"]
    assert message.text == "Invoice sent: Northwind Traders, $12,345.00 USD plus $2,345.55 USD tax"
    assert f"<https://northwind.my.salesforce.example/{OPPORTUNITY}|Northwind Traders>" in body
    assert "<https://invoice.example/i/1|NW-0001>" in body
    assert "Due in 30 days" in body
    assert "<https://prefect.example/r/1|Open the run>" in json.dumps(message.blocks[-1])


@given(st.text(max_size=400) | st.just(NASTY))
def test_nothing_that_somebody_typed_calls_the_channel(name: str) -> None:
    messages = [
        billed_message(billed(name), salesforce_url=ORG),
        quarantine_message([held(name)], salesforce_url=ORG),
        failed_run_message(name, name, remedy=name, ids={"opportunity": name}),
    ]
    for message in messages:
        fits(message)
        for text in (message.text, *(b["text"]["text"] for b in message.blocks if b["type"] == "section")):
            assert "<!" not in text
            assert "<@" not in text


def test_what_was_held_back_is_grouped_by_reason_with_owner_and_remedy() -> None:
    deals = [
        held("Contoso", 1, Reason.PRICE_MISSING),
        held("Fabrikam", 2),
        held("Adatum", 3, Reason.BILLING_EMAIL_MISSING, Reason.PRICE_MISSING),
        held("Litware", 4),
    ]
    message = quarantine_message(deals, salesforce_url=ORG)
    fits(message)
    assert message.text == "4 deals are held: billing_email_missing, price_missing"
    first, second = (block["text"]["text"] for block in message.blocks[1:3])
    assert first.startswith("*billing_email_missing* (3)\n*What to do:* Fill in")
    assert second.startswith("*price_missing* (2)")
    assert "owner Sales Desk" in first
    assert "/006000000000004AAA|Litware>" in first


@pytest.mark.parametrize("name", ["Northwind " * 30, "Contoso", NASTY, "&" * 300])
def test_a_thousand_held_deals_still_fit_one_message(name: str) -> None:
    deals = [held(name, number, *list(Reason)[:2]) for number in range(1000)]
    message = quarantine_message(deals, salesforce_url=ORG, run_url="https://prefect.example/r/1")
    fits(message)
    shown = bullets(message)
    assert shown > 0
    assert message.blocks[-2]["text"]["text"] == f"… and {2000 - shown} more: see the run's artifact."
    with pytest.raises(ValueError, match="nothing to tell"):
        quarantine_message([], salesforce_url=ORG)


@given(st.integers(1, 70), st.text(max_size=400) | st.just(NASTY) | st.just("&" * 300))
def test_many_billed_deals_are_each_named_in_one_of_few_messages(count: int, name: str) -> None:
    deals = [billed(name, f"006{number:012d}AAA") for number in range(count)]
    told = billed_messages(deals, salesforce_url=ORG, run_url="https://prefect.example/r/1")
    assert [deal for group, _ in told for deal in group] == deals
    for group, message in told:
        fits(message)
        assert len(group) <= DEALS_A_MESSAGE
        assert bullets(message) == len(group)
        text = json.dumps(message.blocks)
        assert all(deal.opportunity_id in text for deal in group)
        assert "<!" not in text


def test_usual_names_go_twenty_to_a_message_with_totals_by_currency() -> None:
    euros = billed(opportunity_id="006000000000099AAA").model_copy(update={"total": Money(500, "eur")})
    deals = [billed(opportunity_id=f"006{number:012d}AAA") for number in range(39)]
    first, second = billed_messages([*deals, euros], salesforce_url=ORG)
    assert (len(first[0]), len(second[0])) == (20, 20)
    assert second[1].text == "20 invoices sent: $234,555.00 USD, €5.00 EUR"
    assert "Northwind Traders" in second[1].blocks[1]["text"]["text"]
    assert "plus $2,345.55 USD tax" in second[1].blocks[1]["text"]["text"]
    assert billed_messages([], salesforce_url=ORG) == []


def test_failed_and_held_runs_say_what_to_do() -> None:
    failed = failed_run_message(
        "bill_won_deals", "Stripe answered 401", remedy="Check the key.", ids={"run": "r-1"}
    )
    fits(failed)
    assert "*What to do:* Check the key." in failed.blocks[1]["text"]["text"]
    limit = RunLimit(reasons=("3 deals are more.",), deal_count=3, totals=(Money(500, "jpy"),))
    waiting = held_run_message(limit)
    fits(waiting)
    assert waiting.text == "A billing run waits for approval: 3 deals, ¥500 JPY"
    assert "plan mode" in waiting.blocks[1]["text"]["text"]


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money(1234500, "usd"), "$12,345.00 USD"),
        (Money(-500, "eur"), "-€5.00 EUR"),
        (Money(1234500, "cad"), "12,345.00 CAD"),
        (Money(500, "isk"), "5 ISK"),
    ],
)
def test_amounts_are_unambiguous(money: Money, shown: str) -> None:
    assert str(money) == shown


def test_only_web_addresses_become_links() -> None:
    assert link("javascript:alert(1)", "a<b") == "a&lt;b"
    assert link("https://x.example/a|b>c", "d|e") == "<https://x.example/a%7Cb%3Ec|d¦e>"
    assert escape_slack("a\n<!channel>\u2028&") == "a &lt;!channel&gt; &amp;"


def test_tables_mask_addresses_and_keep_their_shape() -> None:
    won = deal(account=bill_to(name=NASTY), name=NASTY)
    match = MatchDecision(kind=CustomerMatch.EMAIL, customer_id="cus_1", reason="")
    new = MatchDecision(kind=CustomerMatch.NONE, customer_id=None, reason="")
    plan = plan_deal(won, CATALOGUE, RULES)
    planned = plan_table([PlannedDeal(deal=won, plan=plan, match=one) for one in (match, new, None)])
    assert "billing@" not in planned
    assert "b…@northwind.example" in planned
    assert "cus\\_1 (email)" in planned
    assert "$100.00 USD" in planned
    tables = (planned, billed_table([billed(NASTY)], salesforce_url=ORG), quarantine_table([held(NASTY)]))
    for table in tables:
        lines = table.rstrip("\n").split("\n")
        columns = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines}
        assert len(columns) == 1
        assert "<script>" not in table


def test_half_a_character_reaches_nobody() -> None:
    """JSON can say it; a mail, a database or a page that is written with it breaks off."""
    assert one_line("Acme \ud83d Ltd\x00") == "Acme Ltd"
