"""Posting once and finding again, judged by the emulator's journal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from order_to_cash.domain.errors import (
    CredentialsRefused,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Refused,
    Unavailable,
)
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.slack_gateway import SlackGateway
from tests.gateways.conftest import RememberingAudit, World

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "Won"}}]
Make = Callable[..., SlackGateway]


@pytest.fixture
def make(slack_world: World, audit: RememberingAudit) -> Make:
    def gateway(**settings: Any) -> SlackGateway:
        given: dict[str, Any] = {
            "token": "xoxb-test",
            "environment": Environment.EMULATOR,
            "base_url": slack_world.url,
            "audit": audit,
            "timeout_seconds": 1,
            "backoff_seconds": 0.01,
        }
        return SlackGateway(**{**given, **settings})

    return gateway


def posted(world: World) -> int:
    world.settle()
    return len(world.service.journal.effects("message", "created"))


def test_a_message_is_posted_with_its_key_and_found_by_it(slack_world: World, make: Make) -> None:
    gateway = make()
    for number in range(3):
        gateway.post("#billing", "other", key=f"o2c:win:{number}")
    stamp = gateway.post("#billing", "Won: Acme", BLOCKS, key="o2c:win:006")
    for number in range(3, 6):
        gateway.post("#billing", "other", key=f"o2c:win:{number}")
    assert gateway.find("#billing", "o2c:win:006") == stamp
    assert make().find("billing", "o2c:win:006") == stamp
    assert gateway.find("#billing", "o2c:win:none") is None
    later = slack_world.service.clock.now() + timedelta(hours=1)
    assert gateway.find("#billing", "o2c:win:006", since=later) is None
    body = slack_world.service.journal.select(path="chat.postMessage")[3].body
    assert body["unfurl_links"] is False
    assert body["metadata"] == {"event_type": "o2c", "event_payload": {"key": "o2c:win:006"}}


def test_one_message_about_many_is_found_by_each(slack_world: World, make: Make) -> None:
    gateway = make()
    stamp = gateway.post("#billing", "Two", key="o2c:group", about=["one", "two"])
    other = gateway.post("#billing", "One", key="three")
    asked = ["one", "two", "three", "four"]
    assert gateway.posted("#billing", asked) == {"one": stamp, "two": stamp, "three": other}


@pytest.mark.parametrize("drop", ["before", "after"])
def test_an_answer_in_a_thread_is_found_there_alone(slack_world: World, make: Make, drop: str) -> None:
    gateway = make()
    opened = gateway.post("#billing", "Failed", key="first")
    slack_world.service.faults.add(path="chat.postMessage", nth=1, drop=drop)
    answer = gateway.post("#billing", "Paid", key="second", thread_ts=opened)
    assert posted(slack_world) == 2
    assert gateway.posted("#billing", ["second"], thread_ts=opened) == {"second": answer}
    assert gateway.posted("#billing", ["second"]) == {}


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "before"},
        {"drop": "after"},
        {"status": 503},
        {"status": 500, "after_effect": True},
        {"delay_seconds": 1.2, "after_effect": True},
        {"status": 429, "headers": {"Retry-After": "0"}},
    ],
    ids=str,
)
def test_a_passing_fault_ends_in_one_message(slack_world: World, make: Make, fault: dict[str, Any]) -> None:
    slack_world.service.faults.add(path="chat.postMessage", nth=1, **fault)
    gateway = make()
    stamp = gateway.post("#billing", "Won", key="o2c:win:1")
    assert posted(slack_world) == 1
    assert gateway.find("#billing", "o2c:win:1") == stamp


def test_a_post_that_is_lost_twice_is_unknown(slack_world: World, make: Make) -> None:
    slack_world.service.faults.add(path="chat.postMessage", drop="before")
    with pytest.raises(OutcomeUnknown):
        make().post("#billing", "Won", key="o2c:win:1")
    assert len(slack_world.service.journal.select(path="chat.postMessage")) == 2


def test_a_lost_post_is_not_repeated_when_the_history_is_closed(slack_world: World, make: Make) -> None:
    slack_world.service.settings.patch({"scopes": "chat:write"})
    slack_world.service.faults.add(path="chat.postMessage", nth=1, drop="after")
    with pytest.raises(OutcomeUnknown, match="missing_scope"):
        make().post("#billing", "Won", key="o2c:win:1")
    assert posted(slack_world) == 1


def test_reading_rides_out_faults(slack_world: World, make: Make) -> None:
    gateway = make()
    stamp = gateway.post("#billing", "Won", key="o2c:win:1")
    slack_world.service.faults.add(path="history", nth=1, status=500)
    slack_world.service.faults.add(path="history", nth=1, drop="before")
    assert gateway.find("#billing", "o2c:win:1") == stamp


def test_reading_gives_up(slack_world: World, make: Make) -> None:
    slack_world.service.faults.add(path="history", status=503)
    with pytest.raises(Unavailable):
        make().find("#billing", "o2c:win:1")
    assert len(slack_world.service.journal.select(path="history")) == 3


@pytest.mark.parametrize(
    ("settings", "channel", "error", "remedy"),
    [
        ({}, "#nowhere", Refused, "/invite"),
        ({"not_joined": "billing"}, "#billing", Refused, "/invite"),
        ({"archived": "billing"}, "#billing", Refused, "Unarchive"),
        ({"scopes": "channels:read"}, "#billing", PermissionMissing, "chat:write"),
    ],
)
def test_refusals_have_a_remedy(
    slack_world: World, make: Make, settings: dict[str, Any], channel: str, error: type[O2CError], remedy: str
) -> None:
    slack_world.service.settings.patch(settings)
    with pytest.raises(error) as caught:
        make().post(channel, "Won", key="o2c:win:1")
    assert remedy in caught.value.remedy


def test_a_bad_token(make: Make) -> None:
    with pytest.raises(CredentialsRefused, match="O2C_SLACK_BOT_TOKEN"):
        make(token="canary-token").post("#billing", "Won", key="o2c:win:1")


def test_a_lasting_limit(slack_world: World, make: Make) -> None:
    slack_world.service.faults.add(path="chat.postMessage", status=429, headers={"Retry-After": "0"})
    with pytest.raises(RateLimited):
        make().post("#billing", "Won", key="o2c:win:1")


def test_an_unknown_channel_has_no_history(make: Make) -> None:
    with pytest.raises(Refused, match="channel"):
        make().find("#nowhere", "o2c:win:1")


def test_a_closed_gateway_posts_nothing(slack_world: World, make: Make) -> None:
    gateway = make()
    gateway.close()
    with pytest.raises(Unavailable, match="closed"):
        gateway.post("#billing", "Won", key="o2c:win:1")
    assert posted(slack_world) == 0


def test_every_post_is_in_the_audit(make: Make, audit: RememberingAudit) -> None:
    make().post("#billing", "Won, mail ada@acme.example", key="o2c:win:1")
    (intent,) = audit.intents
    assert intent.path == "/api/chat.postMessage"
    assert "ada@acme" not in str(intent)
    assert [outcome.status for outcome in audit.outcomes.values()] == [200]
