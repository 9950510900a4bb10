"""The Stripe emulator: auth, limits, idempotency and dispatch around the declared resources."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, ClassVar

from starlette.routing import BaseRoute

from emulators.engine import Answer, Call, Clock, Fault, Service
from emulators.stripe.access import RateLimiter, authenticate, authorize
from emulators.stripe.api import Api
from emulators.stripe.control import stripe_routes
from emulators.stripe.couriers import Couriers
from emulators.stripe.errors import (
    NAMED,
    StripeError,
    lock_timeout,
    rate_limited,
    server_error,
    unrecognized_url,
)
from emulators.stripe.events import API_VERSION
from emulators.stripe.expand import check_expand, expand_all
from emulators.stripe.hosted_page import invoice_at, page
from emulators.stripe.idempotency import Keys
from emulators.stripe.model import Obj, Operation
from emulators.stripe.params import as_form, form_tree, read_form
from emulators.stripe.portal import page as portal_page
from emulators.stripe.portal import session_at
from emulators.stripe.registry import OPERATIONS, RESOURCES
from emulators.stripe.settings import StripeSettings
from emulators.stripe.world import World, token

KINDS = {resource.path: resource.name for resource in RESOURCES.values()}
PLACEHOLDER = re.compile(r"\{\w+\}")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(("/" if path.startswith("v2/") else "/v1/") + PLACEHOLDER.sub("([^/]+)", path))


ROUTES: dict[str, list[tuple[re.Pattern[str], Operation]]] = defaultdict(list)
for _operation in sorted(OPERATIONS, key=lambda each: "{" in each.path):  # fixed paths win: customers/search
    ROUTES[_operation.method].append((_pattern(_operation.path), _operation))


class StripeService(Service):
    """Stripe at API version 2026-10-28.endive. Test and live keys see two separate worlds."""

    name: ClassVar[str] = "stripe"
    settings: StripeSettings

    def __init__(self, clock: Clock | None = None, settings: StripeSettings | None = None) -> None:
        super().__init__(clock, settings or StripeSettings())
        self.couriers = Couriers(lambda: self.settings.delivery_connections)
        self.delivery_log: list[dict[str, Any]] = []
        self.held: list[tuple[World, Obj, Obj]] = []  # deliveries: world, endpoint, event
        self.base_url = "https://invoice.stripe.com"  # until a request says where this emulator is
        self.reset_data()

    def reset_data(self) -> None:
        self.worlds = {mode: World(RESOURCES, livemode=mode == "live") for mode in ("test", "live")}
        self.keys = {mode: Keys() for mode in ("test", "live")}
        self.locked: set[str] = set()
        self.limiter, self.search_limiter = RateLimiter(), RateLimiter()
        self.delivery_log.clear()
        self.held.clear()

    @property
    def world(self) -> World:
        """The test world, which most tests look into."""
        return self.worlds["test"]

    def holds(self, world: World) -> bool:
        """Whether the world is still this account's (a reset makes new ones)."""
        return any(world is each for each in self.worlds.values())

    def other_world(self, world: World) -> World:
        return self.worlds["test" if world.livemode else "live"]

    async def aclose(self) -> None:
        await self.couriers.aclose()

    def extra_routes(self) -> list[BaseRoute]:
        return list(stripe_routes(self))

    def admit(self, call: Call) -> Answer | None:
        call.context["request_id"] = "req_" + token(14)
        if call.method == "GET" and call.path.startswith(("/i/", "/p/session/")):
            return self._hosted_page(call)
        if "host" in call.headers:
            self.base_url = f"http://{call.headers['host']}"
        try:
            return self._admit(call)
        except StripeError as error:
            return self._refusal(call, error)

    def _hosted_page(self, call: Call) -> Answer:
        for world in self.worlds.values():
            invoice = invoice_at(world, call.path)
            if invoice is not None:
                return Answer(200, page(world, invoice), {"content-type": "text/html; charset=utf-8"})
            session = session_at(world, call.path)
            if session is not None:
                shown = portal_page(world, session, self.clock.epoch())
                return Answer(200, shown, {"content-type": "text/html; charset=utf-8"})
        return Answer(404, "No such page.")

    def _admit(self, call: Call) -> Answer | None:
        key = authenticate(call, self.settings)
        call.context["mode"] = mode = key[3:7]
        self.limiter.count(self.settings.rate_limit_per_second)
        operation, ids = route(call)
        if operation.search:
            self.search_limiter.count(self.settings.search_rate_limit_per_second)
        authorize(key, operation, self.settings)
        call.context["operation"], call.context["ids"] = operation, ids
        self._lock(call, ids)
        name = call.headers.get("idempotency-key")
        if call.method != "POST" or not name or not self.settings.idempotency:
            return None
        try:
            stored = self.keys[mode].claim(call, name, self.clock.now())
        except StripeError:
            self._unlock(call)
            raise
        if stored is not None:
            self._unlock(call)
        if stored is None:
            call.context["key"] = name
        return stored

    def handle(self, call: Call) -> Answer:
        try:
            answer = Answer(200, self._run(call))
        except StripeError as error:
            answer = self._refusal(call, error)
            if error.validation:
                return answer
        self._keep(call, answer)
        return answer

    def _run(self, call: Call) -> Obj:
        operation: Operation = call.context["operation"]
        params = read_form(_form(call), operation.accepts)
        paths = params.pop("expand", None) or []
        world = self.worlds[call.context["mode"]]
        kind = KINDS.get(operation.path.partition("/{")[0]) or KINDS.get(operation.path.partition("/")[0])
        if call.method != "GET" and kind is not None:
            check_expand(RESOURCES, kind, paths)
        result = operation.run(Api(self, world, call), call.context["ids"], params)
        out = result if result.get("object") in ("list", "search_result") else world.render(result)
        if result.get("_reveal"):
            out.update(result.pop("_reveal"))
        return expand_all(world, out, paths)

    def _lock(self, call: Call, ids: list[str]) -> None:
        """With `lock_objects`: a write to an object that another write in flight holds answers 429."""
        if not self.settings.lock_objects or call.method == "GET":
            return
        wanted = set(ids) | {value for name, value in call.form_pairs if name in ("customer", "invoice")}
        if wanted & self.locked:
            raise lock_timeout()
        self.locked |= wanted
        call.context["locks"] = wanted

    def _unlock(self, call: Call) -> None:
        self.locked -= call.context.pop("locks", set())

    def depart(self, call: Call) -> None:
        self._unlock(call)
        if "key" in call.context:
            self.keys[call.context["mode"]].release(call.context["key"])

    def finish(self, call: Call, answer: Answer) -> None:
        if "request_id" not in call.context:
            call.context["request_id"] = "req_" + token(14)
        answer.headers.setdefault("request-id", call.context["request_id"])
        answer.headers.setdefault("stripe-version", API_VERSION)
        if "idempotency-key" in call.headers:
            answer.headers.setdefault("idempotency-key", call.headers["idempotency-key"])

    def fault_answer(self, fault: Fault, call: Call) -> Answer:
        """`code` lock_timeout, rate_limit or card_declined, or a status, in Stripe's shape.

        A 500 is kept under the idempotency key and replayed, as Stripe does; other statuses come from the
        edge before the key is looked at.
        """
        call.context.setdefault("request_id", "req_" + token(14))
        status = fault.status or 500
        if fault.code in NAMED:
            error = NAMED[fault.code]()
            error.status = fault.status or error.status
        elif status == 429:
            error = rate_limited()
        elif status >= 500:
            error = server_error(status)
        else:
            error = StripeError(f"Injected fault ({status}).", code=fault.code, status=status)
        body = error.as_json(call.context["request_id"]) if fault.response is None else fault.response
        answer = Answer(error.status, body, dict(fault.headers or {}))
        if answer.status == 500:
            self._keep_fault(call, answer)
        return answer

    def _keep_fault(self, call: Call, answer: Answer) -> None:
        name = call.headers.get("idempotency-key")
        if call.method != "POST" or not name or not self.settings.idempotency or call.replayed:
            return
        try:
            keys = self.keys[authenticate(call, self.settings)[3:7]]
            if not fault_is_after(call) and keys.claim(call, name, self.clock.now()) is not None:
                call.replayed = False  # what the key first gave stands
                return
        except StripeError:
            return
        keys.keep(name, answer)

    def _keep(self, call: Call, answer: Answer) -> None:
        if "key" in call.context:
            self.keys[call.context["mode"]].keep(call.context["key"], answer)

    def _refusal(self, call: Call, error: StripeError) -> Answer:
        headers = {"stripe-rate-limited-reason": "global-rate"} if error.code == "rate_limit" else {}
        if error.code == "idempotency_key_in_use":
            headers["stripe-should-retry"] = "true"
        return Answer(error.status, error.as_json(call.context["request_id"]), headers)


def _form(call: Call) -> dict[str, Any]:
    """The parameters as a tree of texts: of a form, of the query, or of JSON (/v2)."""
    if call.method != "POST":
        return form_tree(call.query_pairs)
    if call.headers.get("content-type", "").startswith("application/json"):
        try:
            return {name: as_form(value) for name, value in (call.json() if call.body else {}).items()}
        except (ValueError, AttributeError):
            raise StripeError("Invalid JSON body.", validation=True) from None
    return form_tree(call.form_pairs)


def fault_is_after(call: Call) -> bool:
    """Whether the call already ran when the fault struck."""
    return "operation" in call.context


def route(call: Call) -> tuple[Operation, list[str]]:
    """The operation and the ids in the path; raises StripeError 404 for a URL that nothing serves."""
    for pattern, operation in ROUTES.get(call.method, ()):
        match = pattern.fullmatch(call.path)
        if match is not None:
            return operation, list(match.groups())
    raise unrecognized_url(call.method, call.path)
