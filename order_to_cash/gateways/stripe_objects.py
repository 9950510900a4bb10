"""Stripe's objects as they are now, whole and as plain JSON: for events that leave doubt, and for scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from order_to_cash.domain.errors import O2CError, RecordGone
from order_to_cash.domain.sync.fetching import EXPAND
from order_to_cash.domain.sync.shapes import Fetched, ObjectKey
from order_to_cash.gateways.stripe_calls import StripeCalls, created_between

PATHS: Mapping[str, str] = {
    "charge": "/v1/charges",
    "checkout.session": "/v1/checkout/sessions",
    "credit_note": "/v1/credit_notes",
    "customer": "/v1/customers",
    "dispute": "/v1/disputes",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "payment_intent": "/v1/payment_intents",
    "payment_method": "/v1/payment_methods",
    "price": "/v1/prices",
    "product": "/v1/products",
    "refund": "/v1/refunds",
    "subscription": "/v1/subscriptions",
}
# A list of subscriptions leaves canceled ones out unless asked: https://docs.stripe.com/api/subscriptions/list
_LIST: Mapping[str, Mapping[str, Any]] = {"subscription": {"status": "all"}}
# What an object shows the first ten of, and where the rest is listed.
_PARTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "credit_note": {"lines": ("/v1/credit_notes/{id}/lines", "")},
    "invoice": {
        "lines": ("/v1/invoices/{id}/lines", ""),
        "payments": ("/v1/invoice_payments", "invoice"),
    },
    "subscription": {"items": ("/v1/subscription_items", "subscription")},
}
_AT_ONCE = 16


class StripeObjects(StripeCalls):
    """What the gateway reads of any object."""

    async def fetch(
        self, object_type: str, object_id: str, expand: Sequence[str] | None = None
    ) -> Fetched | None:
        """The object, whole: an invoice with all of its lines and payments, a subscription with all items.

        None when it never existed, or not any more; what Stripe remembers as deleted comes as
        ``{"id": …, "object": …, "deleted": true}``. `object_type` is one of `PATHS`, else ValueError.
        With `expand`, of its lists only those that it names are whole.
        """
        paths = list(EXPAND.get(object_type, ()) if expand is None else expand)
        whole = None if expand is None else {path.partition(".")[0] for path in paths}
        try:
            body, at, _ = await self._read(
                f"{_path(object_type)}/{object_id}", {"expand": paths} if paths else {}
            )
            return Fetched(await self._completed(object_type, body, paths, whole), at)
        except RecordGone:
            return None

    async def fetch_many(
        self, keys: Iterable[ObjectKey], expand: Sequence[str] | None = None
    ) -> dict[ObjectKey, Fetched | O2CError | None]:
        """`fetch` of each, several at a time; what failed comes back as its error and stops no other."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(key: ObjectKey) -> Fetched | O2CError | None:
            async with places:
                try:
                    return await self.fetch(key.type, key.id, expand)
                except O2CError as problem:
                    return problem

        wanted = list(dict.fromkeys(keys))
        return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))

    async def list_objects(
        self,
        object_type: str,
        created_gte: datetime | None = None,
        created_lt: datetime | None = None,
        **filters: Any,
    ) -> AsyncIterator[Fetched]:
        """All objects of a type, newest first, ended subscriptions and inactive prices included; deleted ones are not.

        `filters` are Stripe's, such as ``status="open"``. Nothing in them is expanded, and lists are cut at ten.
        """
        params = {**_LIST.get(object_type, {}), **filters, **created_between(created_gte, created_lt)}
        async for rows, at in self._read_pages(_path(object_type), params):
            for row in rows:
                yield Fetched(row, at)

    async def invoice_payments(
        self, invoice_id: str = "", payment_intent_id: str = ""
    ) -> list[Mapping[str, Any]]:
        """The payments of an invoice; or those that a payment intent makes, which is how a charge finds its invoice."""
        params: dict[str, Any] = {"invoice": invoice_id} if invoice_id else {}
        if payment_intent_id:
            params["payment"] = {"type": "payment_intent", "payment_intent": payment_intent_id}
        pages = self._read_pages(PATHS["invoice_payment"], params)
        return [row async for rows, _ in pages for row in rows]

    async def _completed(
        self, object_type: str, body: dict[str, Any], expand: Iterable[str], whole: Collection[str] | None
    ) -> dict[str, Any]:
        """`body` with every list in it that was cut, or those in `whole`, read to its end."""
        for name, (place, parent) in _PARTS.get(object_type, {}).items():
            part = body.get(name) if whole is None or name in whole else None
            if isinstance(part, dict) and part.get("has_more") is True:
                params: dict[str, Any] = {parent: body["id"]} if parent else {}
                inner = [path for path in expand if path.startswith(f"{name}.")]
                if inner:
                    params["expand"] = [path.removeprefix(f"{name}.") for path in inner]
                pages = self._read_pages(place.format(id=body["id"]), params)
                part["data"] = [row async for rows, _ in pages for row in rows]
                part["has_more"] = False
        return body


def _path(object_type: str) -> str:
    if object_type not in PATHS:
        raise ValueError(f"objects of type {object_type!r} are not read")
    return PATHS[object_type]
