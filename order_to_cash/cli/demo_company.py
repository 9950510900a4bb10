"""The small company of the demo: what it sells, whom it sold to, and what must become of each deal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from emulators.seeding import Seeder, line, product
from order_to_cash.domain.money import Money

BILLED = "billed"
HELD = "held"
SKIPPED = "skipped"


@dataclass(frozen=True)
class Expected:
    """One deal of the story: its ref, how it ends, and the reason or the invoice total that shows it."""

    ref: str
    deal: str
    ends: str
    shows: str  # the invoice's total in minor units and currency, or the reason code
    why: str

    @property
    def total(self) -> Money:
        """Of a deal that is billed."""
        minor, _, currency = self.shows.partition(" ")
        return Money(int(minor), currency)


STORY: tuple[Expected, ...] = (
    Expected("harbor", "Harbor Coffee Roasters", BILLED, "370000 usd", "two products at list price"),
    Expected("nordwind", "Nordwind Logistik GmbH", BILLED, "1080000 eur", "negotiated; “Deutschland” → DE"),
    Expected("sakura", "Sakura Foods K.K.", BILLED, "360000 jpy", "yen has no cents"),
    Expected("obrien", 'O\'Brien \\ "Co" <!channel>', BILLED, "300000 usd", "2.5 days; a name full of traps"),
    Expected("vela", "Vela Marine", BILLED, "250000 usd", "known to Stripe: not doubled"),
    Expected("tundra", "Tundra Outfitters", HELD, "billing_email_missing", "nobody to send the invoice to"),
    Expected("quill", "Quill & Paper", HELD, "price_missing", "a product without a Stripe price"),
    Expected("meadow", "Meadow Software", HELD, "needs_subscription", "a monthly plan is a subscription"),
    Expected("fjord", "Fjord Ferries", HELD, "price_currency_mismatch", "sold in euro, priced in dollars"),
    Expected("atlas", "Atlas Aerospace", HELD, "needs_approval", "so much needs a person's approval"),
    Expected("legacy", "Legacy Mills", SKIPPED, "", "closed before the go-live date"),
)
APPROVAL_LIMIT = "USD=100000, EUR=100000, JPY=15000000"


def seed(seeder: Seeder, today: date, go_live: date) -> dict[str, str]:
    """Fill the emulators; the deals are open still. Returns ref → Salesforce id."""
    prices = _catalogue(seeder)
    seeder.stripe("customers", name="Vela Marine", email="accounts@velamarine.example")
    records: list[dict[str, Any]] = [
        {"type": "User", "ref": "rep", "Username": "rep@demo.example", "LastName": "Sales Rep", "Alias": "rep",
         "Email": "rep@demo.example", "IsActive": True},
        *product("onboarding", "Onboarding", prices["onboarding"], 2500, "USD"),
        *product("day", "Consulting day", prices["day"], 1200, "USD"),
        *product("seat", "Training seat", prices["seat"], 150, "USD"),
        *product("plan", "Monthly plan", prices["plan"], 99, "USD"),
        *product("merch", "Printed handbook", None, 40, "USD"),
    ]  # fmt: skip
    for each in STORY:
        records += _deal(each, go_live - timedelta(days=40) if each.ref == "legacy" else today)
    return seeder.salesforce(records)


def win(seeder: Seeder, ids: dict[str, str]) -> None:
    """The sales rep moves all deals to Closed Won."""
    seeder.update("Opportunity", [{"id": ids[each.ref], "StageName": "Closed Won"} for each in STORY])


def touch(seeder: Seeder, ids: dict[str, str]) -> None:
    """Somebody's data loader writes all of them again: every deal looks changed."""
    seeder.update("Opportunity", [{"id": ids[each.ref], "NextStep": "Thank them"} for each in STORY])


def _catalogue(seeder: Seeder) -> dict[str, str]:
    in_euro_and_yen = {"eur": {"unit_amount": 110_000}, "jpy": {"unit_amount": 180_000}}
    return {
        "onboarding": seeder.price("Onboarding", 250_000, lookup_key="onboarding"),
        "day": seeder.price(
            "Consulting day", 120_000, lookup_key="consulting-day", currency_options=in_euro_and_yen
        ),
        "seat": seeder.price("Training seat", 15_000, lookup_key="training-seat"),
        "plan": seeder.price(
            "Monthly plan", 9_900, lookup_key="monthly-plan", recurring={"interval": "month"}
        ),
    }


_ACCOUNTS: dict[str, dict[str, Any]] = {
    "harbor": {"Billing_Email__c": "billing@harborcoffee.example", "BillingCountry": "USA"},
    "nordwind": {"Billing_Email__c": "rechnung@nordwind.example", "BillingCountry": "Deutschland"},
    "sakura": {"Billing_Email__c": "keiri@sakurafoods.example", "BillingCountry": "Japan"},
    "obrien": {"Billing_Email__c": " Accounts@OBrien.example ", "BillingCountry": "Ireland"},
    "vela": {"Billing_Email__c": "accounts@velamarine.example", "BillingCountry": "Portugal"},
    "tundra": {"BillingCountry": "Canada"},
}

_LINES: dict[str, tuple[str, list[tuple[str, Any, Any]]]] = {
    "harbor": ("USD", [("onboarding", 1, 2500), ("day", 1, 1200)]),
    "nordwind": ("EUR", [("day", 10, 1080)]),
    "sakura": ("JPY", [("day", 2, 180000)]),
    "obrien": ("USD", [("day", 2.5, 1200)]),
    "vela": ("USD", [("onboarding", 1, 2500)]),
    "tundra": ("USD", [("onboarding", 1, 2500)]),
    "quill": ("USD", [("seat", 4, 150), ("merch", 4, 40)]),
    "meadow": ("USD", [("plan", 12, 99)]),
    "fjord": ("EUR", [("seat", 6, 140)]),
    "atlas": ("USD", [("onboarding", 10, 2500), ("day", 120, 1200)]),
    "legacy": ("USD", [("onboarding", 1, 2500)]),
}


def _deal(each: Expected, close_date: date) -> Sequence[dict[str, Any]]:
    currency, lines = _LINES[each.ref]
    email = {"Billing_Email__c": f"billing@{each.ref}.example", "BillingCountry": "US"}
    account = {"type": "Account", "ref": f"{each.ref}-account", "Name": each.deal, "OwnerId": "@rep"}
    opportunity = {
        "type": "Opportunity",
        "ref": each.ref,
        "Name": f"{each.deal} – first order",
        "AccountId": f"@{each.ref}-account",
        "OwnerId": "@rep",
        "StageName": "Negotiation/Review",
        "CloseDate": close_date.isoformat(),
        "CurrencyIsoCode": currency,
        "Pricebook2Id": "@standard_pricebook",
        "LeadSource": "Web",
    }
    return [
        {**account, **_ACCOUNTS.get(each.ref, email)},
        opportunity,
        *(line(each.ref, ref, quantity, price) for ref, quantity, price in lines),
    ]
