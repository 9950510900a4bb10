"""The Salesforce emulator: one org over HTTP, in the wire format of the REST API.

Any host is accepted, so that a client's adapter may route `https://….my.salesforce.com` here. Bulk API, SOAP,
Apex, triggers, flows, sharing rules, duplicate rules and formulas beyond sums are not emulated.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.routing import Mount

from emulators.engine import Answer, Call, Clock, Fault, Service
from emulators.engine.control import control_routes
from emulators.engine.journal import Effect
from emulators.salesforce.api import Api, Ask, split_version, versions
from emulators.salesforce.control import org_routes
from emulators.salesforce.errors import OrgError, not_found
from emulators.salesforce.oauth import Sessions, token_answer, userinfo
from emulators.salesforce.org import Org
from emulators.salesforce.record_page import asked_for, record_page
from emulators.salesforce.routes import ROUTES
from emulators.salesforce.settings import SalesforceSettings

_DATA = "/services/data"
_LONGEST_URI = 16_384  # characters; the org answers 414 beyond
_DAY = timedelta(hours=24)
# Codes that a fault may name, with the status the org gives them and its wording.
_FAULTS = {
    "UNABLE_TO_LOCK_ROW": (400, "unable to obtain exclusive access to this record"),
    "REQUEST_LIMIT_EXCEEDED": (403, "TotalRequests Limit exceeded."),
    "INVALID_SESSION_ID": (401, "Session expired or invalid"),
    "SERVER_UNAVAILABLE": (503, "The server is temporarily unavailable"),
    "UNKNOWN_EXCEPTION": (
        500,
        "An unexpected error occurred. Please include this ErrorId if you contact support",
    ),
}
_STATUS_CODES = {401: "INVALID_SESSION_ID", 403: "REQUEST_LIMIT_EXCEEDED", 503: "SERVER_UNAVAILABLE"}


@dataclass(frozen=True)
class RecordEffect(Effect):
    """An effect on a record, with the fields that the request wrote or changed."""

    fields: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "fields": list(self.fields)}


class SalesforceService(Service):
    """One org. `service.org` holds its data; `service.settings` is a SalesforceSettings."""

    name: ClassVar[str] = "salesforce"
    settings: SalesforceSettings

    def __init__(self, clock: Clock | None = None, settings: SalesforceSettings | None = None) -> None:
        settings = settings or SalesforceSettings()
        super().__init__(clock, settings)
        self.settings = settings
        self.sessions = Sessions(self.clock, settings)
        self._requests: deque[datetime] = deque()
        self._in_flight: dict[int, float] = {}  # call → when it came, by a clock that nobody moves
        settings.when_recast(self.reset_data)
        self.org = Org(self.clock, settings)
        self.api = Api(self.org, ROUTES, self)

    def reset_data(self) -> None:
        """A new org without records, package or API use; sessions stay valid."""
        self.org = Org(self.clock, self.settings)
        self.api = Api(self.org, ROUTES, self)
        self._requests.clear()

    def app(self) -> Starlette:
        routes = [*org_routes(self), *control_routes(self), Mount("/", app=self._asgi)]
        return Starlette(routes=routes)

    def api_usage(self) -> tuple[int, int]:
        """Calls of the last 24 hours, and how many are allowed."""
        horizon = self.clock.now() - _DAY
        while self._requests and self._requests[0] <= horizon:
            self._requests.popleft()
        return len(self._requests) + self.settings.api_used, self.settings.daily_api_limit

    # -- the path of a request ----------------------------------------------------------------------------

    def admit(self, call: Call) -> Answer | None:
        if not _needs_session(call.path):
            return None
        user_id = self.sessions.user(call)
        if user_id is None:
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        call.context["user"] = user_id
        if len(call.path) + len(call.query_string) > _LONGEST_URI:
            return Answer(414, "URI Too Long")
        used, allowed = self.api_usage()
        if used >= allowed:
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        if self._too_many_long_ones():
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
        self._requests.append(self.clock.now())
        self._in_flight[id(call)] = time.monotonic()
        return None

    def depart(self, call: Call) -> None:
        self._in_flight.pop(id(call), None)
        self.org.locks.release(id(call))

    def _too_many_long_ones(self) -> bool:
        most = self.settings.concurrent_long_requests
        if most is None or len(self._in_flight) < most:
            return False
        horizon = time.monotonic() - self.settings.long_request_seconds
        return sum(began <= horizon for began in self._in_flight.values()) >= most

    def handle(self, call: Call) -> Answer:
        if call.path.startswith("/services/oauth2/"):
            return self._oauth(call)
        if call.path.rstrip("/") == _DATA:
            return Answer(200, versions())
        if not call.path.startswith(_DATA):
            return self._page(call) or Answer(404, not_found().as_request_error())
        try:
            ask = self._ask(call)
        except OrgError as error:
            return Answer(error.status, error.as_request_error())
        self.org.locks.writing = id(call) if self.settings.refuse_locked_rows else None
        answer = self.api.answer(ask)
        self.org.locks.writing = None
        call.effects.extend(RecordEffect(*effect) for effect in self.org.store.take_effects())
        return answer

    def latency(self, call: Call) -> float:
        return self.settings.latency_seconds + self.settings.per_record_latency_seconds * _rows(call)

    def finish(self, call: Call, answer: Answer) -> None:
        if call.path.startswith(_DATA) and "user" in call.context:
            used, allowed = self.api_usage()
            answer.headers.setdefault("Sforce-Limit-Info", f"api-usage={used}/{allowed}")
        if isinstance(answer.body, dict | list):
            answer.headers.setdefault("Content-Type", "application/json;charset=UTF-8")

    def fault_answer(self, fault: Fault, call: Call) -> Answer:
        """A code gives its status and wording, a status alone the code that goes with it."""
        del call
        code = fault.code or _STATUS_CODES.get(fault.status or 500, "UNKNOWN_EXCEPTION")
        status, message = _FAULTS.get(code, (400, f"{code.replace('_', ' ').lower()}"))
        answer = _error(fault.status or status, code, message)
        if fault.response is not None:
            answer.body = fault.response
        answer.headers |= fault.headers or {}
        return answer

    def _page(self, call: Call) -> Answer | None:
        """A record's page for a browser; None for what is no address of one."""
        record_id = asked_for(call.path) if call.method == "GET" else None
        if record_id is None:
            return None
        shown = record_page(self.org, record_id)
        missing = "There is no such record, or it was deleted. The emulator forgets everything when it stops."
        return Answer(
            404 if shown is None else 200, shown or missing, {"content-type": "text/html; charset=utf-8"}
        )

    def _oauth(self, call: Call) -> Answer:
        resource = call.path.removeprefix("/services/oauth2/").strip("/")
        if resource == "token" and call.method == "POST":
            return token_answer(self.org, self.sessions, call)
        if resource == "userinfo":
            return userinfo(self.org, call.context["user"])
        if resource == "revoke":
            self.sessions.end(dict(call.form_pairs).get("token", ""))
            return Answer(200)
        return Answer(404, not_found().as_request_error())

    def _ask(self, call: Call) -> Ask:
        version, path = split_version(call.path)
        body = call.parsed_body if "json" in call.headers.get("content-type", "") else None
        if isinstance(body, str):
            raise OrgError("JSON_PARSER_ERROR", "The body is not JSON at [line:1, column:1]")
        return Ask(
            call.method, path, version, call.context["user"], call.query, body, call.headers, call.body
        )


def _needs_session(path: str) -> bool:
    below_version = path.startswith(f"{_DATA}/") and path.rstrip("/") != _DATA
    return below_version or path.rstrip("/") == "/services/oauth2/userinfo"


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, OrgError(code, message).as_request_error())


def _sub_rows(sub: Any) -> int:
    if not isinstance(sub, dict) or sub.get("method") == "GET":
        return 0
    body = sub.get("body")
    records = body.get("records") if isinstance(body, dict) else None
    return len(records) if isinstance(records, list) else 1


def _rows(call: Call) -> int:
    """How many records a call writes; 0 for one that reads."""
    if call.method not in {"POST", "PATCH", "DELETE"} or not call.path.startswith(_DATA):
        return 0
    body = call.parsed_body
    if isinstance(body, dict) and isinstance(body.get("records"), list):
        return len(body["records"])
    if isinstance(body, dict) and isinstance(body.get("compositeRequest"), list):
        return sum(map(_sub_rows, body["compositeRequest"]))
    return len(call.query["ids"].split(",")) if "ids" in call.query else 1
