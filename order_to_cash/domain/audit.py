"""What a gateway records of every outside call. The ledger implements it; gateways know only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

READS = ("GET", "HEAD")
READ_BY_POST = (
    "/oauth2/token",
    "/create_preview",
    "/auth.test",
    "/conversations.history",
    "/conversations.list",
)
"""Ends of the paths at which a POST changes nothing for people: logins, and questions too long for an address."""


TOGETHER = "/composite"
QUERIES_TOGETHER = '"compositeRequest":["'
"""How the kept request of several queries in one call of Salesforce looks; parts that write are kept with bodies."""


def may_write(method: str, path: str, request: str | None) -> bool:
    """Whether the call may have changed something at the vendor. `request`: its body as it is kept, if it still is."""
    if method in READS or path.endswith(READ_BY_POST):
        return False
    return not (path.endswith(TOGETHER) and QUERIES_TOGETHER in (request or ""))


@dataclass(frozen=True)
class CallIntent:
    """One outside call about to be made. `request` is redacted; `request_digest` is over the body as sent."""

    system: str  # stripe | salesforce | slack
    method: str
    path: str  # without query values that identify a person
    request: Mapping[str, Any] = field(default_factory=dict)
    request_digest: str = ""
    idempotency_key: str = ""
    actor: str = ""  # the flow run or command on whose behalf


@dataclass(frozen=True)
class CallOutcome:
    """What came back. `status` is None when no answer arrived."""

    status: int | None
    response: Mapping[str, Any] = field(default_factory=dict)
    response_digest: str = ""
    request_id: str = ""
    error: str = ""
    duration_ms: int = 0


class AuditSink(Protocol):
    def begin(self, intent: CallIntent) -> str:
        """Commit the intent and return its audit id. Called before the request leaves."""
        ...

    def finish(self, audit_id: str, outcome: CallOutcome) -> None:
        """Commit the outcome of the call `audit_id`."""
        ...


class NoAudit:
    """Records nothing: for read-only diagnostics without a ledger, for tests that judge by the journal."""

    def begin(self, intent: CallIntent) -> str:
        del intent
        return ""

    def finish(self, audit_id: str, outcome: CallOutcome) -> None:
        del audit_id, outcome
