"""Where the contract tests run: the emulators, or a real Stripe sandbox with a real Salesforce scratch org.

What they make in a real org stays there: a scratch org is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from emulators.seeding import Seeder, form
from order_to_cash.cli.wiring import salesforce_gateway
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from order_to_cash.settings import Settings, load_settings

STRIPE = "https://api.stripe.com"
REAL = "O2C_TEST_LIVE"  # set by `make test-live`


@dataclass
class Place:
    """Both books over the wire, without the product's recipe in between."""

    settings: Settings
    stripe: httpx.Client
    salesforce: SalesforceGateway
    seeder: Seeder | None  # of the emulators' org, whose integration user may not create deals

    def post(self, path: str, **params: Any) -> httpx.Response:
        """POST to Stripe's `/v1/{path}`; `idempotency_key` goes into the header."""
        key = params.pop("idempotency_key", None)
        headers = {"Idempotency-Key": key} if key else {}
        return self.stripe.post(f"/v1/{path}", data=form(params), headers=headers)

    def create(self, sobject: str, **fields: Any) -> str:
        """A Salesforce record; its id."""
        if self.seeder is not None:
            return self.seeder.salesforce([{"type": sobject, "ref": "made", **fields}])["made"]
        (result,) = self.salesforce.insert_rows(sobject, [fields])
        assert result.ok, result.error
        return result.id

    def money(self) -> Mapping[str, str]:
        """The currency field of a record, where the org has several."""
        currency = self.settings.default_currency
        return {"CurrencyIsoCode": currency} if self.settings.multi_currency else {}

    def invoices_of(self, opportunity_id: str) -> list[dict[str, Any]]:
        """Every invoice of the last minutes that carries the deal's id."""
        since = int(time.time()) - 900
        answer = self.stripe.get("/v1/invoices", params={"limit": 100, "created[gte]": since})
        rows: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return [row for row in rows if row["metadata"].get("salesforce_opportunity_id") == opportunity_id]


def variables_of_tests(home: Path) -> dict[str, str]:
    """Settings that a test needs whatever else is configured: a ledger of its own, nothing older than today."""
    return {
        "O2C_HOME": str(home),
        "O2C_LEDGER_URL": f"sqlite:///{home / 'ledger.db'}",
        "O2C_BILL_DEALS_CLOSED_ON_OR_AFTER": datetime.now(UTC).date().isoformat(),
        "O2C_SLACK_BOT_TOKEN": "",
    }


def missing() -> str:
    """Why the settings do not lead to real sandboxes; empty when they do."""
    try:
        settings = load_settings(bill_deals_closed_on_or_after=datetime.now(UTC).date())
    except ConfigurationError as error:
        return str(error)
    if settings.environment is Environment.TEST:
        return ""
    return (
        f"`make test-live` needs a Stripe sandbox and a Salesforce scratch org, and O2C_ENVIRONMENT is "
        f"{settings.environment}. Set O2C_ENVIRONMENT=test, O2C_STRIPE_API_KEY, O2C_SALESFORCE_DOMAIN and "
        "O2C_SALESFORCE_CLIENT_ID with its secret or key; .env.example explains each."
    )


@contextmanager
def place_of(settings: Settings, seeder: Seeder | None) -> Iterator[Place]:
    """Connections by the settings, closed at the end."""
    key = settings.stripe_api_key.get_secret_value()
    base = settings.stripe_api_base or STRIPE
    gateway = salesforce_gateway(settings, NoAudit(), "contract tests")
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        yield Place(settings, client, gateway, seeder)
    gateway.close()
