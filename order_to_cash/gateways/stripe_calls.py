"""What every part of the Stripe gateway does: call the SDK, turn pages, read an answer with its moment."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from order_to_cash.domain.errors import Unavailable
from order_to_cash.gateways.stripe_wire import TOOK, shielded

PAGE = 100  # Stripe's largest: https://docs.stripe.com/api/pagination


class StripeCalls:
    """A client whose calls raise errors of the domain's tree."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client
        self._v1 = client.v1

    async def _pages(
        self, list_method: Callable[..., Awaitable[Any]], params: Mapping[str, Any], *args: str
    ) -> AsyncIterator[dict[str, Any]]:
        asked: dict[str, Any] = {**params, "limit": PAGE}
        while True:
            page = await self._call(list_method, *args, params=asked)
            rows = page.get("data") or []
            for row in rows:
                yield row
            if not rows or page.get("has_more") is not True:
                return
            asked["starting_after"] = rows[-1]["id"]

    async def _post(
        self, method: Callable[..., Awaitable[Any]], *args: str, params: Mapping[str, Any], key: str
    ) -> dict[str, Any]:
        if not 0 < len(key) <= 255:
            raise ValueError("an idempotency key has 1 to 255 characters")
        return await self._call(method, *args, params=dict(params), options={"idempotency_key": key})

    async def _call(self, method: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> dict[str, Any]:
        plain: dict[str, Any] = (await shielded(method, *args, **kwargs)).to_dict()
        return plain

    async def _read(self, path: str, params: Mapping[str, Any]) -> tuple[dict[str, Any], datetime, bytes]:
        """The answer to GET `path` as plain JSON, the moment since when it holds, and its bytes.

        Not by the SDK's typed methods: an event becomes objects there in half a millisecond, and its bytes are lost.
        """
        answer = await shielded(self._client.raw_request_async, "get", path, **params)
        return answer.data, _holds_since(answer.headers), answer.body.encode()

    async def _read_pages(
        self, path: str, params: Mapping[str, Any]
    ) -> AsyncIterator[tuple[list[dict[str, Any]], datetime]]:
        """The pages of a list, each with the moment since when it holds."""
        asked: dict[str, Any] = {**params, "limit": PAGE}
        while True:
            page, at, _ = await self._read(path, asked)
            rows = page.get("data") or []
            yield rows, at
            if not rows or page.get("has_more") is not True:
                return
            asked["starting_after"] = rows[-1]["id"]


def created_between(created_gte: datetime | None, created_lt: datetime | None = None) -> dict[str, Any]:
    """A filter by `created`: from a moment on, and before another."""
    bounds = {"gte": created_gte, "lt": created_lt}
    given = {name: int(moment.timestamp()) for name, moment in bounds.items() if moment is not None}
    return {"created": given} if given else {}


def _holds_since(headers: Mapping[str, str]) -> datetime:
    """The second by Stripe's clock in which, or after which, the answer was read there.

    `Date` is when it was sent off, cut to a second; it was read at most as long before as the request took.
    """
    try:
        sent = parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        raise Unavailable("Stripe's answer says no time (Date header).") from None
    return sent - timedelta(seconds=math.ceil(float(headers.get(TOOK, 0.0))))
