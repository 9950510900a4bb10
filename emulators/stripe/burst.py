"""Many events at once, for load: whole lives of invoices and subscriptions over a few customers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulators.stripe import invoice_states
from emulators.stripe.api import Api
from emulators.stripe.customers import make as make_customer
from emulators.stripe.drafts import add_lines
from emulators.stripe.errors import StripeError
from emulators.stripe.invoices import make as make_invoice
from emulators.stripe.model import Obj
from emulators.stripe.payment_methods import attach_to, of_token
from emulators.stripe.prices import make_price
from emulators.stripe.refunds import make_refund
from emulators.stripe.subscriptions import change as change_subscription
from emulators.stripe.subscriptions import make as make_subscription

if TYPE_CHECKING:
    from emulators.stripe.service import StripeService

DEFAULT_MIX = {"paid": 6, "failed": 2, "refunded": 1, "subscription": 1}
BREATH_SECONDS = 0.02  # of work, after which others get their turn


@dataclass(frozen=True)
class Burst:
    """`count` events or a few more: a life is finished. `mix`: weights of lives.

    `rate`: events a second; 0: at once.
    """

    count: int
    customers: Sequence[str]
    mix: Mapping[str, float]
    seed: int = 1
    rate: float = 0.0


def new_customers(api: Api, number: int) -> list[str]:
    """So many customers with a card that works; their ids."""
    made = []
    for position in range(number):
        params = {"name": f"Load {position}", "email": f"load{position}@burst.example"}
        customer = make_customer(api, params)
        customer["invoice_settings"]["default_payment_method"] = _card(api, "pm_card_visa", customer["id"])
        made.append(customer["id"])
    return made


async def burst(service: StripeService, wanted: Burst) -> None:
    """Make it happen."""
    unknown = wanted.mix.keys() - LIVES.keys()
    if unknown or not wanted.mix or not wanted.customers:
        raise ValueError(f"a burst needs customers and a mix of {', '.join(LIVES)}")
    world = service.world
    rng = random.Random(wanted.seed)
    lives = rng.choices(list(wanted.mix), list(wanted.mix.values()), k=wanted.count)
    turns = itertools.cycle(wanted.customers)
    before = len(world.tables["event"])
    started = breathed = time.monotonic()
    for life in lives:
        done = len(world.tables["event"]) - before
        if done >= wanted.count or not service.holds(world):
            break
        if wanted.rate and done / wanted.rate > time.monotonic() - started:
            await asyncio.sleep(done / wanted.rate - (time.monotonic() - started))
        elif time.monotonic() - breathed > BREATH_SECONDS:
            await asyncio.sleep(0)
            breathed = time.monotonic()
        LIVES[life](Api(service, world), next(turns), rng)


def _card(api: Api, name: str, customer_id: str) -> str:
    method = of_token(api, name)
    if method is None:
        raise RuntimeError(f"{name} is no test token")
    return str(attach_to(api, method, customer_id)["id"])


def _invoice(api: Api, customer_id: str, rng: random.Random) -> Obj:
    invoice = make_invoice(api, {"customer": customer_id, "auto_advance": False})
    line = {"amount": rng.randrange(1_000, 900_000), "description": "Load"}
    add_lines(api, invoice, {"lines": [line]})
    return invoice_states.finalize(api, invoice, {"auto_advance": False})


def _paid(api: Api, customer_id: str, rng: random.Random) -> None:
    invoice_states.pay(api, _invoice(api, customer_id, rng), {})


def _failed(api: Api, customer_id: str, rng: random.Random) -> None:
    invoice = _invoice(api, customer_id, rng)
    with contextlib.suppress(StripeError):
        invoice_states.pay(api, invoice, {"payment_method": "pm_card_chargeCustomerFail"})


def _refunded(api: Api, customer_id: str, rng: random.Random) -> None:
    invoice = invoice_states.pay(api, _invoice(api, customer_id, rng), {})
    intent = api.world.tables["payment_intent"][invoice["_payment_intent"]]
    amount = rng.randrange(1, invoice["amount_paid"])
    make_refund(api, {"charge": intent["latest_charge"], "amount": amount})


def _subscription(api: Api, customer_id: str, rng: random.Random) -> None:
    item = {"price": _seat(api), "quantity": rng.randrange(1, 50)}
    subscription = make_subscription(api, {"customer": customer_id, "items": [item]})
    of = {"id": subscription["_items"][0], "quantity": rng.randrange(1, 50)}
    change_subscription(api, subscription, {"items": [of], "proration_behavior": "none"})


def _seat(api: Api) -> str:
    """The price that all subscriptions of bursts have."""
    name = "burst-seat"
    known = next((each["id"] for each in api.world.all("price") if each["lookup_key"] == name), None)
    if known is not None:
        return str(known)
    params = {"currency": api.settings.default_currency, "unit_amount": 1_900, "lookup_key": name}
    recurring = {"interval": "month"}
    return str(make_price(api, {**params, "recurring": recurring, "product_data": {"name": "Seat"}})["id"])


LIVES: Mapping[str, Callable[[Api, str, random.Random], None]] = {
    "paid": _paid,
    "failed": _failed,
    "refunded": _refunded,
    "subscription": _subscription,
}
