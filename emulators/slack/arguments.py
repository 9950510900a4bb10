"""What a Web API method was called with, whichever of Slack's three ways it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emulators.engine import Call


class SlackError(Exception):
    """An answer with `"ok": false`; `details` are further keys of the answer."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def invalid_arguments(*messages: str) -> SlackError:
    lines = [f"[ERROR] {message}" for message in messages]
    return SlackError("invalid_arguments", response_metadata={"messages": lines})


class Arguments:
    """Arguments by name. In a form or a query everything is text, and structures are JSON in text."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def of(cls, call: Call) -> Arguments:
        """Query and body together; the body wins. Raises SlackError where Slack cannot read it."""
        values: dict[str, Any] = dict(call.query)
        kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not call.body:
            return cls(values)
        if kind == "application/json":
            try:
                body = call.json()
            except ValueError:
                raise SlackError("invalid_json") from None
            if not isinstance(body, dict):
                raise SlackError("json_not_object")
            return cls(values | body)
        if kind == "application/x-www-form-urlencoded":
            return cls(values | dict(call.form_pairs))
        raise SlackError("invalid_post_type")

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """Text, empty when it was not given."""
        value = self._values.get(name)
        if value is None:
            return ""
        if isinstance(value, bool | int | float):
            return str(value)
        if not isinstance(value, str):
            raise invalid_arguments(f"must be a string [json-pointer:/{name}]")
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise invalid_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("1", "true")

    def structure(self, name: str, error: str) -> Any:
        """A list or an object, as such or as JSON in text; None when absent. Raises SlackError(`error`)."""
        value = self._values.get(name)
        if value in (None, ""):
            return None
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise SlackError(error) from None
        return value

    def limit(self, default: int, most: int) -> int:
        given = self.text("limit")
        if not given:
            return default
        if not given.isdigit() or not 1 <= int(given) <= most:
            raise SlackError("invalid_limit")
        return int(given)
