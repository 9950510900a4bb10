"""REST requests below /services/data/vNN.0: who asks, which handler answers, how a refusal looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.errors import OrgError, not_found
from emulators.salesforce.org import Org
from emulators.salesforce.schema import Access
from emulators.salesforce.writes import Writer

OLDEST, NEWEST = 31, 68  # API versions answered: Summer '14 to Winter '27
_RELEASES = ("Winter", "Spring", "Summer")


@dataclass(frozen=True)
class Ask:
    """One request. `path` is what follows the version, in segments; `body` is parsed JSON or None."""

    method: str
    path: tuple[str, ...]
    version: str
    user_id: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""


Handler = Callable[["Api", Ask], Answer]


@dataclass(frozen=True)
class Route:
    """`pattern` is segments with `*` for any one and `**` for the rest."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler

    def fits(self, path: tuple[str, ...]) -> bool:
        for position, wanted in enumerate(self.pattern):
            if wanted == "**":
                return len(path) > position
            if position >= len(path) or wanted not in {"*", path[position].lower()}:
                return False
        return len(path) == len(self.pattern)


class Api:
    """The handlers' common ground: the org and what lives between requests (query cursors, deployments)."""

    def __init__(self, org: Org, routes: list[Route], service: Any = None) -> None:
        self.org = org
        self.routes = routes
        self.service = service
        self.cursors: dict[str, Any] = {}
        self.deployments: dict[str, Any] = {}

    def access(self, ask: Ask) -> Access:
        return self.org.access(ask.user_id)

    def writer(self, ask: Ask) -> Writer:
        return Writer(self.org, self.access(ask), ask.user_id)

    def answer(self, ask: Ask) -> Answer:
        """Find the handler and run it; a refusal becomes the org's error answer and leaves nothing behind."""
        mark = self.org.store.mark()
        try:
            return self._handler(ask)(self, ask)
        except OrgError as error:
            self.org.store.undo_to(*mark)
            return Answer(error.status, error.as_request_error())

    def _handler(self, ask: Ask) -> Handler:
        fitting = [route for route in self.routes if route.fits(ask.path)]
        method = "GET" if ask.method == "HEAD" else ask.method
        for route in fitting:
            if route.method == method:
                return route.handler
        if fitting:
            allowed = ", ".join(sorted({route.method for route in fitting}))
            message = f"HTTP Method '{ask.method}' not allowed. Allowed are {allowed}"
            raise OrgError("METHOD_NOT_ALLOWED", message, status=405)
        raise not_found()


def split_version(path: str) -> tuple[str, tuple[str, ...]]:
    """`/services/data/v66.0/query/` → ("v66.0", ("query",)); raises NOT_FOUND for an unknown version."""
    match = re.fullmatch(r"/services/data/(v(\d\d)\.0)(/.*)?", path)
    if match is None or not OLDEST <= int(match[2]) <= NEWEST:
        raise not_found()
    return match[1], tuple(part for part in (match[3] or "").split("/") if part)


def versions() -> list[dict[str, str]]:
    """The body of /services/data: every version with its release name."""
    listed = []
    for number in range(OLDEST, NEWEST + 1):
        # Three releases a year: 32 was Winter '15.
        year, season = divmod(number - 32, 3)
        label = f"{_RELEASES[season]} '{15 + year}"
        listed.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return listed


def body_object(ask: Ask) -> dict[str, Any]:
    """The request's JSON object; raises JSON_PARSER_ERROR when there is none."""
    if not isinstance(ask.body, dict):
        raise OrgError(
            "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."
        )
    return ask.body


def body_list(ask: Ask, key: str, kind: type = dict) -> list[Any]:
    """A list of objects (or of strings) in the request's JSON; raises JSON_PARSER_ERROR for anything else."""
    found = body_object(ask).get(key)
    if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
        raise OrgError("JSON_PARSER_ERROR", f"Cannot deserialize {key} at [line:1, column:1]")
    return found
