"""POST /stripe/webhook: believed only when Stripe signed it for this environment, answered only when it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from starlette.types import Receive, Scope, Send

from order_to_cash.domain.errors import RecordRejected, Retryable
from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.records import Environment
from order_to_cash.receiver import signature
from order_to_cash.receiver.answers import COMMON, NOT_STORED, Answer, Refusal
from order_to_cash.receiver.limits import BodyReader, header
from order_to_cash.receiver.metrics import Metrics
from order_to_cash.receiver.signature import SignatureProblem
from order_to_cash.receiver.writer import Writer

STORED = Answer(200, "stored")
# 503 and not 404: Stripe tries again for three days, so an endpoint whose secret is set late has lost nothing.
DISABLED = Answer(
    503, "disabled", "No signing secret is set (O2C_STRIPE_WEBHOOK_SECRETS).", retry_seconds=60, close=True
)
UNSIGNED = Answer(400, "signature_missing", "There is no valid Stripe-Signature header.", close=True)
UNREADABLE = Answer(400, "unreadable", "This is not a Stripe event.")
OTHER_MODE = Answer(400, "other_mode", "This event's livemode is not that of this environment.")
OTHER_ACCOUNT = Answer(400, "other_account", "This event belongs to another Stripe account.")
UNBELIEVED = {
    SignatureProblem.WRONG: Answer(
        400, "signature_wrong", "It is not signed with a secret of this endpoint."
    ),
    SignatureProblem.STALE: Answer(400, "stale", "The signature is too old; compare the clocks."),
    SignatureProblem.FUTURE: Answer(400, "future", "The signature is of the future; compare the clocks."),
}
ANSWERS = (
    *(STORED, DISABLED, UNSIGNED, UNREADABLE, OTHER_MODE, OTHER_ACCOUNT),
    *UNBELIEVED.values(),
    *COMMON,
)


@dataclass(frozen=True)
class Trust:
    """Whom the endpoint believes. `secrets`: none, and it is disabled. Seconds are Unix time."""

    secrets: Sequence[bytes]
    environment: Environment
    now: Callable[[], Awaitable[float]]
    account_id: Callable[[], Awaitable[str]]
    """The own Stripe account, empty where it is not known."""
    doubt_seconds: float = 0.0
    """How long to wait before a wrong time is looked at again: the emulators' clock is known that much later."""


class StripeWebhook:
    """The ASGI application behind the address that Stripe is given."""

    def __init__(
        self, trust: Trust, writer: Writer[StripeEvent], bodies: BodyReader, metrics: Metrics
    ) -> None:
        self._trust = trust
        self._secrets = [secret for secret in trust.secrets if secret]
        self._writer = writer
        self._bodies = bodies
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        try:
            await self._store(scope, receive)
            answer = STORED
        except Refusal as refusal:
            answer = refusal.answer
        except Retryable:  # the ledger, or the emulators' clock, does not answer
            answer = NOT_STORED
        self._metrics.event(answer.result, perf_counter() - began)
        await answer.send(send)

    async def _store(self, scope: Scope, receive: Receive) -> None:
        """Returns when the event is committed. Raises Refusal, Retryable."""
        if not self._secrets:
            raise Refusal(DISABLED)
        parsed = signature.parse(header(scope, b"stripe-signature"))
        if parsed is None:
            raise Refusal(UNSIGNED)
        body = await self._bodies.read(scope, receive)
        problem = await self._problem(*parsed, body)
        if problem is not None:
            raise Refusal(UNBELIEVED[problem])
        event = await self._ours(body)
        if not await self._writer.write(event, len(body)):
            raise Refusal(NOT_STORED)

    async def _problem(
        self, stamp: bytes, signatures: Sequence[bytes], body: bytes
    ) -> SignatureProblem | None:
        trust = self._trust
        problem = signature.check(stamp, signatures, body, self._secrets, await trust.now())
        if trust.doubt_seconds and problem in {SignatureProblem.STALE, SignatureProblem.FUTURE}:
            await asyncio.sleep(trust.doubt_seconds)
            problem = signature.check(stamp, signatures, body, self._secrets, await trust.now())
        return problem

    async def _ours(self, body: bytes) -> StripeEvent:
        try:
            event = decode_event(body)
        except RecordRejected:
            raise Refusal(UNREADABLE) from None
        if event.livemode is not (self._trust.environment is Environment.LIVE):
            raise Refusal(OTHER_MODE)
        if not event.account_id:
            return event
        if event.account_id != await self._trust.account_id():
            raise Refusal(OTHER_ACCOUNT)
        return replace(event, account_id="")
