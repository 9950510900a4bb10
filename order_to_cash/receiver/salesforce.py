"""POST /salesforce/changed: a callout says that records changed. They are read again; nothing in it is believed.

The body is ``{"org_id": "00D…", "sobject": "Opportunity", "record_ids": ["006…", …]}``, up to 200 ids: what one
Apex trigger is handed at a time.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from order_to_cash.domain.errors import RecordRejected, Retryable
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.receiver.answers import COMMON, NOT_STORED, Answer, Refusal
from order_to_cash.receiver.limits import BodyReader, header
from order_to_cash.receiver.metrics import Metrics
from order_to_cash.receiver.writer import Writer

MOST_RECORDS = 200
_ROW_BYTES = 256  # roughly what a nudge holds in memory
# API names: a letter, then letters, digits and single underscores; custom ones may carry a namespace.
_SOBJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}", re.ASCII)

TAKEN = Answer(202, "taken")
DISABLED = Answer(404, "disabled", "Not enabled here (O2C_SALESFORCE_NUDGE_SECRET).", close=True)
UNKNOWN_CALLER = Answer(401, "unknown_caller", "The bearer secret is missing or wrong.", close=True)
UNREADABLE = Answer(400, "unreadable", 'Send {"org_id": …, "sobject": …, "record_ids": [up to 200]}.')
OTHER_ORG = Answer(403, "other_org", "This org is not one of this environment.")
ANSWERS = (TAKEN, DISABLED, UNKNOWN_CALLER, UNREADABLE, OTHER_ORG, *COMMON)


@dataclass(frozen=True, slots=True)
class Nudge:
    """A record that is said to have changed; ids have 18 characters."""

    org_id: str
    sobject: str
    record_id: str


def parse(body: bytes) -> list[Nudge]:
    """The records that a callout names. Raises ValueError for any other shape."""
    try:
        document = json.loads(body)
        org_id, sobject, given = document["org_id"], document["sobject"], document["record_ids"]
        if not isinstance(given, list) or not 0 < len(given) <= MOST_RECORDS:
            raise ValueError("record_ids")
        if not isinstance(sobject, str) or not _SOBJECT.fullmatch(sobject):
            raise ValueError("sobject")
        org = _id(org_id)
        return [Nudge(org, sobject, one) for one in dict.fromkeys(_id(each) for each in given)]
    except (KeyError, TypeError, RecordRejected, RecursionError) as error:
        raise ValueError(type(error).__name__) from None


def _id(value: object) -> str:
    if not isinstance(value, str) or len(value) > 18:
        raise ValueError("an id")
    return salesforce_id(value)


class SalesforceChanged:
    """The ASGI application behind the address that Salesforce is given.

    `secret` empty: disabled. `org_ids` answers the orgs that may call, 18 characters each.
    """

    def __init__(
        self,
        secret: bytes,
        org_ids: Callable[[], Awaitable[Sequence[str]]],
        writer: Writer[Sequence[Nudge]],
        bodies: BodyReader,
        metrics: Metrics,
    ) -> None:
        self._expected = b"Bearer " + secret if secret else b""
        self._org_ids = org_ids
        self._writer = writer
        self._bodies = bodies
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._store(scope, receive)
            answer = TAKEN
        except Refusal as refusal:
            answer = refusal.answer
        except Retryable:  # the ledger does not answer
            answer = NOT_STORED
        self._metrics.nudge(answer.result)
        await answer.send(send)

    async def _store(self, scope: Scope, receive: Receive) -> None:
        """Returns when the nudges are committed. Raises Refusal, Retryable."""
        if not self._expected:
            raise Refusal(DISABLED)
        if not hmac.compare_digest(self._expected, header(scope, b"authorization")):
            raise Refusal(UNKNOWN_CALLER)
        body = await self._bodies.read(scope, receive)
        try:
            nudges = parse(body)
        except ValueError:
            raise Refusal(UNREADABLE) from None
        if nudges[0].org_id not in await self._org_ids():
            raise Refusal(OTHER_ORG)
        if not await self._writer.write(nudges, len(nudges) * _ROW_BYTES):
            raise Refusal(NOT_STORED)
