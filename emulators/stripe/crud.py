"""The operations that every resource has, made from its declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from emulators.stripe.api import Api, merged
from emulators.stripe.errors import StripeError, no_such
from emulators.stripe.model import Obj, Operation, Params
from emulators.stripe.params import EXPAND, Spec, created_range, integer, required, text
from emulators.stripe.search import parse_query

Maker = Callable[[Api, Params], Obj]
Changer = Callable[[Api, Obj, Params], Obj]
Filter = Callable[[Obj, Any], bool]
PAGING: Mapping[str, Spec] = {
    "limit": integer(1, 100),
    "starting_after": text(),
    "ending_before": text(),
    "expand": EXPAND,
}


def within(value: int | None, bounds: Any) -> bool:
    """A moment against a `created`-style filter: a number, or gt/gte/lt/lte."""
    if isinstance(bounds, int):
        return value == bounds
    if value is None:
        return False
    checks = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(checks[name](value, bound) for name, bound in bounds.items())


def create(path: str, permission: str, make: Maker, accepts: Mapping[str, Spec], sdk: str) -> Operation:
    def run(api: Api, ids: list[str], params: Params) -> Obj:
        del ids
        return make(api, params)

    return Operation("POST", path, run, {**accepts, "expand": EXPAND}, f"{permission}_write", sdk)


def retrieve(path: str, permission: str, kind: str, sdk: str) -> Operation:
    def run(api: Api, ids: list[str], params: Params) -> Obj:
        del params
        return api.find(kind, ids[0])

    return Operation("GET", f"{path}/{{id}}", run, {"expand": EXPAND}, f"{permission}_read", sdk)


def update(
    path: str,
    permission: str,
    kind: str,
    accepts: Mapping[str, Spec],
    sdk: str,
    change: Changer | None = None,
) -> Operation:
    """`change` defaults to setting the given fields and emitting `<kind>.updated`."""

    def run(api: Api, ids: list[str], params: Params) -> Obj:
        obj = api.find_alive(kind, ids[0])
        if change is not None:
            return change(api, obj, params)
        return api.change(obj, f"{kind}.updated", "updated", **merged(obj, params))

    return Operation("POST", f"{path}/{{id}}", run, {**accepts, "expand": EXPAND}, f"{permission}_write", sdk)


def action(
    path: str, verb: str, permission: str, kind: str, change: Changer, accepts: Mapping[str, Spec], sdk: str
) -> Operation:
    """`POST /v1/{path}/{id}/{verb}` on an object that exists."""

    def run(api: Api, ids: list[str], params: Params) -> Obj:
        return change(api, api.find_alive(kind, ids[0]), params)

    return raw_action(path, verb, permission, run, accepts, sdk)


def raw_action(
    path: str,
    verb: str,
    permission: str,
    run: Callable[[Api, list[str], Params], Obj],
    accepts: Mapping[str, Spec],
    sdk: str,
) -> Operation:
    """`action`, where the id may name something else than a stored object (a test token)."""
    return Operation(
        "POST", f"{path}/{{id}}/{verb}", run, {**accepts, "expand": EXPAND}, f"{permission}_write", sdk
    )


def delete(
    path: str,
    permission: str,
    kind: str,
    change: Changer,
    sdk: str,
    accepts: Mapping[str, Spec] | None = None,
) -> Operation:
    def run(api: Api, ids: list[str], params: Params) -> Obj:
        return change(api, api.find_alive(kind, ids[0]), params)

    return Operation("DELETE", f"{path}/{{id}}", run, accepts or {}, f"{permission}_write", sdk)


def listing(
    path: str,
    permission: str,
    kind: str,
    sdk: str,
    accepts: Mapping[str, Spec],
    filters: Mapping[str, Filter] | None = None,
) -> Operation:
    """`filters` override the plain comparison of a field with the parameter of the same name."""
    special = {"created": lambda obj, value: within(obj["created"], value), **(filters or {})}

    def run(api: Api, ids: list[str], params: Params) -> Obj:
        del ids
        wanted = {name: value for name, value in params.items() if name not in PAGING}

        def fits(obj: Obj) -> bool:
            return all(
                special[name](obj, value) if name in special else obj.get(name) == value
                for name, value in wanted.items()
            )

        return page(api, api.world.all(kind), params, f"/v1/{path}", kind, fits)

    return Operation("GET", path, run, {**PAGING, **accepts}, f"{permission}_read", sdk)


def lister(
    path: str,
    permission: str,
    run: Callable[[Api, list[str], Params], Obj],
    accepts: Mapping[str, Spec],
    sdk: str,
) -> Operation:
    """A list with rules of its own."""
    return Operation("GET", path, run, {**PAGING, **accepts}, f"{permission}_read", sdk)


def page(
    api: Api,
    ordered: Iterable[Obj],
    params: Params,
    url: str,
    kind: str,
    fits: Callable[[Obj], bool] = lambda _obj: True,
) -> Obj:
    """One page of what fits, in the given order. A cursor need not fit itself, as in Stripe."""
    every = list(ordered)
    limit = params.get("limit", 10)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        message = "You can't use both starting_after and ending_before at the same time."
        raise StripeError(message, param="ending_before", validation=True)
    if after is not None:
        start = _position(api, every, after, kind, "starting_after") + 1
        objects = list(islice(filter(fits, islice(every, start, None)), limit + 1))
        chosen, has_more = objects[:limit], len(objects) > limit
    elif before is not None:
        end = _position(api, every, before, kind, "ending_before")
        objects = [obj for obj in every[:end] if fits(obj)]
        chosen, has_more = objects[-limit:], len(objects) > limit
    else:
        objects = list(islice(filter(fits, every), limit + 1))
        chosen, has_more = objects[:limit], len(objects) > limit
    data = [api.world.render(obj) for obj in chosen]
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def _position(api: Api, objects: list[Obj], cursor: str, kind: str, param: str) -> int:
    for position, obj in enumerate(objects):
        if obj["id"] == cursor:
            return position
    raise no_such(api.world.resources[kind].called, cursor, param)


def searching(path: str, permission: str, kind: str, sdk: str) -> Operation:
    def run(api: Api, ids: list[str], params: Params) -> Obj:
        del ids
        fits = parse_query(params["query"], api.world.resources[kind].searchable)
        found = [obj for obj in api.world.search.seen(kind, api.service.clock.now()) if fits(obj)]
        start = int(params.get("page", "0"))
        chosen = found[start : start + params.get("limit", 10)]
        ahead = start + len(chosen)
        return {
            "object": "search_result",
            "data": [api.world.render(obj) for obj in chosen],
            "has_more": ahead < len(found),
            "next_page": str(ahead) if ahead < len(found) else None,
            "url": f"/v1/{path}/search",
        }

    accepts = {"query": required(text()), "limit": integer(1, 100), "page": text(), "expand": EXPAND}
    return Operation("GET", f"{path}/search", run, accepts, f"{permission}_read", sdk, search=True)


CREATED: Mapping[str, Spec] = {"created": created_range()}
