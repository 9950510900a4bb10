"""Where the org uses Chatter, each billed deal carries one post that says so."""

from __future__ import annotations

import pytest

from tests.flows.conftest import Policy
from tests.flows.running import run
from tests.world import World

pytestmark = pytest.mark.prefect


def posts(world: World, deal: str) -> list[str]:
    """Bodies of the posts on a deal, by Salesforce."""
    rows = world.control("salesforce", "records?type=FeedItem", method="GET")["records"]
    return [str(row["Body"]) for row in rows if row["ParentId"] == deal]


@pytest.fixture
async def chatter(policy: Policy) -> None:
    await policy(chatter_posts="true")


async def test_nothing_is_posted_unless_the_policy_says_so(books: World) -> None:
    deal = books.deal()
    await run(deal)
    assert posts(books, deal) == []


@pytest.mark.usefixtures("chatter")
async def test_each_billed_deal_is_posted_once_with_one_call(books: World) -> None:
    deals = [books.deal() for _ in range(3)]
    assert (await run(*deals)).in_words == "3 billed"
    for deal in deals:
        (body,) = posts(books, deal)
        assert books.invoices(deal)[0]["id"] in body
        assert "2,500.00 USD" in body or "$2,500.00" in body
    inserts = [call for call in books.calls("salesforce", "POST", "composite/sobjects") if call.effects]
    assert len(inserts) == 1
    await run(*deals)
    assert [len(posts(books, deal)) for deal in deals] == [1, 1, 1]


@pytest.mark.usefixtures("chatter")
async def test_a_post_whose_answer_was_lost_is_found_on_the_deal(books: World) -> None:
    deal = books.deal()
    books.fault("salesforce", method="POST", path="/composite/sobjects", drop="after")
    summary = await run(deal)
    assert summary.incomplete
    assert len(posts(books, deal)) == 1
    books.no_faults()
    assert (await run(deal)).in_words == "1 billed"
    assert len(posts(books, deal)) == 1
    assert (await run(deal)).in_words == "1 skipped"


@pytest.mark.usefixtures("chatter")
async def test_an_org_that_refuses_posts_is_named_and_holds_nobody_up(books: World) -> None:
    deal = books.deal()
    rule = {"object": "FeedItem", "when": "Type = 'TextPost'", "message": "Chatter is closed"}
    books.control("salesforce", "validation-rules", rule)
    summary = await run(deal)
    assert summary.in_words == "1 billed"
    assert [problem.field for problem in summary.outcomes[0].problems] == ["Chatter"]
    assert not summary.incomplete
