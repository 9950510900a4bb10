"""What only the emulator can do: act as the bank, the card network and the customer, and mishandle deliveries."""

from __future__ import annotations

import fnmatch
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulators.stripe import checkout, disputes, refunds
from emulators.stripe.api import Api
from emulators.stripe.burst import DEFAULT_MIX, Burst, burst, new_customers
from emulators.stripe.deliveries import deliver, release, wanting
from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj
from emulators.stripe.payment_methods import renew_card
from emulators.stripe.payments import authenticate

if TYPE_CHECKING:
    from emulators.stripe.service import StripeService

Wish = Mapping[str, Any]
Act = Callable[[Api, str, Wish], Obj]


def _dispute(api: Api, object_id: str, wish: Wish) -> Obj:
    """A charge's id opens one (amount, reason); a dispute's takes the bank's word (status)."""
    if object_id.startswith("du_"):
        return disputes.decide(api, api.find("dispute", object_id), wish["status"])
    return disputes.open_dispute(api, api.find("charge", object_id), **wish)


def _card(api: Api, object_id: str, wish: Wish) -> Obj:
    """The card network tells of a new expiry (exp_month, exp_year) and perhaps number (last4)."""
    method = api.find("payment_method", object_id)
    return renew_card(api, method, wish["exp_month"], wish["exp_year"], wish.get("last4"))


def _refund(api: Api, object_id: str, wish: Wish) -> Obj:
    """The bank settles a refund: status succeeded or failed, with a reason."""
    return refunds.decide(api, api.find("refund", object_id), **wish)


def _checkout(api: Api, object_id: str, wish: Wish) -> Obj:
    """The customer pays on Stripe's page (card: a test token; address: an e-mail address)."""
    return checkout.complete(api, api.find("checkout.session", object_id), **wish)


def _authenticate(api: Api, object_id: str, wish: Wish) -> Obj:
    """The customer answers a bank's question about a payment intent: ok true pays, false fails."""
    return authenticate(api, api.find("payment_intent", object_id), ok=wish.get("ok", True))


def _emit(api: Api, object_id: str, wish: Wish) -> Obj:
    """An event of any `type` about an object, after setting fields (`set`): for what has no rules here."""
    tables = api.world.tables.values()
    obj = next((table[object_id] for table in tables if object_id in table), None)
    if obj is None:
        raise ValueError(f"there is no {object_id}")
    return api.change(obj, wish["type"], "updated", **wish.get("set", {}))


ACTS: Mapping[str, Act] = {
    "authenticate": _authenticate,
    "emit": _emit,
    "disputes": _dispute,
    "cards": _card,
    "refunds": _refund,
    "checkout": _checkout,
}


def stripe_routes(service: StripeService) -> list[Route]:
    """`POST /_emulator/{authenticate,cards,checkout,disputes,emit,refunds}/{id}`, deliveries and bursts."""

    def act(name: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def run(request: Request) -> JSONResponse:
            api = Api(service, service.world)
            made = ACTS[name](api, request.path_params["id"], await _wish(request))
            return JSONResponse(service.world.render(made))

        return _guarded(run)

    async def deliveries(request: Request) -> JSONResponse:
        del request
        waiting = service.couriers.waiting
        return JSONResponse(
            {"deliveries": service.delivery_log, "waiting": waiting, "held": len(service.held)}
        )

    async def released(request: Request) -> JSONResponse:
        wish = await _wish(request)
        count = release(service, wish.get("order", "given"), wish.get("seed", 1))
        return JSONResponse({"released": count})

    async def resent(request: Request) -> JSONResponse:
        return JSONResponse({"resent": _resend(service, await _wish(request))})

    async def bursts(request: Request) -> JSONResponse:
        return JSONResponse(await _burst(service, await _wish(request)))

    return [
        *(Route(f"/_emulator/{name}/{{id}}", act(name), methods=["POST"]) for name in ACTS),
        Route("/_emulator/deliveries", deliveries),
        Route("/_emulator/deliveries/release", _guarded(released), methods=["POST"]),
        Route("/_emulator/deliveries/resend", _guarded(resent), methods=["POST"]),
        Route("/_emulator/burst", _guarded(bursts), methods=["POST"]),
    ]


def _resend(service: StripeService, wish: Wish) -> int:
    """Deliver events again, `times` over: those of `ids`, or of a `type` (or pattern) from `since` (epoch) on."""
    world = service.world
    ids, pattern, since = wish.get("ids"), wish.get("type", "*"), wish.get("since", 0)
    count = 0
    for event in reversed(list(world.all("event"))):
        chosen = event["id"] in ids if ids is not None else fnmatch.fnmatchcase(event["type"], pattern)
        if not chosen or event["created"] < since:
            continue
        for endpoint in wanting(world, event["type"]):
            for _ in range(wish.get("times", 1)):
                deliver(service, world, endpoint, event)
                count += 1
    return count


async def _burst(service: StripeService, wish: Wish) -> dict[str, Any]:
    """`count` events over `customers` (ids, or how many new ones); `delivered` false: only listed."""
    kept = service.settings.lose_deliveries
    if not wish.get("delivered", True):
        service.settings.lose_deliveries = ["*"]
    events = service.world.tables["event"]
    before = len(events)
    try:
        given = wish.get("customers", 10)
        customers = new_customers(Api(service, service.world), given) if isinstance(given, int) else given
        mix = wish.get("mix", DEFAULT_MIX)
        wanted = Burst(wish["count"], customers, mix, wish.get("seed", 1), wish.get("rate", 0.0))
        await burst(service, wanted)
        return {"events": len(events) - before, "customers": customers}
    finally:
        service.settings.lose_deliveries = kept


async def _wish(request: Request) -> dict[str, Any]:
    parsed = await request.json() if await request.body() else {}
    if not isinstance(parsed, dict):
        raise TypeError("send a JSON object")
    return parsed


def _guarded(
    handler: Callable[[Request], Awaitable[JSONResponse]],
) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def guarded(request: Request) -> JSONResponse:
        try:
            return await handler(request)
        except StripeError as error:
            return JSONResponse({"error": error.message}, status_code=400)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": repr(error)}, status_code=400)

    return guarded
