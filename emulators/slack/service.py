"""The Slack emulator: the Web API methods that a bot which posts and looks up messages needs.

It answers as Slack does: HTTP 200 with `"ok": false` and an `error`, HTTP 429 with `Retry-After` for too many
requests. Text is stored as it was sent. Private channels, files and users are not emulated.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from typing import Any, ClassVar

from emulators.engine import Answer, Call, Clock, Fault, Service
from emulators.slack.arguments import Arguments, SlackError
from emulators.slack.methods import METHODS, Method
from emulators.slack.world import Message, SlackSettings, World


class SlackService(Service):
    """One workspace. Any bot token (`xoxb-…`) is valid; `/api/auth.test` and `/auth.test` are one method."""

    name: ClassVar[str] = "slack"
    settings: SlackSettings

    def __init__(self, clock: Clock | None = None, settings: SlackSettings | None = None) -> None:
        settings = settings or SlackSettings()
        super().__init__(clock, settings)
        self.settings = settings
        self.world = World(self.clock, settings)
        self._requests = itertools.count(1)
        self._recent: dict[str, deque[float]] = defaultdict(deque)

    def messages(self, channel: str) -> list[Message]:
        """The messages of a channel (id or name), in the order they were posted."""
        return list(self.world.messages(self.world.channel(channel, by_name=True)))

    def reset_data(self) -> None:
        self.world.clear()
        self._recent.clear()

    def admit(self, call: Call) -> Answer | None:
        method = METHODS.get(_method_name(call))
        wait = self._overall_wait() or (self._wait(call, method) if method else 0)
        return _too_many(wait) if wait else None

    def handle(self, call: Call) -> Answer:
        try:
            name = _method_name(call)
            method = METHODS.get(name)
            if method is None:
                raise SlackError("unknown_method", req_method=name)
            self._authorize(call, method)
            body = {"ok": True, **method.handler(self.world, Arguments.of(call), call)}
        except SlackError as error:
            body = {"ok": False, "error": error.code, **error.details}
        return Answer(200, _with_warning(call, body))

    def fault_answer(self, fault: Fault, call: Call) -> Answer:
        """429 comes with `Retry-After`, a code alone with HTTP 200, another status with Slack's own body."""
        del call
        if fault.status == 429:
            answer = _too_many(1)
        elif fault.status is None:
            answer = Answer(200, {"ok": False, "error": fault.code})
        else:
            answer = Answer(fault.status, {"ok": False, "error": fault.code or "internal_error"})
        answer.headers |= fault.headers or {}
        if fault.response is not None:
            answer.body = fault.response
        return answer

    def finish(self, call: Call, answer: Answer) -> None:
        del call
        answer.headers.setdefault("content-type", "application/json; charset=utf-8")
        answer.headers.setdefault("x-oauth-scopes", self.settings.scopes)
        answer.headers.setdefault("x-slack-req-id", f"emulated-{next(self._requests)}")

    def _authorize(self, call: Call, method: Method) -> None:
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise SlackError("not_authed")
        if not token.startswith("xoxb-") or token == "xoxb-":
            raise SlackError("invalid_auth")
        provided = [scope.strip() for scope in self.settings.scopes.split(",")]
        if method.scope and method.scope not in provided:
            raise SlackError("missing_scope", needed=method.scope, provided=self.settings.scopes)

    def _overall_wait(self) -> int:
        limit = self.settings.rate_limit_per_second
        return self._take("*", max(1, round(limit)), max(1.0, 1 / limit)) if limit else 0

    def _wait(self, call: Call, method: Method) -> int:
        """Seconds until this call may come again; 0: now."""
        if not self.settings.rate_limits:
            return 0
        if method.per_minute is not None:
            return self._take(_method_name(call), method.per_minute, 60)
        try:
            channel = self.world.channel(Arguments.of(call).text("channel"), by_name=True)
        except SlackError:
            return 0  # refused for what it is, not for how often it came
        return self._take(f"#{channel.name}", 1, 1)

    def _take(self, key: str, count: int, seconds: float) -> int:
        """Take one of `count` calls in `seconds`, or say how many whole seconds to wait."""
        now, recent = self.clock.now().timestamp(), self._recent[key]
        while recent and not 0 <= now - recent[0] < seconds:
            recent.popleft()
        if len(recent) < count:
            recent.append(now)
            return 0
        return max(1, math.ceil(recent[0] + seconds - now))


def _method_name(call: Call) -> str:
    return call.path.strip("/").removeprefix("api/")


def _too_many(seconds: int) -> Answer:
    return Answer(429, {"ok": False, "error": "ratelimited"}, {"retry-after": str(seconds)})


def _with_warning(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Slack warns of JSON that does not name its character set."""
    kind = call.headers.get("content-type", "").lower()
    if not kind.startswith("application/json") or "charset" in kind:
        return body
    metadata = {**body.get("response_metadata", {}), "warnings": ["missing_charset"]}
    return {**body, "warning": "missing_charset", "response_metadata": metadata}
