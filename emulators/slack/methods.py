"""The Web API methods that order-to-cash calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.engine import Call
from emulators.slack.arguments import Arguments, SlackError
from emulators.slack.blocks import MAX_TEXT_OF_ALL_BLOCKS, block_errors, text_length
from emulators.slack.history import history, replies
from emulators.slack.world import BOT_ID, TEAM_ID, USER_ID, Channel, Message, World

# Slack's documents: text over 40,000 characters is cut at posting and refused over 4,000 at an update. Here
# it is refused in both: a text that was cut without a word would hide what a person had to read.
MAX_TEXT_POSTED = 40_000
MAX_TEXT_UPDATED = 4_000
# No figure is published for `metadata_too_large`; 16 KB is what Slack's message server takes for a message.
MAX_METADATA_BYTES = 16_384

Handler = Callable[[World, Arguments, Call], dict[str, Any]]


@dataclass(frozen=True)
class Method:
    """`scope`: what the token needs. `per_minute`: its tier; None: posting, one a second and channel."""

    handler: Handler
    scope: str
    per_minute: int | None


def _auth_test(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    del world, arguments, call
    return {
        "url": "https://emulator.slack.com/",
        "team": "Emulator",
        "user": "order_to_cash",
        "team_id": TEAM_ID,
        "user_id": USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def _post_message(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    channel = _writable(world.channel(arguments.required("channel"), by_name=True))
    ts = world.next_ts(channel)
    message = Message(ts=ts, text=arguments.text("text"), thread_ts=arguments.text("thread_ts"))
    message.attachments = arguments.structure("attachments", "invalid_attachments") or []
    message.blocks = _blocks(arguments, ts) or []
    if not (message.text or message.blocks or message.attachments):
        raise SlackError("no_text")
    if len(message.text) > MAX_TEXT_POSTED:
        raise SlackError("msg_too_long")
    message.metadata = _metadata(arguments)
    if message.thread_ts:
        world.find(channel, message.thread_ts)
        message.broadcast = arguments.flag("reply_broadcast")
    world.post(channel, message)
    call.effect("message", f"{channel.id}/{ts}", "created")
    return {"channel": channel.id, "ts": ts, "message": message.as_json(with_metadata=True)}


def _update(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    channel = _writable(world.channel(arguments.required("channel")))
    message = world.find(channel, arguments.required("ts"))
    text, blocks = arguments.text("text"), _blocks(arguments, message.ts)
    if not text and blocks is None:
        raise SlackError("no_text")
    if len(text) > MAX_TEXT_UPDATED:
        raise SlackError("msg_too_long")
    metadata = _metadata(arguments)
    message.text = text or message.text
    message.blocks = blocks or []  # text without blocks takes the blocks away
    message.metadata = metadata if metadata is not None else message.metadata
    message.edited_ts = world.next_ts(channel)
    call.effect("message", f"{channel.id}/{message.ts}", "updated")
    shown = message.as_json(with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def _history(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    del call
    channel = world.channel(arguments.required("channel"))
    if not channel.joined:
        raise SlackError("not_in_channel")
    return history(world.messages(channel), arguments)


def _replies(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    del call
    channel = world.channel(arguments.required("channel"))
    if not channel.joined:
        raise SlackError("not_in_channel")
    return replies(world.messages(channel), arguments)


def _list(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    del call
    if "public_channel" not in (arguments.text("types") or "public_channel").split(","):
        return {"channels": [], "response_metadata": {"next_cursor": ""}}
    shown = [each for each in world.channels() if not (each.archived and arguments.flag("exclude_archived"))]
    limit, start = arguments.limit(default=100, most=1000), arguments.text("cursor") or "0"
    if not start.isdigit():
        raise SlackError("invalid_cursor")
    end = int(start) + limit
    cursor = str(end) if end < len(shown) else ""
    return {
        "channels": [channel.as_json() for channel in shown[int(start) : end]],
        "response_metadata": {"next_cursor": cursor},
    }


def _info(world: World, arguments: Arguments, call: Call) -> dict[str, Any]:
    del call
    return {"channel": world.channel(arguments.required("channel")).as_json()}


def _writable(channel: Channel) -> Channel:
    if channel.archived:
        raise SlackError("is_archived")
    if not channel.joined:
        raise SlackError("not_in_channel")
    return channel


def _blocks(arguments: Arguments, ts: str) -> list[dict[str, Any]] | None:
    blocks = arguments.structure("blocks", "invalid_blocks_format")
    if blocks is None:
        return None
    if errors := block_errors(blocks):
        lines = [f"[ERROR] {error}" for error in errors]
        raise SlackError("invalid_blocks", errors=errors, response_metadata={"messages": lines})
    if text_length(blocks) > MAX_TEXT_OF_ALL_BLOCKS:
        raise SlackError("msg_blocks_too_long")
    return [{"block_id": f"{ts[-4:]}{index}", **block} for index, block in enumerate(blocks)]


def _metadata(arguments: Arguments) -> dict[str, Any] | None:
    metadata = arguments.structure("metadata", "invalid_metadata_format")
    if metadata is None:
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not metadata["event_type"]
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    kept = {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}
    if len(json.dumps(kept).encode()) > MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return kept


# Tiers: https://docs.slack.dev/apis/web-api/rate-limits (2: 20, 3: 50 a minute; auth.test: hundreds).
METHODS: Mapping[str, Method] = {
    "auth.test": Method(_auth_test, "", 300),
    "chat.postMessage": Method(_post_message, "chat:write", None),
    "chat.update": Method(_update, "chat:write", 50),
    "conversations.history": Method(_history, "channels:history", 50),
    "conversations.info": Method(_info, "channels:read", 50),
    "conversations.replies": Method(_replies, "channels:history", 50),
    "conversations.list": Method(_list, "channels:read", 20),
}
