"""Renewals as Stripe tells them: five events each, as the Stripe emulator renders them, about customers of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.events_org import CUSTOMER
from emulators.run import make_services, running

CUSTOMERS = 5_000
FAILS_EVERY = 200  # one renewal in so many is declined
# Type → seconds after the renewal began.
PAID = {
    "customer.subscription.updated": 0,
    "invoice.created": 0,
    "invoice.finalized": 1,
    "charge.succeeded": 2,
    "invoice.paid": 3,
}
DECLINED = {
    "customer.subscription.updated": 0,
    "invoice.created": 0,
    "invoice.finalized": 1,
    "charge.failed": 2,
    "invoice.payment_failed": 3,
}
_OWN = {
    "cus": "customer",
    "sub": "subscription",
    "in": "invoice",
    "ch": "charge",
    "pi": "intent",
    "il": "line",
}
PRODUCT = "prod_bench"


@dataclass(frozen=True)
class Made:
    """One event: when it is due, in seconds from the beginning, and what Stripe sends then."""

    due: float
    event_id: str
    object_id: str
    body: bytes


class Renewals:
    """Makes events from templates; `run` keeps the ids of one load apart from those of another."""

    def __init__(self) -> None:
        self._paid, self._declined = _templates()

    def events(self, run: str, count: int, a_second: float, began: int, *, first: int = 0) -> list[Made]:
        """`count` events in the order in which they are due, renewals beginning evenly at `a_second` / 5."""
        made: list[Made] = []
        for number in range(-(-count // len(PAID))):
            made += self._renewal(run, number, number * len(PAID) / a_second, began, first)
        made.sort(key=lambda one: one.due)
        return made[:count]

    def _renewal(self, run: str, number: int, due: float, began: int, first: int) -> Iterator[Made]:
        declined = number % FAILS_EVERY == FAILS_EVERY - 1
        templates = self._declined if declined else self._paid
        customer = (first + number) % CUSTOMERS
        ids = {name: f"{name}_{run}{number:06d}" for name in _OWN}
        ids |= {"cus": CUSTOMER.format(customer), "sub": subscription(customer)}
        for kind, after in (DECLINED if declined else PAID).items():
            text = templates[kind]
            for name, own in ids.items():
                text = text.replace(f"@{name}@", own)
            event_id = f"evt_{run}{number:06d}{kind.replace('.', '')}"
            text = text.replace("@evt@", event_id).replace('"@created@"', str(int(began + due) + after))
            about = {"customer": "sub", "invoice": "in", "charge": "ch"}[kind.partition(".")[0]]
            yield Made(due + after, event_id, ids[about], text.encode())


def subscription(customer: int) -> str:
    """The one of that customer."""
    return f"sub_bench{customer:06d}"


def _templates() -> tuple[dict[str, str], dict[str, str]]:
    known: dict[str, Any] = {"auth": ("sk_test_emulator", ""), "trust_env": False}
    with (
        running(*make_services(["stripe"])) as urls,
        httpx.Client(base_url=urls["stripe"], **known) as client,
    ):

        def made(what: str, **fields: str) -> str:
            name: str = client.post(f"/v1/{what}", data=fields).raise_for_status().json()["id"]
            return name

        product = made("products", name="Seats")
        monthly = {"recurring[interval]": "month"}
        price = made("prices", product=product, currency="usd", unit_amount="5000", **monthly)
        found = []
        for card in ("pm_card_visa", "pm_card_chargeCustomerFail"):
            customer = made("customers", name="Acme", email="billing@acme.example")
            method = made(f"payment_methods/{card}/attach", customer=customer)
            made(f"customers/{customer}", **{"invoice_settings[default_payment_method]": method})
            before = {event["id"] for event in _events(client)}
            item = {"items[0][price]": price, "items[0][quantity]": "3"}
            made("subscriptions", customer=customer, payment_behavior="allow_incomplete", **item)
            found.append([event for event in _events(client) if event["id"] not in before])
    return _marked(found[0], PAID, product), _marked(found[1], DECLINED, product)


def _events(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/events", params={"limit": 100}).json()["data"]
    return found


def _marked(events: Sequence[dict[str, Any]], wanted: dict[str, int], product: str) -> dict[str, str]:
    """Type → the event with marks where each one's own ids and its moment go."""
    by_type = {event["type"]: event for event in events}
    created = by_type["customer.subscription.created"]
    renewed = {**created, "type": "customer.subscription.updated"}
    renewed["data"] = {"object": {**created["data"]["object"], "status": "active"}}
    renewed["data"]["object"]["latest_invoice"] = by_type["invoice.finalized"]["data"]["object"]["id"]
    renewed["data"]["previous_attributes"] = {"latest_invoice": "in_before"}
    by_type["customer.subscription.updated"] = renewed
    invoice = by_type["invoice.finalized"]["data"]["object"]
    charge = by_type[next(name for name in wanted if name.startswith("charge."))]["data"]["object"]
    ids = {
        "cus": invoice["customer"],
        "sub": created["data"]["object"]["id"],
        "in": invoice["id"],
        "il": invoice["lines"]["data"][0]["id"],
        "ch": charge["id"],
        "pi": charge["payment_intent"],
    }
    texts = {}
    for kind in wanted:
        text = json.dumps({**by_type[kind], "id": "@evt@", "created": "@created@"}, indent=2)
        for name, own in ids.items():
            text = text.replace(own, f"@{name}@")
        texts[kind] = text.replace(product, PRODUCT)
    return texts
