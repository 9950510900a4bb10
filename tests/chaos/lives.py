"""Ten lives of invoices and subscriptions at the Stripe emulator, each of a customer of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.world import World

GOOD_CARD, BAD_CARD = "pm_card_visa", "pm_card_chargeCustomerFail"
KEY = {"Authorization": "Bearer sk_test_emulator"}
# When a declined payment is tried the second time, and the third.
RETRY_SECONDS, NEVER_SECONDS = 2, 10_000_000


@dataclass
class Stripe:
    """What a company does at Stripe. `price`: of a seat, monthly. A declined payment is tried again once."""

    world: World
    price: str = ""

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=self.world.urls["stripe"], headers=KEY, timeout=60, trust_env=False
        )
        self.world.settings("stripe", payment_retry_seconds=[RETRY_SECONDS, NEVER_SECONDS])
        self.price = self.price or self.world.seeder.price("Seat", 1_900, recurring={"interval": "month"})

    def close(self) -> None:
        self._http.close()

    def make(self, path: str, **params: Any) -> dict[str, Any]:
        return self.world.seeder.stripe(path, **params)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._http.get(f"/v1/{path}", params=params)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def delete(self, path: str) -> None:
        self._http.delete(f"/v1/{path}").raise_for_status()

    def events(self) -> list[dict[str, Any]]:
        """All that are listed, oldest first."""
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.get("events", limit=100, **after)
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]
            after = {"starting_after": page["data"][-1]["id"]}

    # What lives are made of

    def customer(self, **fields: Any) -> str:
        """With a card that works."""
        made = str(self.make("customers", **fields)["id"])
        card = self._card(made, GOOD_CARD)
        self.make(f"customers/{made}", invoice_settings={"default_payment_method": card})
        return made

    def _card(self, customer: str, token: str) -> str:
        return str(self.make(f"payment_methods/{token}/attach", customer=customer)["id"])

    def invoice(self, customer: str, amount_minor: int = 10_000, **fields: Any) -> str:
        """A draft of one line that is charged by nobody but us."""
        given = {"customer": customer, "currency": "usd", "auto_advance": False, **fields}
        made = str(self.make("invoices", **given)["id"])
        self.make("invoiceitems", customer=customer, invoice=made, amount=amount_minor, currency="usd")
        return made

    def finalize(self, invoice: str) -> str:
        self.make(f"invoices/{invoice}/finalize", auto_advance=False)
        return invoice

    def pay(self, invoice: str, **params: Any) -> None:
        self.make(f"invoices/{invoice}/pay", **params)

    def fail_to_pay(self, customer: str, amount_minor: int) -> str:
        """An invoice whose automatic payment is declined, and soon once more."""
        card = self._card(customer, BAD_CARD)
        invoice = self.invoice(customer, amount_minor, default_payment_method=card)
        self.make(f"invoices/{invoice}/finalize", auto_advance=True)
        return invoice

    def charge(self, customer: str) -> str:
        """Of an invoice that is paid. A declined attempt at another one may have come after it."""
        self.pay(self.finalize(self.invoice(customer)))
        charges = self.get("charges", customer=customer)["data"]
        return str(next(charge["id"] for charge in charges if charge["status"] == "succeeded"))

    def subscription(self, customer: str, quantity: int = 2, **fields: Any) -> str:
        items = [{"price": self.price, "quantity": quantity}]
        return str(self.make("subscriptions", customer=customer, items=items, **fields)["id"])

    def resize(self, subscription: str, quantity: int) -> None:
        item = self.get(f"subscriptions/{subscription}")["items"]["data"][0]["id"]
        items = [{"id": item, "quantity": quantity}]
        self.make(f"subscriptions/{subscription}", items=items, proration_behavior="none")


Life = Callable[[Stripe, str], Any]


def paid(stripe: Stripe, customer: str) -> None:
    stripe.pay(stripe.finalize(stripe.invoice(customer)))


def fails_twice_then_paid(stripe: Stripe, customer: str) -> None:
    invoice = stripe.fail_to_pay(customer, 12_300)
    stripe.world.clock.advance(RETRY_SECONDS + 1)
    stripe.pay(invoice, payment_method=GOOD_CARD)


def voided(stripe: Stripe, customer: str) -> None:
    stripe.make(f"invoices/{stripe.finalize(stripe.invoice(customer))}/void")


def deleted_draft(stripe: Stripe, customer: str) -> None:
    stripe.delete(f"invoices/{stripe.invoice(customer)}")


def written_off_then_paid(stripe: Stripe, customer: str) -> None:
    invoice = stripe.finalize(stripe.invoice(customer))
    stripe.make(f"invoices/{invoice}/mark_uncollectible")
    stripe.pay(invoice)


def paid_outside_stripe(stripe: Stripe, customer: str) -> None:
    stripe.pay(stripe.finalize(stripe.invoice(customer)), paid_out_of_band=True)


def refunded(stripe: Stripe, customer: str) -> None:
    stripe.make("refunds", charge=stripe.charge(customer), amount=2_500, reason="requested_by_customer")


def disputed(stripe: Stripe, customer: str) -> None:
    stripe.world.control("stripe", f"disputes/{stripe.charge(customer)}", {"reason": "fraudulent"})


def credited(stripe: Stripe, customer: str) -> None:
    invoice = stripe.finalize(stripe.invoice(customer))
    stripe.make("credit_notes", invoice=invoice, amount=1_000, reason="order_change")


def changed_and_ended(stripe: Stripe, customer: str) -> None:
    subscription = stripe.subscription(customer)
    stripe.resize(subscription, 7)
    stripe.resize(subscription, 1)
    stripe.delete(f"subscriptions/{subscription}")


def leaving_and_staying(stripe: Stripe, customer: str) -> None:
    subscription = stripe.subscription(customer)
    stripe.make(f"subscriptions/{subscription}", cancel_at_period_end=True)
    stripe.make(f"subscriptions/{subscription}", cancel_at_period_end=False)


def grows(stripe: Stripe, customer: str) -> None:
    stripe.resize(stripe.subscription(customer), 5)


LIVES: Mapping[str, Life] = {
    "an invoice fails twice, then is paid": fails_twice_then_paid,
    "an invoice is voided": voided,
    "a draft is deleted": deleted_draft,
    "an invoice is written off, then paid": written_off_then_paid,
    "an invoice is paid outside Stripe": paid_outside_stripe,
    "a payment is refunded in part": refunded,
    "a payment is disputed": disputed,
    "an invoice is credited": credited,
    "a subscription grows, shrinks, ends": changed_and_ended,
    "a subscription is to end, and then not": leaving_and_staying,
}
