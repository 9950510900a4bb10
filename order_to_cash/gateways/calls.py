"""The audit record of every outside call: begun before it leaves, finished when it is over (R82)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from order_to_cash.domain.audit import AuditSink, CallIntent, CallOutcome
from order_to_cash.domain.redaction import redact

# Larger bodies (lists, deployments) are recorded by size and digest: the source still has what was read.
_LARGEST_BODY = 20_000
# Characters: what a query asks stands at its front; hundreds of ids after it took 4 ms to be searched for names.
_LONGEST_SOQL = 2_000
# Of a token exchange only these are recorded.
_TOKEN_FIELDS = frozenset({"grant_type", "instance_url", "token_type", "scope", "error", "error_description"})
# A literal, or what a cut left of one.
_SOQL_LITERAL = re.compile(r"'((?:[^'\\]|\\.)*)(?:'|\\?\Z)")
_SALESFORCE_ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?")

_actor: ContextVar[str] = ContextVar("o2c_actor", default="")


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Name the flow run or command on whose behalf the calls inside are made; `to_thread` keeps it."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


@dataclass(frozen=True)
class OpenCall:
    """A call that has been begun in the audit log."""

    audit_id: str
    started: float
    token_exchange: bool = False

    def leaving(self) -> OpenCall:
        """The same call, its duration counted from now: what it waited for before is not the far side's."""
        return replace(self, started=time.monotonic())


class CallRecorder:
    """Hands redacted intents and outcomes to the audit sink; `actor` stands in for `acting_as`."""

    def __init__(self, sink: AuditSink, system: str, actor: str = "") -> None:
        self._sink = sink
        self._system = system
        self._default_actor = actor

    def begin(self, method: str, url: str, body: bytes, *, idempotency_key: str = "") -> OpenCall:
        """Commit the intent. Whatever the sink raises stops the call: nothing leaves unrecorded."""
        parts = urlsplit(url)
        token_exchange = parts.path.endswith("/oauth2/token")
        request = {**_form(parts.query), **_parsed(body)}
        intent = CallIntent(
            system=self._system,
            method=method.upper(),
            path=parts.path,
            request=_token_view(request) if token_exchange else shown(request),
            request_digest=digest(parts.query.encode() + b"\n" + body),
            idempotency_key=idempotency_key,
            actor=_actor.get() or self._default_actor,
        )
        return OpenCall(self._sink.begin(intent), time.monotonic(), token_exchange)

    def finish(
        self, call: OpenCall, *, status: int | None, body: bytes = b"", request_id: str = "", error: str = ""
    ) -> None:
        """Commit the outcome; `status` is None when no answer arrived."""
        answer = _parsed(body)
        outcome = CallOutcome(
            status=status,
            response=_token_view(answer) if call.token_exchange else shown(answer, len(body)),
            response_digest="" if call.token_exchange else digest(body),
            request_id=request_id,
            error=str(redact(error)),
            duration_ms=int((time.monotonic() - call.started) * 1000),
        )
        self._sink.finish(call.audit_id, outcome)


def digest(body: bytes) -> str:
    """SHA-256 in hex; empty for nothing."""
    return hashlib.sha256(body).hexdigest() if body.strip() else ""


def shown(body: Mapping[str, Any], size: int = 0) -> Mapping[str, Any]:
    """`body` as it may be kept: redacted, or its size alone when it is large."""
    if size > _LARGEST_BODY:
        return {"bytes": size}
    soql = body.get("q")
    if isinstance(soql, str):
        body = {**body, "q": _soql_shown(soql)}
    together = body.get("compositeRequest")
    if isinstance(together, list):
        asked = [_subrequest(one) for one in together]
        body = {**body, "compositeRequest": asked}
    return dict(redact(body))


def _subrequest(one: Mapping[str, Any]) -> Any:
    url = _soql_shown(unquote_plus(str(one.get("url"))))
    return {"url": url, "body": one["body"]} if "body" in one else url


def _soql_shown(soql: str) -> str:
    return _without_literals(soql[:_LONGEST_SOQL]) + ("…" if len(soql) > _LONGEST_SOQL else "")


def _without_literals(soql: str) -> str:
    """SOQL whose string literals are blanked, but for record ids: they hold names and addresses."""
    return _SOQL_LITERAL.sub(lambda found: found[0] if _SALESFORCE_ID.fullmatch(found[1]) else "'…'", soql)


def _token_view(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(value) for name, value in body.items() if name in _TOKEN_FIELDS}


def _parsed(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    if len(body) > _LARGEST_BODY or body.startswith(b"--"):  # large, or multipart: a deployment
        return {"bytes": len(body)}
    text = body.decode("utf-8", "replace")
    if text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text)
        except ValueError:
            return {"text": text}
        return value if isinstance(value, dict) else {"items": value}
    return _form(text) if "=" in text else {"text": text}


def _form(text: str) -> dict[str, Any]:
    """Form fields as a flat mapping; a repeated name becomes a list."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in fields:
            before = fields[name]
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    return fields
