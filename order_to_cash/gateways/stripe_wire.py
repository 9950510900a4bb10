"""The one door to Stripe: every request of the SDK passes `StripeWire.request_async`.

Here are the limit, the timeouts, the retries, the audit record and the check that test and live stay apart.
The SDK's own retries are off: it would not retry 429 and ignores Retry-After.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import stripe
from pydantic import SecretStr

from order_to_cash.domain.errors import ConfigurationError, O2CError, Unavailable
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.calls import CallRecorder
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.retry import Attempts, RetryPolicy, parse_retry_after
from order_to_cash.gateways.stripe_errors import Failure, translate

T = TypeVar("T")

CONNECT_SECONDS = 5.0
# A header of ours on answers: how long this one took, in seconds, from leaving to having been read.
TOOK = "o2c-took-seconds"
# 50 in flight work; a caller beyond the pool waits its turn, it does not fail.
_CONNECTIONS = 64
_POOL_WAIT_SECONDS = 60.0
# The SDK invents a random key of this shape when none is given (stripe._api_requestor).
_INVENTED_KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# These are raised before a byte of the request has left.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class _Answer:
    """One try. `status` is None when no answer arrived; `sent`: the request may have reached Stripe."""

    status: int | None
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=httpx.Headers)
    cause: str = ""
    sent: bool = True
    took_seconds: float = 0.0

    @cached_property
    def document(self) -> dict[str, Any]:
        try:
            value = json.loads(self.content)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def error(self) -> dict[str, Any]:
        value = self.document.get("error")
        return value if isinstance(value, dict) else {}


class StripeWire(stripe.HTTPXClient):
    """The SDK's HTTP client. Belongs to the event loop it is first used on; its limiter to all of them."""

    def __init__(
        self,
        *,
        key: SecretStr,
        environment: Environment,
        recorder: CallRecorder,
        pacer: Pacer,
        retry: RetryPolicy,
        timeout_seconds: float,
        rng: random.Random,
    ) -> None:
        remote = environment is not Environment.EMULATOR
        timeout = httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS, pool=_POOL_WAIT_SECONDS)
        super().__init__(timeout=timeout, verify_ssl_certs=remote)
        # The SDK's own client has httpx's default pool and takes proxies even for this machine.
        self._client_async = httpx.AsyncClient(
            timeout=timeout,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            verify=ssl.create_default_context(cafile=stripe.ca_bundle_path) if remote else False,
            trust_env=remote,
        )
        self._key = key
        self._live = environment is Environment.LIVE
        self._recorder = recorder
        self._pacer = pacer
        self._retry = retry
        self._whole_seconds = timeout_seconds * 2 + _POOL_WAIT_SECONDS
        self._rng = rng
        self._wall_clock = SystemClock()
        self._scribe = ThreadPoolExecutor(max_workers=2, thread_name_prefix="o2c-stripe-audit")

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send until answered well, refused for good, or out of tries. Raises errors of ours only."""
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        self._require_own_key(method, url, headers)
        attempts = Attempts(self._retry, self._rng)
        while True:
            answer = await self._attempt(method, url, headers, body)
            attempts.made += 1
            if answer.status is not None and answer.status < 300:
                self._check_mode(answer.document)
                return (
                    answer.content,
                    answer.status,
                    httpx.Headers({**answer.headers, TOOK: str(answer.took_seconds)}),
                )
            attempts.effect_possible |= _may_have_worked(method, answer)
            retry_after = parse_retry_after(answer.headers.get("retry-after"), now=self._wall_clock.now)
            if answer.status == 429 and answer.error.get("code") != "lock_timeout":
                self._pacer.slow_down(retry_after)
            delay = attempts.next_delay(retry_after) if _worth_repeating(answer) else None
            if delay is None:
                raise translate(_failure(method, url, answer, attempts.effect_possible, retry_after))
            await asyncio.sleep(delay)

    async def _attempt(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        call = await self._write_down(
            self._recorder.begin, method, url, body, idempotency_key=headers.get("Idempotency-Key", "")
        )
        finish = partial(self._recorder.finish, call)
        try:
            # After the commit: its length would otherwise bring calls closer together than they were paced.
            await self._pacer.acquire()
            finish = partial(self._recorder.finish, call.leaving())
            answer = await self._send(method, url, headers, body)
        except BaseException as stopped:
            # Cancelled: the event loop may be closing, so nothing is awaited here.
            self._scribe.submit(finish, status=None, error=type(stopped).__name__)
            raise
        await self._write_down(
            finish,
            status=answer.status,
            body=answer.content,
            request_id=answer.headers.get("request-id", ""),
            error=answer.cause,
        )
        return answer

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        sent_headers = {**headers, "Authorization": f"Bearer {self._key.get_secret_value()}"}
        left_at = time.monotonic()
        try:
            # httpx's read timeout starts anew with every byte; this one does not.
            async with asyncio.timeout(self._whole_seconds):
                response = await self._client_async.request(method, url, headers=sent_headers, content=body)
        except TimeoutError:
            return _Answer(None, cause="TimeoutError")
        except httpx.HTTPError as problem:
            return _Answer(None, cause=type(problem).__name__, sent=not isinstance(problem, _NOT_SENT))
        took = time.monotonic() - left_at
        answer = _Answer(response.status_code, response.content, response.headers, took_seconds=took)
        if response.is_success and not answer.document:  # a proxy's page, or half an answer
            return _Answer(None, response.content, response.headers, cause="unreadable answer")
        return answer

    async def _write_down(self, record: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run an audit commit beside the event loop. In threads of its own: the default ones may all be
        waiting for Salesforce."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()  # who the call is made for
        return await loop.run_in_executor(self._scribe, partial(context.run, record, *args, **kwargs))

    def _check_mode(self, document: Mapping[str, Any]) -> None:
        """An answer of the other mode means that key, account or address are mixed up (R87)."""
        listed = document.get("data")
        objects = [document, *(listed if isinstance(listed, list) else [])]
        for item in objects:
            livemode = item.get("livemode") if isinstance(item, dict) else None
            if isinstance(livemode, bool) and livemode != self._live:
                raise ConfigurationError(
                    f"Stripe answered with a {'live' if livemode else 'test'}-mode object.",
                    code="wrong_environment",
                    remedy="Check that the Stripe key belongs to this environment.",
                    ids={"stripe_id": str(item.get("id", ""))},
                )

    @staticmethod
    def _require_own_key(method: str, url: str, headers: Mapping[str, str]) -> None:
        if method.lower() != "post":
            return
        key = headers.get("Idempotency-Key", "")
        if not key or _INVENTED_KEY.fullmatch(key):
            raise ValueError(f"POST {urlsplit(url).path} without a deterministic idempotency key")

    async def close_async(self) -> None:
        await self._client_async.aclose()
        self._scribe.shutdown(wait=True)


async def shielded(method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
    """Call the SDK. Errors leave without the SDK's frames: their locals hold headers and bodies."""
    try:
        return await method(*args, **kwargs)
    except O2CError as error:
        problem: Exception = error
    except stripe.StripeError as error:
        problem = Unavailable(f"Stripe's answer could not be read ({type(error).__name__}).")
    raise problem.with_traceback(None)


def _may_have_worked(method: str, answer: _Answer) -> bool:
    """Whether the request may have had an effect although its answer is an error or missing."""
    if method.lower() == "get":
        return False
    if answer.status is None:
        return answer.sent
    # Stripe calls the result of a 5xx indeterminate: https://docs.stripe.com/error-low-level#server-errors
    if answer.status >= 500:
        return True
    # Another request with this key is still being worked on.
    return answer.error.get("code") == "idempotency_key_in_use"


def _worth_repeating(answer: _Answer) -> bool:
    if answer.status is None:
        return True
    advice = answer.headers.get("stripe-should-retry", "")
    if answer.status == 429:
        return True
    # A key replays even its 500: asking again brings the same answer.
    if advice == "false" or answer.headers.get("idempotent-replayed") == "true":
        return False
    return advice == "true" or answer.status == 409 or answer.status >= 500


def _failure(
    method: str, url: str, answer: _Answer, effect_possible: bool, retry_after: float | None
) -> Failure:
    return Failure(
        method=method.upper(),
        path=urlsplit(url).path,
        status=answer.status,
        error=answer.error,
        request_id=answer.headers.get("request-id", ""),
        retry_after_seconds=retry_after,
        effect_possible=effect_possible,
        replayed=answer.headers.get("idempotent-replayed") == "true",
        cause=answer.cause,
    )
