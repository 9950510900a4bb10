"""The control API of a service, under /_emulator/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulators.engine.faults import FaultError
from emulators.engine.settings import SettingError

if TYPE_CHECKING:
    from emulators.engine.service import Service

Handler = Callable[[Request], Awaitable[JSONResponse]]


class ControlError(ValueError):
    """A request to the control API that makes no sense."""


def control_routes(service: Service) -> list[Route]:
    """Routes for health, clock, faults, journal, settings and reset."""
    table: dict[str, tuple[list[str], Handler]] = {
        "health": (["GET"], lambda request: _health(service, request)),
        "clock": (["GET", "POST"], lambda request: _clock(service, request)),
        "faults": (["GET", "POST", "DELETE"], lambda request: _faults(service, request)),
        "journal": (["GET", "DELETE"], lambda request: _journal(service, request)),
        "settings": (["GET", "POST"], lambda request: _settings(service, request)),
        "reset": (["POST"], lambda request: _reset(service, request)),
    }
    return [
        Route(f"/_emulator/{name}", _guarded(handler), methods=methods)
        for name, (methods, handler) in table.items()
    ]


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> JSONResponse:
        try:
            return await handler(request)
        except (FaultError, SettingError, ControlError, TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return guarded


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    parsed = await request.json() if body else {}
    if not isinstance(parsed, dict):
        raise ControlError("send a JSON object")
    return parsed


async def _health(service: Service, request: Request) -> JSONResponse:
    del request
    return JSONResponse({"service": service.name, "now": service.clock.now().isoformat()})


async def _clock(service: Service, request: Request) -> JSONResponse:
    if request.method == "POST":
        wish = await _json(request)
        if wish.keys() - {"advance_seconds", "now"} or len(wish) != 1:
            raise ControlError('send {"advance_seconds": number} or {"now": "ISO 8601"}')
        if "now" in wish:
            moment = datetime.fromisoformat(wish["now"])
            service.clock.set(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        else:
            service.clock.advance(float(wish["advance_seconds"]))
    return JSONResponse({"now": service.clock.now().isoformat()})


async def _faults(service: Service, request: Request) -> JSONResponse:
    if request.method == "POST":
        fault = service.faults.load(await _json(request))
        return JSONResponse({"id": fault.id}, status_code=201)
    if request.method == "DELETE":
        service.faults.clear()
    return JSONResponse({"faults": [fault.as_json() for fault in service.faults]})


async def _journal(service: Service, request: Request) -> JSONResponse:
    if request.method == "DELETE":
        service.journal.clear()
    asked = request.query_params
    entries = service.journal.select(
        since=int(asked.get("since", "0")), method=asked.get("method"), path=asked.get("path")
    )
    bodies = asked.get("bodies") != "false"  # of thousands of requests they are hundreds of megabytes
    shown = [entry.as_json() if bodies else entry.brief() for entry in entries]
    return JSONResponse({"entries": shown, "next": service.journal.next_seq})


async def _settings(service: Service, request: Request) -> JSONResponse:
    if request.method == "POST":
        service.settings.patch(await _json(request))
    return JSONResponse(service.settings.as_json())


async def _reset(service: Service, request: Request) -> JSONResponse:
    del request
    service.reset()
    return JSONResponse({"reset": service.name})
