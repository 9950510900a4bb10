"""A company's data for the emulators: what Stripe sells, what Salesforce knows; for demo, tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

DEFAULT_KEY = "sk_test_emulator"


def form(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as Stripe's form encoding: ``{"a": {"b": [1]}}`` → ``{"a[b][0]": "1"}``."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = f"{prefix}[{name}]" if prefix else name
        if isinstance(value, Mapping):
            flat |= form(value, key)
        elif isinstance(value, list | tuple):
            flat |= form({str(index): item for index, item in enumerate(value)}, key)
        elif value is not None:
            flat[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


class Seeder:
    """Writes records into running emulators. Salesforce fields of a package need the package deployed first."""

    def __init__(self, stripe_url: str, salesforce_url: str, stripe_key: str = DEFAULT_KEY) -> None:
        self._stripe = httpx.Client(
            base_url=stripe_url,
            headers={"Authorization": f"Bearer {stripe_key}"},
            timeout=30,
            trust_env=False,
        )
        self._salesforce = httpx.Client(base_url=salesforce_url, timeout=60, trust_env=False)

    def close(self) -> None:
        self._stripe.close()
        self._salesforce.close()

    def stripe(self, path: str, **params: Any) -> dict[str, Any]:
        """POST to `/v1/{path}`; the object that Stripe answers. Raises httpx.HTTPStatusError."""
        answer = self._stripe.post(f"/v1/{path}", data=form(params))
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    def stripe_get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET `/v1/{path}`. Raises httpx.HTTPStatusError."""
        answer = self._stripe.get(f"/v1/{path}", params=form(params))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def price(self, product: str, unit_amount: int, currency: str = "usd", **more: Any) -> str:
        """A product with one price; the price's id. `unit_amount` is in minor units."""
        product_id = self.stripe("products", name=product)["id"]
        made = self.stripe("prices", product=product_id, unit_amount=unit_amount, currency=currency, **more)
        return str(made["id"])

    def salesforce(self, records: Sequence[Mapping[str, Any]], *, raw: bool = False) -> dict[str, str]:
        """Create records in order; ref → id. A value ``@ref`` is the id of an earlier one. `raw` skips the rules."""
        answer = self._salesforce.post("/_emulator/seed", json={"records": list(records), "raw": raw})
        if answer.is_error:
            raise RuntimeError(f"seeding Salesforce failed: {answer.text[:500]}")
        ids: dict[str, str] = answer.json()["refs"]
        return ids

    def update(self, sobject: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change records by ``id``, as a person at the screen would. Raises RuntimeError."""
        self.salesforce([{"type": sobject, **row} for row in rows])


def product(
    ref: str, name: str, price_id: str | None, unit_price: Any, currency: str | None = None
) -> list[dict[str, Any]]:
    """Product2 with its entry in the standard price book; refs `ref` and `ref`-entry."""
    money = {"CurrencyIsoCode": currency} if currency else {}
    return [
        {"type": "Product2", "ref": ref, "Name": name, "IsActive": True, "Stripe_Price_Id__c": price_id},
        {
            "type": "PricebookEntry",
            "ref": f"{ref}-entry",
            "Pricebook2Id": "@standard_pricebook",
            "Product2Id": f"@{ref}",
            "UnitPrice": unit_price,
            "IsActive": True,
            **money,
        },
    ]


def line(opportunity: str, product_ref: str, quantity: Any, unit_price: Any, **more: Any) -> dict[str, Any]:
    """An OpportunityLineItem of the deal with ref `opportunity`."""
    return {
        "type": "OpportunityLineItem",
        "OpportunityId": f"@{opportunity}",
        "PricebookEntryId": f"@{product_ref}-entry",
        "Quantity": quantity,
        "UnitPrice": unit_price,
        **more,
    }
