"""Customers who owe: invoices whose first charge failed, the Accounts that are theirs, and their ladders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx

from bench.house import Emulators
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import NewLadder
from order_to_cash.ledger.ladders import Ladders

DAY = timedelta(days=1)
_SEEDED_AT_ONCE = 500
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Debt:
    """One open invoice that could not be charged. `amount_minor`: of US dollars, in cents."""

    invoice_id: str
    customer_id: str
    number: str
    amount_minor: int


def next_monday(at: datetime) -> datetime:
    """10:00 UTC of the Monday after `at`: within hours in which customers are written to, as is the day after."""
    return datetime.combine(at.date() + (7 - at.weekday()) * DAY, time(10), UTC)


def control(url: str, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST to an emulator's control API; its answer."""
    answer = httpx.post(
        f"{url}/_emulator/{what}", json=dict(body), timeout=_PATIENCE_SECONDS, trust_env=False
    )
    answer.raise_for_status()
    said: dict[str, Any] = answer.json()
    return said


class Debtors:
    """Made at the emulators without a word to anybody: neither webhooks nor the list of events tell of them."""

    def __init__(self, world: Emulators) -> None:
        self._world = world
        people = {"csm": "Success Manager", "sponsor": "Executive Sponsor"}
        self._people = world.seeder.salesforce([_user(ref, name) for ref, name in people.items()])
        self._known: set[str] = set()

    def owe(self, count: int) -> list[Debt]:
        """So many customers more, an invoice each, all declined just now; each with an Account and its record."""
        self._fail(count)
        debts = [debt for debt in self._open_invoices() if debt.invoice_id not in self._known]
        if len(debts) != count or len({debt.customer_id for debt in debts}) != count:
            raise RuntimeError(f"{len(debts)} invoices are open, not {count}")
        self._known |= {debt.invoice_id for debt in debts}
        for start in range(0, count, _SEEDED_AT_ONCE):
            records: list[dict[str, Any]] = []
            for debt in debts[start : start + _SEEDED_AT_ONCE]:
                records += self._records(debt)
            self._world.seeder.salesforce(records)
        return debts

    def _fail(self, count: int) -> None:
        """A burst makes whole lives of invoices, as many as it takes for a number of events."""
        url, quiet = self._world.urls["stripe"], {"mix": {"failed": 1}, "delivered": False}
        first, *others = control(url, "burst", {**quiet, "customers": count, "count": 1})["customers"]
        del first  # has its invoice
        events_a_life = control(url, "burst", {**quiet, "customers": others[:1], "count": 1})["events"]
        if others[1:]:
            life = {"customers": others[1:], "count": events_a_life * len(others[1:])}
            control(url, "burst", {**quiet, **life})

    def _open_invoices(self) -> Iterator[Debt]:
        after: dict[str, Any] = {}
        while True:
            page = self._world.seeder.stripe_get("invoices", status="open", limit=100, **after)
            for one in page["data"]:
                yield Debt(one["id"], one["customer"], one["number"], one["amount_remaining"])
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def _records(self, debt: Debt) -> list[dict[str, Any]]:
        ref, amount = debt.customer_id, debt.amount_minor / 100
        account = {
            "type": "Account",
            "ref": ref,
            "Name": f"Company {ref[-8:]}",
            "Billing_Email__c": f"billing@{ref.replace('_', '-').lower()}.example",
            "BillingCountry": "US",
            "Stripe_Customer_Id__c": debt.customer_id,
            "CSM__c": self._people["csm"],
            "Executive_Sponsor__c": self._people["sponsor"],
        }
        invoice = {
            "type": "Stripe_Invoice__c",
            "Account__c": f"@{ref}",
            "Stripe_Invoice_Id__c": debt.invoice_id,
            "Stripe_Customer_Id__c": debt.customer_id,
            "Invoice_Number__c": debt.number,
            "Status__c": "open",
            "Collection_Method__c": CollectionMethod.CHARGE_AUTOMATICALLY.value,
            "Attempt_Count__c": 1,
            "Amount_Due__c": amount,
            "Amount_Remaining__c": amount,
            "Currency__c": "USD",
        }
        return [account, invoice]


def open_ladders(ladders: Ladders, debts: Sequence[Debt], failed_at: datetime) -> None:
    """As the drain and the sweep open them, under the default policy: each is due at once."""
    policy = default_policy()
    ladders.keep_policy(policy.version, policy.model_dump(mode="json"), policy.name)
    ladders.open(
        [
            NewLadder(
                invoice_id=debt.invoice_id,
                customer_id=debt.customer_id,
                collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
                policy_version=policy.version,
                due_at=failed_at,
                first_failed_at=failed_at,
            )
            for debt in debts
        ]
    )


def _user(ref: str, name: str) -> dict[str, Any]:
    return {
        "type": "User",
        "ref": ref,
        "Username": f"{ref}@bench.example",
        "LastName": name,
        "Alias": ref,
        "Email": f"{ref}@bench.example",
        "IsActive": True,
    }
