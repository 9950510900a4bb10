"""What tests of `apply_stripe_events` share: a customer's life at the Stripe emulator, its events in the inbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text

from flows.apply_stripe_events import apply_stripe_events, summary_of
from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.ledger.inbox import Inbox
from order_to_cash.ledger.inbox_claims import EventSource, EventState
from order_to_cash.ledger.inbox_search import EventFilter
from tasks.sync_outcomes import SyncSummary
from tests.flows.running import ledger
from tests.world import World

_KEY = {"Authorization": "Bearer sk_test_emulator"}
_STRIPE_RECORD = ("Subscription", "Invoice", "Invoice_Line", "Payment", "Refund", "Credit_Note", "Dispute")


@dataclass
class Sync:
    """Makes things happen in Stripe, delivers their events, and asks Salesforce what it shows."""

    world: World
    _seen: set[str] = field(default_factory=set)

    # Stripe

    def stripe(self, path: str, **params: Any) -> dict[str, Any]:
        return self.world.seeder.stripe(path, **params)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.world.urls['stripe']}/v1/{path}", params=params, headers=_KEY, trust_env=False
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def delete(self, path: str) -> None:
        url = f"{self.world.urls['stripe']}/v1/{path}"
        assert httpx.delete(url, headers=_KEY, trust_env=False).is_success

    def customer(self, *, known: bool = True, card: str = "", **fields: Any) -> str:
        """A customer, with an Account that carries its id unless it is not `known`; with a card as its default."""
        given = {"name": "Acme Ltd", "email": f"pay{len(self.world.calls('stripe'))}@acme.example", **fields}
        made = str(self.stripe("customers", **given)["id"])
        if known:
            self.world.account(Stripe_Customer_Id__c=made)
        if card:
            self.card(made, card)
        return made

    def card(self, customer: str, token: str = "pm_card_visa") -> str:
        method = str(self.stripe(f"payment_methods/{token}/attach", customer=customer)["id"])
        self.stripe(f"customers/{customer}", invoice_settings={"default_payment_method": method})
        return method

    def invoice(self, customer: str, amount: int = 10_000, *, final: bool = True, **fields: Any) -> str:
        """An invoice of one line; open where nothing charges it."""
        made = str(self.stripe("invoices", customer=customer, currency="usd", **fields)["id"])
        self.stripe("invoiceitems", customer=customer, invoice=made, amount=amount, currency="usd")
        if final:
            self.stripe(f"invoices/{made}/finalize", auto_advance=False)
        return made

    def subscription(self, customer: str, unit_amount: int = 5_000, quantity: int = 2, **fields: Any) -> str:
        product = self.stripe("products", name="Seats")["id"]
        price = self.stripe(
            "prices",
            product=product,
            currency="usd",
            unit_amount=unit_amount,
            recurring={"interval": "month"},
        )["id"]
        made = self.stripe(
            "subscriptions", customer=customer, items=[{"price": price, "quantity": quantity}], **fields
        )
        return str(made["id"])

    # The inbox

    def events(self) -> list[dict[str, Any]]:
        """All that Stripe lists, oldest first."""
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.get("events", limit=100, **after)
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]
            after = {"starting_after": page["data"][-1]["id"]}

    def fresh(self) -> list[StripeEvent]:
        """The events since the last time it was asked."""
        new = [event for event in self.events() if event["id"] not in self._seen]
        self._seen |= {event["id"] for event in new}
        return [decode_event(json.dumps(event).encode()) for event in new]

    def receive(self, events: Iterable[StripeEvent] | None = None) -> int:
        """Store them, as the receiver does; those of Stripe that are new by default."""
        with ledger() as opened:
            return opened.inbox.store(list(self.fresh() if events is None else events), EventSource.WEBHOOK)

    async def apply(self) -> SyncSummary:
        """One run over all that is due."""
        state = await apply_stripe_events(return_state=True)
        summary = await summary_of(state)
        assert summary is not None, state
        return summary

    async def bring(self) -> SyncSummary:
        """Receive what Stripe said and apply it; nothing is left behind."""
        self.receive()
        return await self.apply()

    def replay(self, **wanted: Any) -> int:
        with ledger() as opened:
            return len(opened.inbox.reopen(EventFilter(**wanted)).events)

    def forget_ledger(self) -> None:
        """As if nothing had ever been applied: links and states; the inbox stays."""
        with ledger() as opened, opened.database.write() as connection:
            for table in ("ledger_object", "ledger_link", "ledger_operation"):
                connection.execute(text(f"DELETE FROM {table}"))

    def parked(self) -> dict[str, str]:
        """Event id → code."""
        with ledger() as opened:
            return {
                row.event_id: row.code for row in opened.inbox.find(EventFilter(states=(EventState.PARKED,)))
            }

    def rows(self, **wanted: Any) -> list[Any]:
        with ledger() as opened:
            inbox: Inbox = opened.inbox
            return list(inbox.find(EventFilter(**wanted)))

    # Salesforce

    def records(self, sobject: str) -> list[dict[str, Any]]:
        """All records of one object, oldest first, whatever the integration user may see."""
        url = f"{self.world.urls['salesforce']}/_emulator/records"
        answer = httpx.get(url, params={"type": sobject}, trust_env=False)
        assert answer.is_success, answer.text
        rows: list[dict[str, Any]] = answer.json()["records"]
        return rows

    def record(self, sobject: str, **wanted: Any) -> dict[str, Any]:
        """The one record with these values."""
        rows = [row for row in self.records(sobject) if wanted.items() <= row.items()]
        assert len(rows) == 1, f"{len(rows)} {sobject} with {wanted}: {rows}"
        return rows[0]

    def account_of(self, customer: str) -> dict[str, Any]:
        return self.record("Account", Stripe_Customer_Id__c=customer)

    def picture(self) -> dict[str, list[dict[str, Any]]]:
        """All that Salesforce shows of Stripe, without what each write changes."""
        shown = {}
        for kind in _STRIPE_RECORD:
            rows = [_bare(row) for row in self.records(f"Stripe_{kind}__c")]
            shown[kind] = sorted(rows, key=str)
        shown["Account"] = sorted((_bare(row) for row in self.records("Account")), key=str)
        return shown

    def writes(self) -> list[str]:
        """Salesforce calls that write, since the journals were emptied, and how they begin."""
        calls = [
            call
            for method in ("PATCH", "POST")
            for call in self.world.calls("salesforce", method, "composite/sobjects")
        ]
        calls += [
            call
            for call in self.world.calls("salesforce", "POST", "composite")
            if call.path.endswith("/composite") and "PATCH" in str(call.body)
        ]
        return [f"{call.path} {str(call.body)[:300]}" for call in calls]


_CHANGING = {
    "Id",
    "SystemModstamp",
    "LastModifiedDate",
    "CreatedDate",
    "Stripe_Synced_At__c",
    "Name",
    "attributes",
}


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    """Lookups are ids that differ from run to run: whether they are set is what counts."""
    bare = {name: value for name, value in row.items() if name not in _CHANGING}
    return {name: _ID.sub("id", value) if isinstance(value, str) else value for name, value in bare.items()}


_ID = re.compile(r"^[a-zA-Z0-9]{15}[A-Z0-5]{3}$", re.ASCII)
