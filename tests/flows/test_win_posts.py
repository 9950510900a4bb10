"""Win posts: a message each for a few deals, shared messages for many, each deal told once whatever breaks."""

from __future__ import annotations

from typing import Any

import pytest

from order_to_cash.domain.errors import Unavailable
from order_to_cash.ledger.operations import Operations
from tests.flows.running import run
from tests.world import World

pytestmark = pytest.mark.prefect


def won(books: World, count: int) -> dict[str, str]:
    """Deal id → the name of its Account."""
    named = {}
    for number in range(count):
        account = books.account(Name=f"Company no. {number:03d}")
        named[books.deal(account)] = f"Company no. {number:03d}"
    return named


def posts(books: World) -> list[str]:
    """The win posts that the channel shows, the text of one a string."""
    journal = books.services["slack"].journal.entries
    posted = [entry.body for entry in journal if entry.path.endswith("chat.postMessage") and entry.effects]
    return [str(body["blocks"]) for body in posted if "sent: " in body["text"]]


def assert_each_named_once(books: World, named: dict[str, str]) -> None:
    shown = posts(books)
    times = {name: sum(name in text for text in shown) for name in named.values()}
    assert times == dict.fromkeys(named.values(), 1)


async def test_many_deals_share_messages_and_are_written_back_before_slack_is_told(books: World) -> None:
    named = won(books, 23)
    summary = await run(*named)
    assert summary.in_words == "23 billed"
    assert len(posts(books)) == 2
    assert_each_named_once(books, named)
    told = min(entry.at for entry in books.services["slack"].journal.entries)
    updates = [
        entry.at
        for entry in books.services["salesforce"].journal.entries
        if any(effect.object == "Opportunity" for effect in entry.effects)
    ]
    assert max(updates) < told


async def test_a_message_whose_outcome_was_not_recorded_is_found_by_its_key(
    books: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = won(books, 12)
    recorded = Operations.succeed_many

    def broken(self: Operations, step: str, items: Any) -> Any:
        if step == "announce":
            raise Unavailable("The ledger went away.")
        return recorded(self, step, items)

    with monkeypatch.context() as patch:
        patch.setattr(Operations, "succeed_many", broken)
        first = await run(*named)
    assert [outcome.announced for outcome in first.outcomes] == [False] * 12
    assert len(posts(books)) == 1
    again = await run(*named)
    assert [outcome.concluded for outcome in again.outcomes] == [True] * 12
    assert len(posts(books)) == 1
    assert_each_named_once(books, named)


async def test_a_message_that_never_arrived_is_posted_by_the_next_run(books: World) -> None:
    named = won(books, 12)
    books.fault("slack", path="chat.postMessage", status=503, times=8)
    first = await run(*named)
    assert [outcome.announced for outcome in first.outcomes] == [False] * 12
    assert posts(books) == []
    again = await run(*named)
    assert [outcome.concluded for outcome in again.outcomes] == [True] * 12
    assert_each_named_once(books, named)


async def test_a_message_whose_answer_was_lost_is_not_posted_twice(books: World) -> None:
    named = won(books, 12)
    books.fault("slack", path="chat.postMessage", nth=1, drop="after")
    summary = await run(*named)
    assert [outcome.concluded for outcome in summary.outcomes] == [True] * 12
    assert_each_named_once(books, named)


async def test_a_channel_that_refuses_holds_no_deal_up(books: World) -> None:
    named = won(books, 12)
    books.fault("slack", path="chat.postMessage", code="not_in_channel")
    summary = await run(*named)
    assert [outcome.concluded for outcome in summary.outcomes] == [True] * 12
    assert {problem.code for outcome in summary.outcomes for problem in outcome.problems} == {
        "not_in_channel"
    }
    for deal in named:
        books.assert_billed_once(deal, 250_000)
