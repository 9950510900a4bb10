"""A small company on emulators, for tests that run whole recipes: seeded through the wire, judged by the journals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from emulators.engine.clock import Clock
from emulators.run import make_services, running
from emulators.seeding import Seeder, line, product
from order_to_cash.cli.package import SourcePackage

GO_LIVE = date(2026, 1, 1)
PRICES: Mapping[str, tuple[str, int]] = {
    "onboarding": ("Onboarding", 250_000),
    "day": ("Consulting day", 120_000),
    "seat": ("Training seat", 15_000),
}


@dataclass
class World:
    """Running emulators with our package deployed, a catalogue, and ways to make and inspect deals.

    `services` are the emulators' Python objects (same process): `journal`, `faults`, `settings`, `org`.
    """

    urls: Mapping[str, str]
    services: Mapping[str, Any]
    clock: Clock
    home: Path
    seeder: Seeder
    multi_currency: bool = True
    prices: dict[str, str] = field(default_factory=dict)
    # One for all: making a client costs 60 ms here, nearly all of it for certificates.
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def env(self, ledger_url: str = "") -> dict[str, str]:
        """The `O2C_*` variables under which the product talks to this world."""
        return {
            "O2C_ENVIRONMENT": "emulator",
            "O2C_HOME": str(self.home),
            "O2C_LEDGER_URL": ledger_url or f"sqlite:///{self.home / 'ledger.db'}",
            "O2C_STRIPE_API_BASE": self.urls["stripe"],
            "O2C_SALESFORCE_BASE_URL": self.urls["salesforce"],
            "O2C_SLACK_BASE_URL": self.urls["slack"],
            "O2C_SMTP_PORT": self.urls["smtp"].rpartition(":")[2],
            "O2C_MULTI_CURRENCY": str(self.multi_currency).lower(),
            "O2C_BILL_DEALS_CLOSED_ON_OR_AFTER": GO_LIVE.isoformat(),
            "O2C_SECRETS_DIR": str(self.home / "no-secrets"),
            "O2C_STRIPE_REQUESTS_PER_SECOND": "100",
            "O2C_DUNNING": "off",  # tests of ladders switch them on
        }

    def close(self) -> None:
        self._http.close()

    # Making

    def account(self, **fields: Any) -> str:
        """An Account fit to be billed, unless `fields` say otherwise; its id."""
        number = next(self._numbers)
        defaults = {"Name": f"Company {number}", "Billing_Email__c": f"billing@company{number}.example"}
        record = {"type": "Account", "ref": "account", **defaults, "BillingCountry": "US", **fields}
        return self.seeder.salesforce([record])["account"]

    def deal(
        self,
        account_id: str | None = None,
        lines: tuple[tuple[str, Any, Any], ...] = (("onboarding", 1, 2500),),
        *,
        raw: bool = False,
        **fields: Any,
    ) -> str:
        """A won Opportunity; its id. `lines`: (product ref, quantity, unit price in major units)."""
        number = next(self._numbers)
        opportunity = {
            "type": "Opportunity",
            "ref": "deal",
            "Name": f"Deal {number}",
            "AccountId": account_id or self.account(),
            "StageName": "Closed Won",
            "CloseDate": self.clock.now().date().isoformat(),
            **({"CurrencyIsoCode": "USD"} if self.multi_currency else {}),
            "Pricebook2Id": "@standard_pricebook",
            **fields,
        }
        rows = [self._line(*one) for one in lines]
        return self.seeder.salesforce([opportunity, *rows], raw=raw)["deal"]

    def _line(self, ref: str, quantity: Any, unit_price: Any) -> dict[str, Any]:
        made = line("deal", ref, quantity, unit_price)
        return {**made, "PricebookEntryId": self.entries[ref]}

    @property
    def entries(self) -> dict[str, str]:
        """Product ref → PricebookEntry id."""
        return self._entries

    def product(
        self, ref: str, name: str, price_id: str | None, unit_price: Any, currency: str = "USD"
    ) -> str:
        """Another product that deals can have lines of; its id."""
        money = currency if self.multi_currency else None
        ids = self.seeder.salesforce(product(ref, name, price_id, unit_price, money))
        self._entries[ref] = ids[f"{ref}-entry"]
        return ids[ref]

    _entries: dict[str, str] = field(default_factory=dict)

    def update(self, sobject: str, record_id: str, **fields: Any) -> None:
        """Change a record as a person at the screen would."""
        self.seeder.update(sobject, [{"id": record_id, **fields}])

    def control(self, service: str, what: str, body: Any = None, method: str = "POST") -> Any:
        """The emulators' control API, such as ("salesforce", "merge", {"master": id, "losers": [id]})."""
        url = f"{self.urls[service]}/_emulator/{what}"
        answer = self._http.request(method, url, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def pass_time(self, **duration: float) -> None:
        """Let the emulators' clock go on, by `hours=1`, `minutes=5` and the like."""
        seconds = timedelta(**duration).total_seconds()
        self.control("stripe", "clock", {"advance_seconds": seconds})

    def forget_calls(self) -> None:
        """Empty the journals."""
        for service in self.services.values():
            service.journal.clear()

    # Inspecting

    def calls(self, service: str, method: str | None = None, path: str | None = None) -> list[Any]:
        """Journal entries of one method whose path matches the regular expression."""
        found: list[Any] = self.services[service].journal.select(method=method, path=path)
        return found

    def record(self, sobject: str, record_id: str) -> dict[str, Any]:
        """All fields of one Salesforce record, whatever the integration user may see."""
        url = f"{self.urls['salesforce']}/_emulator/records"
        rows = self._http.get(url, params={"type": sobject, "deleted": "true"}).json()["records"]
        return next(row for row in rows if row["Id"] == record_id)

    def invoices(self, opportunity_id: str | None = None) -> list[dict[str, Any]]:
        """Stripe's invoices as the API lists them, of one deal or all."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 100}
        while True:
            answer = self._http.get(
                f"{self.urls['stripe']}/v1/invoices",
                params=params,
                headers={"Authorization": "Bearer sk_test_emulator"},
            ).json()
            found += answer["data"]
            if not answer["has_more"]:
                break
            params["starting_after"] = answer["data"][-1]["id"]
        wanted = [one for one in found if one["metadata"].get("salesforce_opportunity_id") == opportunity_id]
        return wanted if opportunity_id else found

    def effects(self, service: str, object_type: str, action: str) -> list[str]:
        """Ids in the journal of what was done, such as ("stripe", "invoice", "finalized")."""
        return [effect.id for effect in self.services[service].journal.effects(object_type, action)]

    def slack_texts(self) -> list[str]:
        """The messages' fallback texts, oldest first."""
        return [
            entry.body["text"]
            for entry in self.services["slack"].journal.entries
            if entry.path.endswith("chat.postMessage") and entry.effects
        ]

    def fault(self, service: str, **fault: Any) -> None:
        """Inject a fault; see the emulators' control API."""
        self.control(service, "faults", fault)

    def no_faults(self) -> None:
        """Every service is well again."""
        for service in self.services:
            self.control(service, "faults", method="DELETE")

    def settings(self, service: str, **changes: Any) -> None:
        self.control(service, "settings", changes)

    def assert_billed_once(
        self, opportunity_id: str, total_minor: int, currency: str = "usd"
    ) -> dict[str, Any]:
        """One finalized, sent, written-back invoice of this total, by the journals; the invoice."""
        invoices = self.invoices(opportunity_id)
        finalized = [one for one in invoices if one["status"] != "draft"]
        assert len(finalized) == 1, f"{len(finalized)} finalized invoices: {finalized}"
        (invoice,) = finalized
        assert (invoice["total"], invoice["currency"]) == (total_minor, currency)
        assert self.effects("stripe", "invoice", "finalized").count(invoice["id"]) == 1
        assert self.effects("stripe", "invoice", "sent").count(invoice["id"]) == 1
        assert [one for one in invoices if one["status"] == "draft"] == []
        record = self.record("Opportunity", opportunity_id)
        assert record["Stripe_Invoice_Id__c"] == invoice["id"]
        assert record["Stripe_Customer_Id__c"] == invoice["customer"]
        assert record["Stripe_Invoice_URL__c"] == invoice["hosted_invoice_url"]
        return invoice


@contextmanager
def small_world(home: Path, *, multi_currency: bool = True) -> Iterator[World]:
    """Emulators in a thread of this process, our package deployed, three products with prices."""
    clock = Clock()
    services = make_services(["stripe", "salesforce", "slack", "mail"], clock)
    by_name = {service.name: service for service in services}
    with running(*services) as urls:
        seeder = Seeder(urls["stripe"], urls["salesforce"])
        world = World(urls, by_name, clock, home, seeder, multi_currency)
        if multi_currency:
            world.settings("salesforce", multi_currency=True, currencies=["USD", "EUR", "JPY"])
            _post(urls["salesforce"], "reset")
        content = SourcePackage().zip_bytes(multi_currency=multi_currency)
        _post(urls["salesforce"], "deploy", content=content)
        _post(urls["salesforce"], "assign", json={"permission_set": "O2C_Integration"})
        for ref, (name, unit_amount) in PRICES.items():
            world.prices[ref] = seeder.price(name, unit_amount)
            world.product(ref, name, world.prices[ref], Decimal(unit_amount).scaleb(-2).__str__())
        try:
            yield world
        finally:
            seeder.close()
            world.close()


def _post(url: str, what: str, **kwargs: Any) -> None:
    answer = httpx.post(f"{url}/_emulator/{what}", timeout=60, trust_env=False, **kwargs)
    assert answer.is_success, answer.text
