"""A company at work while its machines are killed: things happen at Stripe, which delivers signed events."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.chaos.lives import GOOD_CARD, RETRY_SECONDS, Stripe, grows, paid, refunded
from tests.receiver.serving import eventually
from tests.world import World

PAUSE_SECONDS = 0.2
LONGEST_SECONDS = 120.0


class Load:
    """Lives begin one after another in a thread, by a seed, until `stop`. `known`: customers that have an Account.

    Each life is of one customer. Some begin with a customer that Salesforce has never heard of.
    """

    def __init__(self, world: World, stripe: Stripe, rng: random.Random, customers: int) -> None:
        self._world = world
        self._stripe = stripe
        self._rng = rng
        self.known = [
            stripe.customer(name=f"Known {n}", email=f"known{n}@a.example") for n in range(customers)
        ]
        self.make_accounts()
        self.strangers: list[str] = []
        self._failing: list[tuple[float, str]] = []
        self._stopped = threading.Event()
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def make_accounts(self) -> None:
        """Those that the org has from the beginning."""
        for number, customer in enumerate(self.known):
            email = f"known{number}@a.example"
            self._world.account(
                Name=f"Known {number}", Billing_Email__c=email, Stripe_Customer_Id__c=customer
            )

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(LONGEST_SECONDS)
        assert not self._thread.is_alive()
        if self._errors:
            raise self._errors[0]

    def wait_for(self, count: int) -> None:
        """Until so many more deliveries are acknowledged than by now."""
        wanted = len(acknowledged(self._world)) + count

        def enough() -> bool:
            assert not self._errors, self._errors
            return len(acknowledged(self._world)) >= wanted

        eventually(enough, LONGEST_SECONDS)

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                self._rng.choice(self._deeds())(self._rng.choice(self.known))
                self._pay_later()
                self._stopped.wait(self._rng.uniform(0, 2 * PAUSE_SECONDS))
        except Exception as error:  # noqa: BLE001 - raised in `stop`
            self._errors.append(error)

    def _deeds(self) -> list[Callable[[str], Any]]:
        stripe = self._stripe
        return [
            lambda customer: paid(stripe, customer),
            lambda customer: grows(stripe, customer),
            lambda customer: refunded(stripe, customer),
            self._fails,
            self._fails,
            self._stranger,
        ]

    def _fails(self, customer: str) -> None:
        invoice = self._stripe.fail_to_pay(customer, self._rng.randrange(1_000, 90_000))
        self._failing.append((time.monotonic() + RETRY_SECONDS + 1, invoice))

    def _pay_later(self) -> None:
        """Every other invoice whose second attempt has failed too is paid at last."""
        if self._failing and self._failing[0][0] < time.monotonic():
            _, invoice = self._failing.pop(0)
            if self._rng.random() < 0.5:
                self._stripe.pay(invoice, payment_method=GOOD_CARD)

    def _stranger(self, _customer: str) -> None:
        number = len(self.strangers)
        customer = self._stripe.customer(name=f"Stranger {number}", email=f"stranger{number}@b.example")
        self.strangers.append(customer)
        paid(self._stripe, customer)


def acknowledged(world: World) -> dict[str, int]:
    """Event → the second in which it was answered 2xx for the first time, by Stripe's own record of deliveries."""
    found: dict[str, int] = {}
    for delivery in list(world.services["stripe"].delivery_log):
        if delivery["status"] is not None and 200 <= delivery["status"] < 300:
            found.setdefault(delivery["event"], delivery["at"])
    return found
