"""The Slack emulator, spoken to by the official SDK."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.models.blocks import HeaderBlock, SectionBlock
from slack_sdk.models.metadata import Metadata

from emulators.engine import Clock
from emulators.run import running
from emulators.slack.service import SlackService
from emulators.slack.world import SlackSettings

TOKEN = "xoxb-emulator"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[SlackService, str]]:
    service = SlackService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        yield service, urls["slack"]


@pytest.fixture
def slack(server: tuple[SlackService, str]) -> SlackService:
    service, _ = server
    service.reset()
    service.settings.restore()
    return service


@pytest.fixture
def client(slack: SlackService, server: tuple[SlackService, str]) -> WebClient:
    return WebClient(TOKEN, base_url=f"{server[1]}/api/", retry_handlers=[])


def refused(caught: pytest.ExceptionInfo[SlackApiError]) -> str:
    assert caught.value.response.status_code == 200
    return str(caught.value.response["error"])


def test_a_message_is_posted_stored_and_journalled(slack: SlackService, client: WebClient) -> None:
    answer = client.chat_postMessage(
        channel="#billing",
        text="Deal won",
        blocks=[HeaderBlock(text="Deal won"), SectionBlock(fields=["*Amount*", "1,234.50 EUR"])],
        metadata=Metadata("o2c", {"key": "o2c:invoice:006:1"}),
    )
    assert answer["ok"] is True
    assert answer["message"]["text"] == "Deal won"
    assert answer["message"]["metadata"] == {
        "event_type": "o2c",
        "event_payload": {"key": "o2c:invoice:006:1"},
    }
    assert [block["type"] for block in answer["message"]["blocks"]] == ["header", "section"]
    assert all(block["block_id"] for block in answer["message"]["blocks"])
    [entry] = slack.journal.select(path="chat.postMessage$")
    assert [(effect.object, effect.id, effect.action) for effect in entry.effects] == [
        ("message", f"{answer['channel']}/{answer['ts']}", "created")
    ]
    assert TOKEN not in json.dumps(entry.as_json())
    assert [message.ts for message in slack.messages("billing")] == [answer["ts"]]


def test_auth_test_names_the_workspace_and_the_scopes(client: WebClient) -> None:
    answer = client.auth_test()
    assert answer["team"] == "Emulator"
    assert answer["bot_id"].startswith("B")
    assert answer.headers["x-oauth-scopes"] == "chat:write,channels:read,channels:history"


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-", "invalid_auth"), ("secret", "invalid_auth")]
)
def test_tokens_that_are_none_are_refused(client: WebClient, token: str, error: str) -> None:
    with pytest.raises(SlackApiError) as caught:
        WebClient(token, base_url=client.base_url, retry_handlers=[]).auth_test()
    assert refused(caught) == error


def test_a_missing_scope_is_named(slack: SlackService, client: WebClient) -> None:
    slack.settings.patch({"scopes": "channels:read"})
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="#billing", text="hello")
    assert refused(caught) == "missing_scope"
    assert caught.value.response["needed"] == "chat:write"
    assert slack.messages("billing") == []


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("#nowhere", "channel_not_found"),
        ("C012345", "channel_not_found"),
        ("#closed", "is_archived"),
        ("#board", "not_in_channel"),
        ("", "invalid_arguments"),
    ],
)
def test_channels_that_take_no_message(
    slack: SlackService, client: WebClient, channel: str, error: str
) -> None:
    slack.settings.patch({"channels": "billing,closed,board", "archived": "closed", "not_joined": "board"})
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=channel, text="hello")
    assert refused(caught) == error


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "metadata": {"event_type": "o2c"}}, "invalid_metadata_format"),
        (
            {"text": "x", "metadata": {"event_type": "o2c", "event_payload": {"k": "x" * 17_000}}},
            "metadata_too_large",
        ),
        ({"text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"text": "x", "thread_ts": "1700000000.000001"}, "message_not_found"),
    ],
)
def test_messages_that_are_none(
    slack: SlackService, client: WebClient, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call("chat.postMessage", json={"channel": "#billing", **arguments})
    assert refused(caught) == error
    assert slack.messages("billing") == []


def test_forms_carry_structures_as_json(slack: SlackService, client: WebClient) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}
    metadata = {"event_type": "o2c", "event_payload": {"key": "k"}}
    arguments = {"channel": "#billing", "blocks": json.dumps([section]), "metadata": json.dumps(metadata)}
    client.api_call("chat.postMessage", data=arguments)
    [message] = slack.messages("billing")
    assert (message.blocks[0]["text"]["text"], message.metadata) == ("hello", metadata)


def test_an_update_replaces_text_blocks_and_metadata(slack: SlackService, client: WebClient) -> None:
    blocks = [SectionBlock(text="first")]
    posted = client.chat_postMessage(channel="#billing", text="first", blocks=blocks)
    place = {"channel": posted["channel"], "ts": posted["ts"]}
    client.chat_update(**place, text="second", metadata={"event_type": "o2c", "event_payload": {"n": 2}})
    [message] = slack.messages("billing")
    assert (message.text, message.blocks, message.ts) == ("second", [], posted["ts"])
    assert message.metadata == {"event_type": "o2c", "event_payload": {"n": 2}}
    assert [effect.action for entry in slack.journal.entries for effect in entry.effects] == [
        "created",
        "updated",
    ]
    for wrong, error in (
        ({"ts": "1.000001", "text": "x"}, "message_not_found"),
        ({"text": "x" * 4001}, "msg_too_long"),
        ({"text": ""}, "no_text"),
    ):
        with pytest.raises(SlackApiError) as caught:
            client.api_call("chat.update", json=place | wrong)
        assert refused(caught) == error


def test_channels_are_listed_and_described(slack: SlackService, client: WebClient) -> None:
    slack.settings.patch({"channels": "a,b,c", "archived": "b", "not_joined": "c"})
    pages = [page["channels"] for page in client.conversations_list(limit=2)]
    assert [[channel["name"] for channel in page] for page in pages] == [["a", "b"], ["c"]]
    open_ones = client.conversations_list(exclude_archived=True)["channels"]
    assert [(channel["name"], channel["is_member"]) for channel in open_ones] == [("a", True), ("c", False)]
    assert client.conversations_list(types="im")["channels"] == []
    assert client.conversations_info(channel=open_ones[1]["id"])["channel"]["name"] == "c"
    with pytest.raises(SlackApiError) as caught:
        client.conversations_info(channel="#a")
    assert refused(caught) == "channel_not_found"


def test_one_message_a_second_and_channel_when_limits_are_on(slack: SlackService, client: WebClient) -> None:
    slack.settings.patch({"rate_limits": True})
    client.chat_postMessage(channel="#billing", text="one")
    client.chat_postMessage(channel="#sales", text="another channel")
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="#billing", text="two")
    assert caught.value.response.status_code == 429
    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.headers["retry-after"] == "1"
    slack.clock.advance(1)
    client.chat_postMessage(channel="#billing", text="two")
    assert [message.text for message in slack.messages("billing")] == ["one", "two"]


def test_the_sdks_own_handler_waits_out_a_429(slack: SlackService, client: WebClient) -> None:
    slack.faults.add(path="chat.postMessage", status=429, nth=1, headers={"retry-after": "0"})
    client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    assert client.chat_postMessage(channel="#billing", text="hello")["ok"]
    assert [entry.status for entry in slack.journal.entries] == [429, 200]


def test_methods_have_their_tier(slack: SlackService, client: WebClient) -> None:
    slack.settings.patch({"rate_limits": True})
    for _ in range(20):
        client.conversations_list()
    with pytest.raises(SlackApiError) as caught:
        client.conversations_list()
    assert caught.value.response.headers["retry-after"] == "60"


def test_all_methods_together_can_be_limited(slack: SlackService, client: WebClient) -> None:
    slack.settings.patch({"rate_limit_per_second": 2})
    client.auth_test()
    client.conversations_list()
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == 429


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ({"code": "account_inactive"}, 200, "account_inactive"),
        ({"status": 500}, 500, "internal_error"),
        ({"status": 503, "code": "service_unavailable"}, 503, "service_unavailable"),
        ({"status": 200, "response": {"ok": False, "error": "fatal_error"}}, 200, "fatal_error"),
    ],
)
def test_faults_have_slacks_shape(
    slack: SlackService, client: WebClient, fault: dict[str, Any], status: int, error: str
) -> None:
    slack.faults.add(path="auth.test", **fault)
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert (caught.value.response.status_code, caught.value.response["error"]) == (status, error)


def test_a_lost_answer_leaves_the_message(slack: SlackService, client: WebClient) -> None:
    slack.faults.add(path="chat.postMessage", drop="after", nth=1)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.chat_postMessage(channel="#billing", text="hello")
    assert [message.text for message in slack.messages("billing")] == ["hello"]


def post(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": content_type}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"{", "application/json; charset=utf-8", "invalid_json"),
        (b"[]", "application/json; charset=utf-8", "json_not_object"),
        (b"x", "text/plain", "invalid_post_type"),
        (b'{"text": {}, "channel": "#billing"}', "application/json; charset=utf-8", "invalid_arguments"),
    ],
)
def test_bodies_that_slack_cannot_read(client: WebClient, body: bytes, content_type: str, error: str) -> None:
    assert post(f"{client.base_url}chat.postMessage", body, content_type)["error"] == error


def test_json_without_a_character_set_is_warned_of(client: WebClient) -> None:
    answer = post(f"{client.base_url}auth.test", b"{}", "application/json")
    assert (answer["ok"], answer["warning"]) == (True, "missing_charset")


def test_an_unknown_method_is_named_and_the_api_prefix_is_optional(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call("chat.whisper")
    assert refused(caught) == "unknown_method"
    plain = client.base_url.replace("/api/", "/")
    assert WebClient(TOKEN, base_url=plain).auth_test()["ok"]


def test_settings_given_at_the_start_hold() -> None:
    service = SlackService(settings=SlackSettings(channels="#one, two"))
    assert [channel.name for channel in service.world.channels()] == ["one", "two"]
