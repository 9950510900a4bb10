"""The workspace: channels named by the settings, and the messages posted to them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emulators.engine import Clock, Settings
from emulators.slack.arguments import SlackError

TEAM_ID, USER_ID, BOT_ID, APP_ID = "T0EMULATOR", "U0EMULATOR", "B0EMULATOR", "A0EMULATOR"
TIMESTAMP = re.compile(r"^\d{1,12}(\.\d{1,6})?$")


@dataclass
class SlackSettings(Settings):
    """channels: the workspace's channels; `not_joined` and `archived` name those of them that refuse the bot.

    All three are names separated by commas. scopes: what the bot token may do. rate_limits: Slack's published
    limits (off by default): one message a second and channel, and the methods' tiers a minute.
    """

    channels: str = "general,billing,finance,sales,alerts"
    not_joined: str = ""
    archived: str = ""
    scopes: str = "chat:write,channels:read,channels:history"
    rate_limits: bool = False


@dataclass(frozen=True)
class Channel:
    name: str
    joined: bool = True
    archived: bool = False

    @property
    def id(self) -> str:
        """Slack's are opaque; ours follow from the name, so that they outlive a reset."""
        return "C0" + base64.b32encode(hashlib.sha256(self.name.encode()).digest())[:9].decode()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": False,
            "is_archived": self.archived,
            "is_general": self.name == "general",
            "is_member": self.joined,
            "context_team_id": TEAM_ID,
        }


@dataclass
class Message:
    """One message. `ts` names it within its channel."""

    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    thread_ts: str = ""
    broadcast: bool = False  # an answer in a thread that the channel shows, too
    edited_ts: str = ""
    attachments: list[Any] = field(default_factory=list)

    def as_json(self, *, with_metadata: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "type": "message",
            "ts": self.ts,
            "user": USER_ID,
            "bot_id": BOT_ID,
            "app_id": APP_ID,
            "team": TEAM_ID,
            "text": self.text,
        }
        optional = {"blocks": self.blocks, "attachments": self.attachments, "thread_ts": self.thread_ts}
        shown |= {name: value for name, value in optional.items() if value}
        if self.broadcast:
            shown["subtype"] = "thread_broadcast"
        if self.edited_ts:
            shown["edited"] = {"user": USER_ID, "ts": self.edited_ts}
        if with_metadata and self.metadata is not None:
            shown["metadata"] = self.metadata
        return shown


class World:
    """Channels and messages; messages of a channel stand in the order they were posted."""

    def __init__(self, clock: Clock, settings: SlackSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._messages: dict[str, list[Message]] = defaultdict(list)

    def channels(self) -> list[Channel]:
        not_joined, archived = _names(self._settings.not_joined), _names(self._settings.archived)
        return [
            Channel(name, joined=name not in not_joined, archived=name in archived)
            for name in _names(self._settings.channels)
        ]

    def channel(self, wanted: str, *, by_name: bool = False) -> Channel:
        """The channel of an id; for posting also `#name` or `name`. Raises SlackError."""
        for channel in self.channels():
            if wanted == channel.id or (by_name and wanted.removeprefix("#") == channel.name):
                return channel
        raise SlackError("channel_not_found")

    def messages(self, channel: Channel) -> Sequence[Message]:
        return self._messages[channel.id]

    def find(self, channel: Channel, ts: str) -> Message:
        for message in self._messages[channel.id]:
            if message.ts == ts:
                return message
        raise SlackError("message_not_found")

    def post(self, channel: Channel, message: Message) -> None:
        self._messages[channel.id].append(message)

    def next_ts(self, channel: Channel) -> str:
        """Seconds and microseconds of now, later than any of the channel's messages."""
        micros = int(self._clock.now().timestamp() * 1_000_000)
        if self._messages[channel.id]:
            micros = max(micros, to_micros(self._messages[channel.id][-1].ts) + 1)
        return f"{micros // 1_000_000}.{micros % 1_000_000:06}"

    def clear(self) -> None:
        self._messages.clear()


def to_micros(ts: str) -> int:
    """`1700000000.000100` as an integer. Raises ValueError when it is no timestamp of Slack's."""
    if not TIMESTAMP.match(ts):
        raise ValueError(ts)
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def _names(text: str) -> list[str]:
    return [name.strip().removeprefix("#") for name in text.split(",") if name.strip()]
