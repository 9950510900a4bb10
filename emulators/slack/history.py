"""conversations.history and conversations.replies: which messages, in which pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from emulators.slack.arguments import Arguments, SlackError
from emulators.slack.world import Message, to_micros

PREFIX = "next_ts:"


def history(messages: Sequence[Message], arguments: Arguments) -> dict[str, Any]:
    """One page, newest first. `messages` are in the order they were posted.

    Pages run from the newest message backwards; with `oldest` and without `latest` from the oldest forwards.
    """
    limit = arguments.limit(default=100, most=999)
    oldest, latest = _moment(arguments, "oldest"), _moment(arguments, "latest")
    after = _cursor(arguments)
    forward = oldest is not None and latest is None
    # A reply is found in its thread (conversations.replies), not here, unless it was broadcast.
    found = [one for one in messages if one.broadcast or one.thread_ts in ("", one.ts)]
    found = [message for message in found if _within(message, oldest, latest, arguments.flag("inclusive"))]
    if not forward:
        found.reverse()
    if after is not None:
        found = [m for m in found if (to_micros(m.ts) >= after if forward else to_micros(m.ts) <= after)]
    answer = _page(found, limit, with_metadata=arguments.flag("include_all_metadata"), reverse=forward)
    return {**answer, "pin_count": 0, "channel_actions_ts": None, "channel_actions_count": 0}


def replies(messages: Sequence[Message], arguments: Arguments) -> dict[str, Any]:
    """One page of a thread, oldest first; it begins with the message that opened it."""
    opened = arguments.required("ts")
    limit = arguments.limit(default=1000, most=1000)
    oldest, latest = _moment(arguments, "oldest"), _moment(arguments, "latest")
    after = _cursor(arguments)
    thread = [message for message in messages if opened in (message.ts, message.thread_ts)]
    if not any(message.ts == opened for message in thread):
        raise SlackError("thread_not_found")
    # The parent comes whatever the range says.
    found = [
        message
        for message in thread
        if message.ts == opened or _within(message, oldest, latest, arguments.flag("inclusive"))
    ]
    if after is not None:
        found = [message for message in found if to_micros(message.ts) >= after]
    return _page(found, limit, with_metadata=arguments.flag("include_all_metadata"))


def _page(
    found: Sequence[Message], limit: int, *, with_metadata: bool, reverse: bool = False
) -> dict[str, Any]:
    page, rest = list(found[:limit]), found[limit:]
    if reverse:
        page.reverse()
    answer: dict[str, Any] = {
        "messages": [message.as_json(with_metadata=with_metadata) for message in page],
        "has_more": bool(rest),
    }
    if rest:
        cursor = base64.b64encode(f"{PREFIX}{to_micros(rest[0].ts)}".encode()).decode()
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer


def _moment(arguments: Arguments, name: str) -> int | None:
    given = arguments.text(name)
    if not given:
        return None
    try:
        return to_micros(given)
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _cursor(arguments: Arguments) -> int | None:
    given = arguments.text("cursor")
    if not given:
        return None
    try:
        text = base64.b64decode(given, validate=True).decode()
        if not text.startswith(PREFIX):
            raise SlackError("invalid_cursor")
        return int(text.removeprefix(PREFIX))
    except (binascii.Error, ValueError):
        raise SlackError("invalid_cursor") from None


def _within(message: Message, oldest: int | None, latest: int | None, inclusive: bool) -> bool:
    at = to_micros(message.ts)
    if inclusive and at in (oldest, latest):
        return True
    return (oldest is None or at > oldest) and (latest is None or at < latest)
