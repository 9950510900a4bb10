"""The receiver's ASGI application: verify, store, answer. What follows from an event is the drain's work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Environment
from order_to_cash.receiver import salesforce, webhook
from order_to_cash.receiver.health import Kept
from order_to_cash.receiver.limits import BodyReader, Limits
from order_to_cash.receiver.metrics import CONTENT_TYPE, Metrics
from order_to_cash.receiver.salesforce import Nudge, SalesforceChanged
from order_to_cash.receiver.store import Owner, Store
from order_to_cash.receiver.webhook import StripeWebhook, Trust
from order_to_cash.receiver.writer import Writer

STRIPE_PATH = "/stripe/webhook"
SALESFORCE_PATH = "/salesforce/changed"

_READY_FRESH_SECONDS = 2.0
_INBOX_FRESH_SECONDS = 10.0  # counting rows is not free
_EMULATOR_CLOCK_SECONDS = 1.05  # `EmulatorClock` reads it at most once a second


@dataclass(frozen=True)
class Endpoints:
    """What the settings say about who may send. Empty secrets: that endpoint is disabled.

    `salesforce_org_ids` (18 characters each) empty: the org to which the ledger belongs.
    """

    environment: Environment
    stripe_secrets: Sequence[bytes] = ()
    salesforce_secret: bytes = b""
    salesforce_org_ids: Sequence[str] = ()


class Receiver:
    """One receiver: its endpoints, its writers, its counters. `app` is what a server runs."""

    def __init__(
        self, endpoints: Endpoints, store: Store, clock: Clock, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self._endpoints = endpoints
        self._store = store
        self._clock = clock
        self._owner: Owner | None = None
        self._ready = Kept(store.is_current, _READY_FRESH_SECONDS, limits.patience_seconds)
        self._inbox = Kept(store.inbox_state, _INBOX_FRESH_SECONDS, limits.patience_seconds)
        self.metrics = Metrics(
            [answer.result for answer in webhook.ANSWERS], [answer.result for answer in salesforce.ANSWERS]
        )
        self._events: Writer[StripeEvent] = Writer(self._store_events, limits, "inbox")
        self._nudges: Writer[Sequence[Nudge]] = Writer(self._put_nudges, limits, "nudges")
        bodies = BodyReader(limits)
        self._stripe = self._stripe_endpoint(bodies)
        self._starlette = Starlette(routes=self._routes(bodies), lifespan=self._lifespan)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application. Deliveries of Stripe pass Starlette by: its layers were 15 of 105 µs an event."""
        if scope["type"] == "http" and scope["path"] == STRIPE_PATH and scope["method"] == "POST":
            await self._stripe(scope, receive, send)
        else:
            await self._starlette(scope, receive, send)

    def _stripe_endpoint(self, bodies: BodyReader) -> StripeWebhook:
        endpoints = self._endpoints
        emulated = endpoints.environment is Environment.EMULATOR
        trust = Trust(
            endpoints.stripe_secrets,
            endpoints.environment,
            self._now_asked if emulated else self._now,
            self._account_id,
            _EMULATOR_CLOCK_SECONDS if emulated else 0.0,
        )
        return StripeWebhook(trust, self._events, bodies, self.metrics)

    def _routes(self, bodies: BodyReader) -> list[Route]:
        changed = SalesforceChanged(
            self._endpoints.salesforce_secret, self._org_ids, self._nudges, bodies, self.metrics
        )
        return [
            Route(STRIPE_PATH, self._stripe, methods=["POST"]),
            Route(SALESFORCE_PATH, changed, methods=["POST"]),
            Route("/healthz", _alive),
            Route("/readyz", self._readiness),
            Route("/metrics", self._metrics_text),
        ]

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._events.start()
        self._nudges.start()
        yield
        await asyncio.to_thread(self._events.close)
        await asyncio.to_thread(self._nudges.close)

    def _store_events(self, events: Sequence[StripeEvent]) -> None:
        self._store.store_events(events)
        self.metrics.batch(len(events), self._clock.now())

    def _put_nudges(self, calls: Sequence[Sequence[Nudge]]) -> None:
        self._store.put_nudges(list(dict.fromkeys(nudge for call in calls for nudge in call)))

    async def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _now_asked(self) -> float:
        return (await asyncio.to_thread(self._clock.now)).timestamp()

    async def _account_id(self) -> str:
        return (await self._belongs_to()).stripe_account_id

    async def _org_ids(self) -> Sequence[str]:
        return self._endpoints.salesforce_org_ids or [(await self._belongs_to()).salesforce_org_id]

    async def _belongs_to(self) -> Owner:
        """Asked until it is known: `o2c init` or the first run may come after the receiver."""
        if self._owner is None or not (self._owner.stripe_account_id and self._owner.salesforce_org_id):
            self._owner = await asyncio.to_thread(self._store.owner)
        return self._owner

    async def _readiness(self, _: Request) -> Response:
        """Whether an event could be stored now; else what is missing, a line each."""
        problems = []
        if not self._endpoints.stripe_secrets:
            problems.append("no Stripe signing secret is set")
        current = await self._ready.get()
        if current is None:
            problems.append("the ledger database does not answer")
        elif not current:
            problems.append("the ledger's tables are not those of this version")
        if self._events.late:
            problems.append("the ledger database owes an answer")
        text = "\n".join(problems or ["ready"])
        return PlainTextResponse(f"{text}\n", 503 if problems else 200)

    async def _metrics_text(self, _: Request) -> Response:
        return Response(self.metrics.text(await self._inbox.get()), media_type=CONTENT_TYPE)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive\n")
