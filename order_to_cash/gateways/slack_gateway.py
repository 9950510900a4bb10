"""Slack, as the recipes use it: post a message once, and find it again by the key in its metadata."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.error import URLError

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.http_retry.builtin_interval_calculators import BackoffRetryIntervalCalculator
from slack_sdk.http_retry.jitter import Jitter
from slack_sdk.web import SlackResponse

from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.errors import (
    ConfigurationError,
    CredentialsRefused,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Refused,
    Unavailable,
)
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.calls import CallRecorder
from order_to_cash.gateways.credentials import as_secret
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.places import require_emulator_address
from order_to_cash.gateways.vendor_logs import shut_vendor_logs

EVENT_TYPE = "o2c"
_SLACK = "https://slack.com"
# Slack takes about one message a second and channel: https://docs.slack.dev/apis/web-api/rate-limits
_POSTS_PER_SECOND = 1.0
_BURST = 20.0
_PAGE = 200
_PAGES = 10  # 2,000 messages back: an unanswered post is looked for within minutes

_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{7,}")
_INVITE = "Invite the app to the channel (/invite), or correct O2C_SLACK_CHANNEL."
_TOKEN = "Install the Slack app anew and set O2C_SLACK_BOT_TOKEN to its bot token (xoxb-…)."  # noqa: S105 - advice
_ERRORS: Mapping[str, tuple[type[O2CError], str]] = {
    "channel_not_found": (Refused, _INVITE),
    "not_in_channel": (Refused, _INVITE),
    "is_archived": (Refused, "Unarchive the channel, or set another in O2C_SLACK_CHANNEL."),
    "invalid_auth": (CredentialsRefused, _TOKEN),
    "not_authed": (CredentialsRefused, _TOKEN),
    "account_inactive": (CredentialsRefused, _TOKEN),
    "token_revoked": (CredentialsRefused, _TOKEN),
    "token_expired": (CredentialsRefused, _TOKEN),
    "missing_scope": (
        PermissionMissing,
        "Give the Slack app the scopes chat:write, channels:read and channels:history, install it anew.",
    ),
    "ratelimited": (RateLimited, RateLimited.default_remedy),
    "rate_limited": (RateLimited, RateLimited.default_remedy),
}


class _Lost(Exception):  # noqa: N818 - not an error of the product: it says that nobody knows
    """A post without a clear answer."""


class _FullJitter(Jitter):
    """Anything up to the interval; the library's own adds up to a second to every wait."""

    def recalculate(self, duration: float) -> float:
        return random.uniform(0, duration)  # noqa: S311 - jitter, not a secret


class SlackGateway:
    """One workspace. Synchronous and safe to share between threads."""

    def __init__(
        self,
        *,
        token: str | SecretStr,
        environment: Environment,
        audit: AuditSink,
        base_url: str = _SLACK,
        timeout_seconds: int = 15,
        backoff_seconds: float = 0.5,
        actor: str = "",
    ) -> None:
        emulated = environment is Environment.EMULATOR
        if emulated:
            require_emulator_address("Slack", base_url)
        elif base_url.rstrip("/") != _SLACK:
            raise ConfigurationError(
                f"In the {environment} environment Slack is only reached at {_SLACK}.",
                code="wrong_environment",
                remedy="Remove the Slack address from the settings.",
            )
        shut_vendor_logs()
        self._api = base_url.rstrip("/") + "/api/"
        waits = BackoffRetryIntervalCalculator(backoff_seconds, _FullJitter())
        limited = RateLimitErrorRetryHandler(max_retry_count=2)
        # The library's default repeats a post whose answer was lost: the channel would see it twice.
        self._poster = self._client(as_secret(token), timeout_seconds, [limited], emulated)
        self._reader = self._client(
            as_secret(token),
            timeout_seconds,
            [
                limited,
                ServerErrorRetryHandler(2, waits),
                ConnectionErrorRetryHandler(2, waits),
            ],
            emulated,
        )
        self._recorder = CallRecorder(audit, "slack", actor)
        self._pacer = Pacer(_POSTS_PER_SECOND, burst=_BURST)
        self._stop = threading.Event()
        self._channel_ids: dict[str, str] = {}

    def _client(self, token: SecretStr, timeout: int, handlers: Sequence[Any], emulated: bool) -> WebClient:
        client = WebClient(
            token.get_secret_value(), base_url=self._api, timeout=timeout, retry_handlers=list(handlers)
        )
        if emulated:
            client.proxy = None
        return client

    def close(self) -> None:
        self._stop.set()

    def post(
        self,
        channel: str,
        text: str,
        blocks: Sequence[Mapping[str, Any]] = (),
        *,
        key: str,
        about: Sequence[str] = (),
        thread_ts: str = "",
        broadcast: bool = False,
    ) -> str:
        """Post a message and return its `ts`. `text` is what notifications show; escape what people typed.

        `about`: further keys that it is found by. `thread_ts`: of the message that it answers; `broadcast`: the
        channel sees the answer, too. Where Slack's answer is lost the message is looked for by `key` and posted again
        only when it is not there. Raises Refused (its remedy names channel, token or scope), RateLimited,
        OutcomeUnknown.
        """
        payload = {"key": key, **({"about": list(about)} if about else {})}
        message = {
            "channel": channel,
            "text": text,
            "blocks": [dict(block) for block in blocks],
            "metadata": {"event_type": EVENT_TYPE, "event_payload": payload},
            "unfurl_links": False,
            "unfurl_media": False,
            **({"thread_ts": thread_ts, "reply_broadcast": broadcast} if thread_ts else {}),
        }
        for _ in range(2):
            try:
                answer = self._call(self._poster, "chat.postMessage", message, paced=True)
            except _Lost:
                found = self._look_for(channel, key, thread_ts)
                if found:
                    return found
            else:
                self._channel_ids[f"#{channel.removeprefix('#')}"] = str(answer.get("channel") or channel)
                return str(answer["ts"])
        raise OutcomeUnknown("Slack did not answer a post, and the message is not in the channel yet.")

    def find(self, channel: str, key: str, since: datetime | None = None) -> str | None:
        """The `ts` of the message posted with `key`, or None; looks 2,000 messages back, or to `since`."""
        return self.posted(channel, [key], since).get(key)

    def posted(
        self, channel: str, keys: Collection[str], since: datetime | None = None, *, thread_ts: str = ""
    ) -> dict[str, str]:
        """Which of `keys` a message carries → its `ts`. In the channel, or among the answers in one thread.

        Looks 2,000 messages back, or to `since`. Raises Refused and Unavailable.
        """
        found: dict[str, str] = {}
        for message in self._messages(channel, since, thread_ts):
            found |= {key: str(message["ts"]) for key in _keys_of(message) if key in keys}
            if len(found) == len(keys):
                break
        return found

    def _messages(self, channel: str, since: datetime | None, thread_ts: str) -> Iterator[Mapping[str, Any]]:
        asked: dict[str, Any] = {
            "channel": self._channel_id(channel),
            "include_all_metadata": True,
            "limit": _PAGE,
        }
        if thread_ts:
            asked["ts"] = thread_ts
        if since is not None:
            asked["oldest"] = f"{since.timestamp():.6f}"
        method = "conversations.replies" if thread_ts else "conversations.history"
        for _ in range(_PAGES):
            page = self._call(self._reader, method, asked)
            yield from page.get("messages") or []
            cursor = _cursor(page)
            if not cursor:
                return
            asked["cursor"] = cursor

    def _look_for(self, channel: str, key: str, thread_ts: str) -> str | None:
        try:
            return self.posted(channel, [key], thread_ts=thread_ts).get(key)
        except O2CError as error:
            code = error.code
        raise OutcomeUnknown(
            f"Slack did not answer a post, and the channel's history cannot be read ({code})."
        )

    def _channel_id(self, channel: str) -> str:
        """The history is asked by id; only posting takes a name."""
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        name = f"#{channel.removeprefix('#')}"
        if name not in self._channel_ids:
            asked: dict[str, Any] = {"limit": _PAGE, "exclude_archived": True}
            cursor = "first"
            while cursor and name not in self._channel_ids:
                page = self._call(self._reader, "conversations.list", asked)
                for each in page.get("channels") or []:
                    self._channel_ids[f"#{each.get('name')}"] = str(each["id"])
                cursor = asked["cursor"] = _cursor(page)
        found = self._channel_ids.get(name)
        if found is None:
            raise Refused("Slack does not know the channel.", code="channel_not_found", remedy=_INVITE)
        return found

    def _call(
        self, client: WebClient, method: str, body: Mapping[str, Any], *, paced: bool = False
    ) -> dict[str, Any]:
        if paced and not self._pacer.acquire_blocking(self._stop):
            raise Unavailable("The Slack gateway was closed while a post waited.", code="gateway_closed")
        call = self._recorder.begin("POST", self._api + method, json.dumps(body).encode())
        problem: Exception
        try:
            answer = client.api_call(method, json=dict(body))
        except SlackApiError as refusal:
            response = refusal.response
            status = response.status_code if isinstance(response, SlackResponse) else None
            data = response.data if isinstance(response, SlackResponse) else None
            problem = _translate(method, status, data if isinstance(data, dict) else {}, lost=paced)
            self._recorder.finish(call, status=status, error=getattr(problem, "code", "lost"))
        except (SlackClientError, URLError, OSError, ValueError) as broken:
            cause = type(broken).__name__
            problem = _Lost() if paced else Unavailable(f"Slack did not answer {method} ({cause}).")
            self._recorder.finish(call, status=None, error=cause)
        else:
            data = answer.data if isinstance(answer.data, dict) else {}
            self._recorder.finish(call, status=answer.status_code, body=json.dumps(data).encode())
            return data
        raise problem


def _translate(method: str, status: int | None, data: Mapping[str, Any], *, lost: bool) -> Exception:
    code = str(data.get("error") or "")
    if status == 429:
        code = "ratelimited"
    if not code or code in {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}:
        return _Lost() if lost else Unavailable(f"Slack answered {status} to {method}.")
    kind, remedy = _ERRORS.get(code, (Refused, f"See the error {code} in Slack's reference of {method}."))
    return kind(f"Slack refused {method}.", code=code, remedy=remedy)


def _keys_of(message: Mapping[str, Any]) -> set[str]:
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != EVENT_TYPE:
        return set()
    payload = metadata.get("event_payload") or {}
    return {str(key) for key in (payload.get("key"), *(payload.get("about") or ())) if key}


def _cursor(page: Mapping[str, Any]) -> str:
    return str((page.get("response_metadata") or {}).get("next_cursor") or "")
