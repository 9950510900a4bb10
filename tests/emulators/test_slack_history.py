"""Finding messages again: conversations.history as the official SDK asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from emulators.engine import Clock
from emulators.run import running
from emulators.slack.service import SlackService


@pytest.fixture(scope="module")
def slack() -> Iterator[tuple[SlackService, WebClient, str, list[str]]]:
    """A channel with ten messages, a second or more apart, each with its number as metadata."""
    service = SlackService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        client = WebClient("xoxb-emulator", base_url=urls["slack"], retry_handlers=[])
        stamps = []
        for number in range(10):
            metadata = {"event_type": "o2c", "event_payload": {"key": f"k{number}"}}
            answer = client.chat_postMessage(channel="#billing", text=f"m{number}", metadata=metadata)
            stamps.append(answer["ts"])
            service.clock.advance(1)
        yield service, client, answer["channel"], stamps


Setup = tuple[SlackService, WebClient, str, list[str]]


def test_messages_come_newest_first_without_metadata_unless_asked(slack: Setup) -> None:
    _, client, channel, _ = slack
    plain = client.conversations_history(channel=channel)
    assert [message["text"] for message in plain["messages"]] == [f"m{n}" for n in reversed(range(10))]
    assert plain["has_more"] is False
    assert not any("metadata" in message for message in plain["messages"])
    full = client.conversations_history(channel=channel, include_all_metadata=True, limit=1)
    assert full["messages"][0]["metadata"] == {"event_type": "o2c", "event_payload": {"key": "k9"}}


def test_pages_run_back_in_time(slack: Setup) -> None:
    _, client, channel, _ = slack
    pages = [
        [message["text"] for message in page["messages"]]
        for page in client.conversations_history(channel=channel, limit=4)
    ]
    assert pages == [["m9", "m8", "m7", "m6"], ["m5", "m4", "m3", "m2"], ["m1", "m0"]]


def test_pages_from_an_oldest_moment_run_forward(slack: Setup) -> None:
    _, client, channel, stamps = slack
    pages = [
        [message["text"] for message in page["messages"]]
        for page in client.conversations_history(channel=channel, oldest=stamps[4], limit=3)
    ]
    assert pages == [["m7", "m6", "m5"], ["m9", "m8"]]


def test_the_ends_of_a_range_are_out_unless_inclusive(slack: Setup) -> None:
    _, client, channel, stamps = slack
    oldest, latest = stamps[2], stamps[5]
    found = client.conversations_history(channel=channel, oldest=oldest, latest=latest)
    assert [message["text"] for message in found["messages"]] == ["m4", "m3"]
    found = client.conversations_history(channel=channel, inclusive=True, oldest=oldest, latest=latest)
    assert [message["text"] for message in found["messages"]] == ["m5", "m4", "m3", "m2"]


def test_replies_stay_in_their_thread(slack: Setup) -> None:
    service, client, channel, stamps = slack
    client.chat_postMessage(channel=channel, text="reply", thread_ts=stamps[0])
    assert len(service.messages("billing")) == 11
    assert len(client.conversations_history(channel=channel)["messages"]) == 10


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"limit": 0}, "invalid_limit"),
        ({"limit": 1000}, "invalid_limit"),
        ({"cursor": "later"}, "invalid_cursor"),
        ({"cursor": "aGVsbG8="}, "invalid_cursor"),
        ({"oldest": "yesterday"}, "invalid_ts_oldest"),
        ({"latest": "2026-11-20"}, "invalid_ts_latest"),
        ({"channel": "#billing"}, "channel_not_found"),
    ],
)
def test_what_cannot_be_asked(slack: Setup, arguments: dict[str, Any], error: str) -> None:
    _, client, channel, _ = slack
    with pytest.raises(SlackApiError) as caught:
        client.conversations_history(**{"channel": channel, **arguments})
    assert caught.value.response["error"] == error


def test_a_channel_that_the_bot_did_not_join_stays_closed(slack: Setup) -> None:
    service, client, channel, _ = slack
    service.settings.patch({"not_joined": "billing"})
    with pytest.raises(SlackApiError) as caught:
        client.conversations_history(channel=channel)
    service.settings.patch({"not_joined": ""})
    assert caught.value.response["error"] == "not_in_channel"


def test_messages_of_one_moment_get_stamps_of_their_own() -> None:
    service = SlackService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        client = WebClient("xoxb-emulator", base_url=urls["slack"], retry_handlers=[])
        first = client.chat_postMessage(channel="#billing", text="a")["ts"]
        service.clock.advance(-60)
        second = client.chat_postMessage(channel="#billing", text="b")["ts"]
    assert float(second) > float(first)


def test_a_thread_begins_with_the_message_that_opened_it_and_stays_out_of_the_history() -> None:
    service = SlackService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        client = WebClient("xoxb-emulator", base_url=urls["slack"], retry_handlers=[])
        opened = client.chat_postMessage(channel="#billing", text="opened")
        channel, ts = opened["channel"], opened["ts"]
        metadata = {"event_type": "o2c", "event_payload": {"key": "second"}}
        for number in range(3):
            client.chat_postMessage(channel=channel, text=f"a{number}", thread_ts=ts, metadata=metadata)
        client.chat_postMessage(channel=channel, text="beside it")
        pages = [
            [message["text"] for message in page["messages"]]
            for page in client.conversations_replies(channel=channel, ts=ts, limit=2)
        ]
        assert pages == [["opened", "a0"], ["a1", "a2"]]
        full = client.conversations_replies(channel=channel, ts=ts, include_all_metadata=True)
        assert full["messages"][1]["metadata"] == metadata
        history = client.conversations_history(channel=channel)
        assert [message["text"] for message in history["messages"]] == ["beside it", "opened"]
        client.chat_postMessage(channel=channel, text="shown", thread_ts=ts, reply_broadcast=True)
        shown = client.conversations_history(channel=channel, limit=1)["messages"][0]
        assert (shown["text"], shown["subtype"], shown["thread_ts"]) == ("shown", "thread_broadcast", ts)
        with pytest.raises(SlackApiError) as caught:
            client.conversations_replies(channel=channel, ts="1700000000.000100")
        assert caught.value.response["error"] == "thread_not_found"
