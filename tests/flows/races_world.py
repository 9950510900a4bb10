"""Stripe and Salesforce as a ladder reads them, in memory; and those who take its steps, who judge each one first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from order_to_cash.domain.dunning.decision import Do, End
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import O2CError, Unavailable
from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.shapes import Body, Fetched, ObjectKey
from tasks.company import Company
from tasks.dunning_items import ActionOutcome, LadderItem
from tests.ledger.support import MovableClock

CHARGED, SENT = CollectionMethod.CHARGE_AUTOMATICALLY, CollectionMethod.SEND_INVOICE
Row = dict[str, Any]


class KilledError(BaseException):
    """As a SIGKILL: nothing after it is done."""


@dataclass
class Bill:
    """An invoice in Stripe. `tried_at`: its first attempt, which failed; `due_at`: when it is sent, not charged."""

    id: str
    customer: str
    tried_at: datetime | None = None
    due_at: datetime | None = None
    status: str = "open"
    owed: int = 10_000
    attempts: int = 1
    next_attempt: datetime | None = None
    under_way: bool = False
    subscription: str = ""  # its status; "" without one
    gone: bool = False
    written_off: bool = False  # in Salesforce, by a person

    @property
    def method(self) -> CollectionMethod:
        return SENT if self.tried_at is None else CHARGED


@dataclass
class Books:
    """What Stripe and Salesforce would say. `down`: neither answers."""

    clock: MovableClock
    bills: dict[str, Bill] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    on_hold: set[str] = field(default_factory=set)  # customers, by a field of their Account
    down: bool = False
    told: int = 0

    # As the gateways

    async def fetch_many(
        self, keys: Iterable[ObjectKey], expand: Sequence[str] = ()
    ) -> dict[ObjectKey, Fetched | O2CError | None]:
        del expand
        if self.down:
            return {key: Unavailable("Stripe does not answer.") for key in keys}
        return {key: self._fetched(self.bills[key.id]) for key in keys}

    async def list_objects(self, kind: str, **filters: Any) -> AsyncIterator[Fetched]:
        assert kind == "invoice"
        if self.down:
            raise Unavailable("Stripe does not answer.")
        for bill in self.bills.values():
            until = filters.get("due_date", {}).get("lte")
            late = until is None or (bill.due_at is not None and bill.due_at.timestamp() <= until)
            found = self._fetched(bill)
            if (
                found
                and late
                and (bill.status, bill.method) == (filters["status"], filters["collection_method"])
            ):
                yield found

    def query_together(self, queries: Sequence[str]) -> list[list[Row]]:
        if self.down:
            raise Unavailable("Salesforce does not answer.")
        return [self._rows(query) for query in queries]

    async def aclose(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def _rows(self, query: str) -> list[Row]:
        if " FROM Stripe_Invoice__c" in query:
            given_up = [bill.id for bill in self.bills.values() if bill.written_off]
            return [
                {"Id": f"a0{one}", "Stripe_Invoice_Id__c": one, "Written_Off__c": True} for one in given_up
            ]
        assert " FROM Account" in query, query
        return [
            {"Id": f"001{one}", "Stripe_Customer_Id__c": one, "Dunning_Hold__c": True}
            for one in sorted(self.on_hold)
        ]

    def _fetched(self, bill: Bill) -> Fetched | None:
        return None if bill.gone else Fetched(self._body(bill), self.clock.now())

    def _body(self, bill: Bill) -> Body:
        intent: Row = {"status": "processing" if bill.under_way else "requires_payment_method"}
        if bill.tried_at is not None:
            intent["last_payment_error"] = {"code": "card_declined", "decline_code": "insufficient_funds"}
        customer: Row = {"id": bill.customer, "object": "customer"}
        if bill.customer in self.deleted:
            customer["deleted"] = True
        details = {"subscription": {"id": "sub_1", "object": "subscription", "status": bill.subscription}}
        return {
            "id": bill.id,
            "object": "invoice",
            "number": bill.id.upper(),
            "customer": customer,
            "status": bill.status,
            "currency": "usd",
            "amount_remaining": bill.owed,
            "attempt_count": 0 if bill.tried_at is None else bill.attempts,
            "next_payment_attempt": _seconds(bill.next_attempt),
            "due_date": _seconds(bill.due_at),
            "collection_method": bill.method.value,
            "status_transitions": {"finalized_at": _seconds(bill.tried_at)},
            "payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": intent}}]},
            "parent": {"subscription_details": details} if bill.subscription else None,
        }

    # What is true of them

    def open(self) -> list[Bill]:
        return [bill for bill in self.bills.values() if bill.status == "open" and not bill.gone]

    def over(self, bill: Bill) -> bool:
        """Nothing is to be chased any more."""
        ended = bill.status != "open" or bill.gone or bill.written_off or bill.owed <= 0
        return ended or bill.customer in self.deleted or bill.subscription == "canceled"

    def unpaid(self, bill: Bill) -> bool:
        """It has failed or is overdue, and nothing is under way."""
        now = self.clock.now()
        late = bill.due_at is not None and bill.due_at <= now
        failed = bill.tried_at is not None and bill.tried_at <= now and not bill.under_way
        return bill.status == "open" and not bill.gone and bill.owed > 0 and (late or failed)

    def event(self, kind: str, bill: Bill) -> StripeEvent:
        """What Stripe tells of it."""
        self.told += 1
        about = kind.partition(".")[0]
        ids = {"invoice": bill.id, "customer": bill.customer}
        subject = {"id": ids.get(about, f"{about}_1"), "object": about, "customer": bill.customer}
        told = {
            "id": f"evt_{self.told}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "type": kind,
            "created": _seconds(self.clock.now()),
            "livemode": False,
            "data": {"object": subject},
        }
        return decode_event(json.dumps(told).encode())


@dataclass
class Judges:
    """Stand where steps are taken and ladders cleared away: nothing reaches them that must not be done.

    `faults`: what did. They are not raised: a run goes on after whatever breaks one of its ladders. `meanwhile`:
    happens while the next steps are taken. `errors`: of the next effects of an invoice. `kill`: the process dies when
    the next effects are there.
    """

    books: Books
    faults: list[str] = field(default_factory=list)
    errors: dict[str, list[O2CError]] = field(default_factory=dict)
    meanwhile: Callable[[], None] | None = None
    kill: bool = False
    killed: bool = False
    last: dict[str, int] = field(default_factory=dict)
    contacts: dict[str, datetime] = field(default_factory=dict)
    cleared: dict[str, EndReason] = field(default_factory=dict)
    effects: int = 0

    async def take_steps(
        self, company: Company, items: Sequence[LadderItem], run_id: str
    ) -> dict[str, list[ActionOutcome]]:
        del run_id
        outcomes = {}
        for item in items:
            assert isinstance(item.decision, Do)
            assert item.policy is not None
            self._judge(company, item, item.decision, item.policy)
            self.effects += 1
            error = self._error(item.invoice_id)
            step = item.decision.step
            outcomes[item.invoice_id] = [
                ActionOutcome(action, f"{item.invoice_id}:{step.key}:{action.kind}", error=error)
                if error is not None or not step.contacts_customer
                else ActionOutcome(action, f"{item.invoice_id}:{step.key}:{action.kind}", contacted=True)
                for action in step.actions
            ]
        for item in items:  # of one customer all at once: they are one contact
            if isinstance(item.decision, Do) and item.decision.step.contacts_customer:
                self.contacts[item.claim.ladder.customer_id] = company.clock.now()
        self._happen()
        return outcomes

    async def end_ladders(
        self, company: Company, items: Sequence[LadderItem], run_id: str
    ) -> dict[str, O2CError | None]:
        del company, run_id
        ended: dict[str, O2CError | None] = {}
        for item in items:
            assert isinstance(item.decision, End)
            self._must(
                self.books.over(self.books.bills[item.invoice_id]), f"{item.invoice_id} ends while it is owed"
            )
            ended[item.invoice_id] = self._error(item.invoice_id)
            if ended[item.invoice_id] is None:
                self.cleared[item.invoice_id] = item.decision.reason
        self._happen()
        return ended

    def _judge(self, company: Company, item: LadderItem, decision: Do, policy: DunningPolicy) -> None:
        """Nothing after closing, nothing while it is held or switched off, steps in order, no customer twice a day."""
        invoice, step, now = item.invoice_id, decision.step, company.clock.now()
        ladder = company.ledger.ladders.get(invoice)
        assert ladder is not None
        bill = self.books.bills[invoice]
        where = f"{invoice}, {step.key} at {now}"
        self._must(not self.books.over(bill), f"{where}: an effect after closing: {bill}")
        self._must(ladder.ended_at is None, f"{where}: an effect after the end")
        self._must(company.dunning is not None, f"{where}: dunning is off")
        held = ladder.hold is not None or ladder.customer_id in self.books.on_hold
        self._must(not held, f"{where}: it is held")
        self._must(not (bill.under_way and step.contacts_customer), f"{where}: a payment is under way")
        self._must(
            ladder.state.policy_version == policy.version, f"{where}: another policy than it began with"
        )
        keys = [one.key for one in policy.ladder(ladder.state.collection_method).steps]
        position, before = keys.index(step.key), self.last.get(invoice, -1)
        again = position == before and decision.resumed
        self._must(position > before or again, f"{where}: after {keys[before]}")
        decided = {StepState.DONE, StepState.PASSED}
        skipped = [key for key in keys[:position] if ladder.state.journal.get(key) not in decided]
        self._must(not skipped, f"{where}: before {skipped}")
        self._must(
            ladder.state.journal.get(step.key) is StepState.BEGUN, f"{where}: not begun in the journal"
        )
        self.last[invoice] = position
        contact = self.contacts.get(ladder.customer_id)
        if step.contacts_customer and contact is not None and not again and contact < now:
            quiet = now - contact
            self._must(quiet >= policy.quiet_period, f"{where}: the customer was contacted {quiet} ago")

    def _error(self, invoice: str) -> O2CError | None:
        waiting = self.errors.get(invoice, [])
        return waiting.pop(0) if waiting else None

    def _happen(self) -> None:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            happening()
        if self.kill:
            self.kill, self.killed = False, True
            raise KilledError

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


MOMENT = timedelta(seconds=1)
