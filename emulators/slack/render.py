"""Messages as plain text, for terminals and for tests that read what a person would."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from emulators.slack.world import Channel

_CONTROL = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
_BROADCAST = re.compile(r"<!(channel|here|everyone)(?:\|[^<>]*)?>")


def plain(text: str) -> str:
    """Slack's mrkdwn as a person reads it: links as `label (address)`, mentions as `@name`, no entities."""
    return html.unescape(_CONTROL.sub(_spoken, text))


def broadcasts(message: Mapping[str, Any]) -> list[str]:
    """Whom the message calls: `channel`, `here` or `everyone`. Text typed by a customer must never do so."""
    said = {part: message[part] for part in ("text", "blocks", "attachments") if part in message}
    return [found for text in _interpreted(said) for found in _BROADCAST.findall(text)]


def render_message(message: Mapping[str, Any], *, channel: str = "", indent: str = "  ") -> str:
    """One message (Slack's JSON): a line with channel and time, then its blocks, or else its text."""
    at = datetime.fromtimestamp(int(str(message.get("ts", "0")).partition(".")[0]), UTC)
    lines = [f"#{channel or 'channel'}  {at:%Y-%m-%d %H:%M:%S} UTC"]
    blocks = message.get("blocks") or []
    body = [line for block in blocks for line in _block(block)] or [plain(message.get("text", ""))]
    lines += [f"{indent}{part}" for line in body for part in line.split("\n")]
    return "\n".join(lines)


def render_journal(entries: Iterable[Mapping[str, Any]], channels: Iterable[str] = ()) -> str:
    """The messages posted and updated in journal entries (their JSON), a blank line between them.

    `channels` are the workspace's channel names, by which ids become readable again.
    """
    names = {Channel(name).id: name for name in channels}
    told = []
    for entry in entries:
        response = entry.get("response")
        if entry.get("effects") and isinstance(response, dict) and "message" in response:
            where = names.get(response["channel"]) or str(response["channel"])
            told.append(render_message(response["message"], channel=where))
    return "\n\n".join(told)


def _spoken(match: re.Match[str]) -> str:
    target, label = match.group(1), match.group(2)
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    if target[0] in "@#":
        return label or target
    return f"{label} ({target})" if label else target


def _interpreted(value: Any) -> Iterator[str]:
    """Every text in which Slack would look for mentions."""
    if isinstance(value, list):
        for item in value:
            yield from _interpreted(item)
    elif isinstance(value, Mapping):
        text = value.get("text")
        if isinstance(text, str) and value.get("type") != "plain_text":
            yield text
        for name, item in value.items():
            if name != "text" or not isinstance(item, str):
                yield from _interpreted(item)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "header":
            title = _said(block["text"])
            yield from (title, "─" * len(title))
        case "section":
            heading = [block["text"]] if "text" in block else []
            yield from (_said(text) for text in [*heading, *block.get("fields", [])])
        case "context":
            yield " · ".join(_said(element) for element in block["elements"])
        case "actions":
            yield "  ".join(_button(element) for element in block["elements"])
        case "image":
            yield f"[{block['alt_text']}]"
        case _:
            yield "────"


def _said(text: Mapping[str, Any]) -> str:
    if text["type"] == "image":
        return f"[{text['alt_text']}]"
    return plain(text["text"]) if text["type"] == "mrkdwn" else html.unescape(text["text"])


def _button(element: Mapping[str, Any]) -> str:
    if element["type"] != "button":
        return f"[{element.get('alt_text', element['type'])}]"
    label = f"[{element['text']['text']}]"
    return f"{label} {element['url']}" if "url" in element else label
