"""The one door to Salesforce: every request of simple_salesforce passes `SalesforceWire.send`.

The library retries nothing, has no timeout, follows a persistent 401 without end and reads the usage header
only sometimes. Here are the session, the daily budget, the limits, the retries and the audit record.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from order_to_cash.domain.errors import ConfigurationError, O2CError, Unavailable
from order_to_cash.domain.linger import Lane
from order_to_cash.gateways.calls import CallRecorder, OpenCall
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.retry import Attempts, RetryPolicy, parse_retry_after
from order_to_cash.gateways.salesforce_budget import DailyBudget, parse_usage
from order_to_cash.gateways.salesforce_errors import (
    daily_limit_reached,
    error_code,
    first_error,
    translate_answer,
    unknown_outcome,
)
from order_to_cash.gateways.salesforce_login import Session, TokenSource

# Salesforce allows 25 calls of more than 20 s at once for the whole org; ours of 200 rows end within two.
CONCURRENCY = 25
CONNECT_SECONDS = 5.0
_TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path
_COMPOSITE = "/composite"
# What a subrequest does. A value cannot pass for it: there each quotation mark has a backslash before it.
_UPSERTS, _INSERTS = b'"method":"PATCH"', b'"method":"POST"'
_REPEATABLE = frozenset({"GET", "HEAD", "PATCH", "PUT", "DELETE"})

current_lane: ContextVar[Lane] = ContextVar("o2c_salesforce_lane", default=Lane.LIVE)
_unmetered: ContextVar[bool] = ContextVar("o2c_salesforce_unmetered", default=False)


@contextmanager
def unmetered() -> Iterator[None]:
    """Calls inside pass the daily budget: for asking how much of it is left."""
    token = _unmetered.set(True)
    try:
        yield
    finally:
        _unmetered.reset(token)


class SalesforceWire(HTTPAdapter):
    """Mounted for https:// on the session that simple_salesforce uses; safe to share between threads.

    `emulator_url`: where everything goes instead of to Salesforce; empty outside the emulator environment.
    """

    def __init__(
        self,
        *,
        emulator_url: str,
        recorder: CallRecorder,
        pacer: Pacer,
        budget: DailyBudget,
        retry: RetryPolicy,
        timeout_seconds: float,
        rng: random.Random,
    ) -> None:
        super().__init__(pool_connections=4, pool_maxsize=CONCURRENCY, max_retries=0, pool_block=True)
        self.tokens: TokenSource | None = None
        self._emulator_url = emulator_url
        self._recorder = recorder
        self._pacer = pacer
        self._budget = budget
        self._retry = retry
        self._timeout = (CONNECT_SECONDS, timeout_seconds)
        self._rng = rng
        self._slots = threading.BoundedSemaphore(CONCURRENCY)
        self._stop = threading.Event()
        self._wall_clock = SystemClock()

    def wait(self, seconds: float) -> None:
        """Wait in this thread. Raises Unavailable when the gateway is closed meanwhile."""
        if self._stop.wait(seconds):
            raise _closed()

    def stop(self) -> None:
        """Wake whoever waits; they fail with Unavailable."""
        self._stop.set()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send until answered for good. Refusals come back as answers; raises errors of ours otherwise."""
        del stream, timeout
        session = None if _is_login(request) else self._authorize(request, None)
        attempts = Attempts(self._retry, self._rng)
        renewed = False
        while True:
            answer, cause, sent = self._attempt(
                request, verify=verify, cert=cert, proxies=None if self._emulator_url else proxies
            )
            attempts.made += 1
            if answer is not None and answer.status_code == 401 and session is not None and not renewed:
                session, renewed = self._authorize(request, session), True
                continue
            attempts.effect_possible |= sent and _may_have_worked(request, answer)
            stuck = attempts.effect_possible and not _repeatable(request)
            delay = None if stuck else self._delay(request, answer, attempts)
            if delay is not None:
                self.wait(delay)
            elif answer is None or answer.status_code == 429 or answer.status_code >= 500:
                raise self._given_up(request, answer, cause, attempts.effect_possible)
            else:
                return answer

    def _authorize(self, request: requests.PreparedRequest, stale: Session | None) -> Session:
        """Put a token on, and only ever for the org that issued it."""
        if self.tokens is None:
            raise RuntimeError("the wire has no token source")
        session = self.tokens.current() if stale is None else self.tokens.renew(stale)
        if urlsplit(str(request.url)).netloc != urlsplit(session.instance_url).netloc:
            raise ConfigurationError(
                "A request was about to leave for another host than the org's.", code="wrong_environment"
            )
        request.headers["Authorization"] = f"Bearer {session.token.get_secret_value()}"
        return session

    def _attempt(
        self, request: requests.PreparedRequest, **options: Any
    ) -> tuple[requests.Response | None, str, bool]:
        """One try: the answer, what came instead or with it, and whether the request may have arrived."""
        if not (_is_login(request) or _unmetered.get()):
            self._budget.admit(current_lane.get())
        if not self._pacer.acquire_blocking(self._stop):
            raise _closed()
        with self._slots:
            call = self._recorder.begin(str(request.method), str(request.url), _body(request))
            return self._transmit(request, call, options)

    def _transmit(
        self, request: requests.PreparedRequest, call: OpenCall, options: Mapping[str, Any]
    ) -> tuple[requests.Response | None, str, bool]:
        try:
            answer = super().send(self._routed(request), timeout=self._timeout, **options)
            body = answer.content  # read here, so that a connection lost meanwhile counts as this try's
        except (requests.RequestException, OSError) as problem:
            cause = type(problem).__name__
            sent = not _never_sent(problem)
        except BaseException as stopped:
            self._recorder.finish(call, status=None, error=type(stopped).__name__)
            raise
        else:
            self._budget.note(parse_usage(answer.headers.get("Sforce-Limit-Info")))
            self._recorder.finish(
                call,
                status=answer.status_code,
                body=body,
                request_id=answer.headers.get("Sforce-Request-Id", ""),
            )
            if answer.ok and body and body.strip()[:1] not in {b"{", b"["}:
                return None, "unreadable answer", True  # a proxy's page or a login form
            return answer, f"status {answer.status_code}", True
        self._recorder.finish(call, status=None, error=cause)
        return None, cause, sent

    def _routed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """With an emulator every host is the emulator, whatever the library writes behind https://."""
        if not self._emulator_url:
            return request
        there, asked = urlsplit(self._emulator_url), urlsplit(str(request.url))
        routed = request.copy()
        routed.url = urlunsplit((there.scheme, there.netloc, *asked[2:]))
        return routed

    def _delay(
        self, request: requests.PreparedRequest, answer: requests.Response | None, attempts: Attempts
    ) -> float | None:
        """Seconds until the next try, or None: it is over."""
        if answer is None:
            return attempts.next_delay()
        status, retry_after = answer.status_code, self._retry_after(answer)
        if status == 429:
            self._pacer.slow_down(retry_after)
        rejected = status in {429, 503} or _crowded(answer)
        if rejected or (status >= 500 and _repeatable(request)):
            return attempts.next_delay(retry_after)
        return None

    def _retry_after(self, answer: requests.Response) -> float | None:
        return parse_retry_after(answer.headers.get("Retry-After"), now=self._wall_clock.now)

    def _given_up(
        self, request: requests.PreparedRequest, answer: requests.Response | None, cause: str, effect: bool
    ) -> O2CError:
        """The error for a call that was not served, with the advice of its headers."""
        if effect:
            return unknown_outcome(_where(request), cause)
        if answer is None:
            return Unavailable(f"Salesforce did not answer {_where(request)} ({cause}).")
        advice = self._retry_after(answer)
        return translate_answer(answer.status_code, parsed(answer), _where(request), retry_after=advice)


def parsed(answer: requests.Response) -> Any:
    """The body of an answer, or None when it is not JSON."""
    try:
        return json.loads(answer.content)
    except ValueError:
        return None


def _is_login(request: requests.PreparedRequest) -> bool:
    return urlsplit(str(request.url)).path == _TOKEN_PATH


def _repeatable(request: requests.PreparedRequest) -> bool:
    """Updates by Id and upserts by External ID end the same when done twice; an insert does not."""
    if urlsplit(str(request.url)).path.endswith(_COMPOSITE):
        return _INSERTS not in _body(request)
    return request.method in _REPEATABLE or _is_login(request)


def _only_asks(request: requests.PreparedRequest) -> bool:
    """Whether it reads: a GET, or a Composite of nothing but queries."""
    if urlsplit(str(request.url)).path.endswith(_COMPOSITE):
        body = _body(request)
        return _UPSERTS not in body and _INSERTS not in body
    return request.method in {"GET", "HEAD"}


def _may_have_worked(request: requests.PreparedRequest, answer: requests.Response | None) -> bool:
    """Whether a request that arrived may have changed something although its answer is an error or missing."""
    if _only_asks(request) or _is_login(request):
        return False
    return answer is None or (answer.status_code >= 500 and answer.status_code != 503)


def _crowded(answer: requests.Response) -> bool:
    """Refused before any effect because too many calls run at this moment."""
    if answer.status_code != 403:
        return False
    error = first_error(parsed(answer))
    return error_code(error) == "REQUEST_LIMIT_EXCEEDED" and not daily_limit_reached(error)


def _never_sent(problem: Exception) -> bool:
    """Whether the connection was never made: then nothing can have happened."""
    if isinstance(problem, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    refused = problem.args[0] if problem.args else None
    return isinstance(getattr(refused, "reason", None), NewConnectionError)


def _body(request: requests.PreparedRequest) -> bytes:
    body = request.body
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b""


def _where(request: requests.PreparedRequest) -> str:
    return f"{request.method} {urlsplit(str(request.url)).path}"


def _closed() -> Unavailable:
    return Unavailable("The Salesforce gateway was closed while this call waited.", code="gateway_closed")
