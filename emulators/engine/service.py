"""The path every request takes through an emulated service."""

from __future__ import annotations

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from emulators.engine.clock import Clock
from emulators.engine.control import control_routes
from emulators.engine.faults import Fault, Faults
from emulators.engine.journal import Journal, JournalEntry
from emulators.engine.settings import Settings
from emulators.engine.wire import Answer, Call

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]


class _App(Starlette):
    """Routes only the control API: going through the router would cost a vendor's call a tenth more."""

    def __init__(self, vendor: ASGI, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes=routes)
        self._vendor = vendor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_emulator/"):
            await self._vendor(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Service(ABC):
    """Subclass it and implement `handle`; the other hooks are optional.

    A request goes: journal opened → fault (delay, drop before, status without effect) → `admit` → half the
    latency → `handle` → the other half → fault (delay, drop, status after the effect) → answer → `depart`.
    `admit`, `handle` and `depart` are not coroutines, so that each is atomic on the service's event loop.
    The effect happens even when the client has gone away meanwhile.
    """

    name: ClassVar[str] = "service"
    doors: ClassVar[
        Mapping[str, str]
    ] = {}  # ports besides the one for HTTP: name → scheme of their addresses
    settings: Settings

    def __init__(self, clock: Clock | None = None, settings: Settings | None = None) -> None:
        self.clock = clock or Clock()
        self.settings = settings or Settings()
        self.journal = Journal()
        self.faults = Faults()
        self.listeners: dict[str, socket.socket] = {}  # of the doors, bound before `start`

    @abstractmethod
    def handle(self, call: Call) -> Answer:
        """Do what the request asks, record `call.effect(…)`, answer. Runs once, without interruption."""

    def admit(self, call: Call) -> Answer | None:
        """At arrival: refuse (401, 429, 409 while in flight), or let pass, taking locks."""
        del call
        return None

    def depart(self, call: Call) -> None:  # noqa: B027 - a hook: most services hold no locks
        """At the end of an admitted call, whatever became of it: give locks back."""

    def latency(self, call: Call) -> float:
        """Seconds this answer takes."""
        del call
        return self.settings.latency_seconds

    def fault_answer(self, fault: Fault, call: Call) -> Answer:
        """The answer of a fault with a status or a code; override it to give the vendor's error shape."""
        del call
        status = fault.status or 500
        body = {"error": fault.code or f"fault {status}"} if fault.response is None else fault.response
        return Answer(status, body, dict(fault.headers or {}))

    def finish(self, call: Call, answer: Answer) -> None:  # noqa: B027 - a hook
        """Last touch on every answer: common headers."""

    def reset_data(self) -> None:  # noqa: B027 - a hook: a service may hold no data
        """Forget the vendor's data (not the settings)."""

    async def start(self) -> None:  # noqa: B027 - a hook: a service may speak HTTP alone
        """Serve the doors, on the running loop, before the first request."""

    async def aclose(self) -> None:  # noqa: B027 - a hook: a service may have no background work
        """End background work (deliveries) when the server stops."""

    def reset(self) -> None:
        """Empty data, journal and faults."""
        self.reset_data()
        self.journal.clear()
        self.faults.clear()

    def extra_routes(self) -> list[BaseRoute]:
        """More of the control API: routes under /_emulator/ that only this service has."""
        return []

    def app(self) -> Starlette:
        """The ASGI application: `/_emulator/…` is the control API, everything else the vendor's."""
        return _App(self._asgi, [*self.extra_routes(), *control_routes(self)])

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI for the vendor's paths."""
        started = time.perf_counter()
        call = await self._read(scope, receive)
        if call is None:
            return
        entry = self.journal.open(call)
        answer: Answer | None = None
        try:
            answer = await self._serve(call, entry)
        except asyncio.CancelledError:
            return  # the server is stopping and has cut the connection
        except Exception:
            entry.status = 500  # the server answers so, and logs the traceback
            raise
        finally:
            entry.effects, entry.replayed = call.effects, call.replayed
            entry.duration_ms = round((time.perf_counter() - started) * 1000, 3)
            entry.in_flight = False
        if answer is None:
            await _abort(scope)
        else:
            self.finish(call, answer)
            answer.headers.setdefault("date", format_datetime(self.clock.now(), usegmt=True))
            await _respond(answer, entry, send)

    async def _read(self, scope: Scope, receive: Receive) -> Call | None:
        """The whole request; None when the client went away within its body: such a request never arrived."""
        chunks = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        return Call(
            method=scope["method"],
            path=unquote(scope["path"]) if "%" in scope["path"] else scope["path"],
            query_string=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=b"".join(chunks),
            at=self.clock.now(),
        )

    async def _serve(self, call: Call, entry: JournalEntry) -> Answer | None:
        """The answer, or None when the connection is to be dropped."""
        fault = self.faults.strike(call)
        if fault is None:
            return await self._perform(call)
        entry.fault = fault.id
        if fault.delay_seconds and not fault.after_effect:
            await asyncio.sleep(fault.delay_seconds)
        if fault.drop == "before":
            entry.dropped = "before"
            return None
        if fault.answers and not fault.after_effect and fault.drop is None:
            return self.fault_answer(fault, call)
        answer: Answer = await self._perform(call)
        if fault.delay_seconds and fault.after_effect:
            await asyncio.sleep(fault.delay_seconds)
        if fault.drop == "after":
            entry.dropped = "after"
            return None
        return self.fault_answer(fault, call) if fault.answers else answer

    async def _perform(self, call: Call) -> Answer:
        refusal = self.admit(call)
        wait = self.latency(call) / 2
        if refusal is not None:
            await asyncio.sleep(wait)
            return refusal
        try:
            if wait > 0:
                await asyncio.sleep(wait)
            answer = self.handle(call)
            if wait > 0:
                await asyncio.sleep(wait)
            return answer
        finally:
            self.depart(call)


async def _respond(answer: Answer, entry: JournalEntry, send: Send) -> None:
    body, content_type = answer.encoded()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if content_type:
        headers.setdefault("content-type", content_type)
    headers["content-length"] = str(len(body))
    entry.status, entry.raw_response, entry.content_type = (
        answer.status,
        body,
        headers.get("content-type", ""),
    )
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _abort(scope: Scope) -> None:
    """Close the connection without a word; the server put its transport into the scope."""
    transport = scope.get("state", {}).get("transport")
    if transport is None:
        raise RuntimeError("this server cannot drop connections: start the service with emulators.run")
    transport.abort()
    await asyncio.sleep(0)  # abort() reports the loss on the loop's next turn
    await asyncio.sleep(0)
