"""What people are told of a ladder's invoice, from what was read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from order_to_cash.domain.dunning.due import stripes_end
from order_to_cash.domain.dunning.facts import Facts
from order_to_cash.domain.dunning.notes import note_in_words
from order_to_cash.domain.dunning.outlook import what_comes
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import Billing, Step, heard_of_us
from order_to_cash.domain.dunning.texts import Attempt, Debt, Links, Taken
from order_to_cash.domain.messages import record_url
from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.records import CollectionMethod, Environment
from order_to_cash.domain.sync.bodies import text, whole
from order_to_cash.domain.sync.fields import PAYMENT
from order_to_cash.domain.sync.soql import chunked
from tasks.company import Company
from tasks.dunning_items import LadderItem
from tasks.dunning_links import HoldForm, hold_form
from tasks.notices import run_url
from tasks.sync_batch import Batch
from tasks.sync_calls import ask

_PAYMENT_FIELDS = (*("Invoice__c", "Amount__c", "Currency__c", "Failure_Code__c", "Stripe_Created_At__c"),)
_DASHBOARD = {
    Environment.LIVE: "https://dashboard.stripe.com/invoices/{}",
    Environment.TEST: "https://dashboard.stripe.com/test/invoices/{}",
}
Attempts = Mapping[str, tuple[Attempt, ...]]
"""Id of the Stripe_Invoice__c → its failed attempts, oldest first."""


class Debts:
    """Makes the words' facts of this run's ladders."""

    def __init__(self, company: Company, run_id: str, form: HoldForm, now: datetime) -> None:
        self._company = company
        self._run = run_url(run_id)
        self._form = form
        self.now = now

    @classmethod
    async def of(cls, company: Company, run_id: str) -> Debts:
        return cls(company, run_id, await hold_form(company), company.clock.now())

    @property
    def run(self) -> str:
        """The address of the run."""
        return self._run

    def debt(self, item: LadderItem, taken: Step | None = None, attempts: Attempts | None = None) -> Debt:
        """`taken`: the step that is being taken, after which comes what comes next."""
        policy, facts = item.policy, item.facts
        ladder = item.claim.ladder
        charged = ladder.state.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY
        told: dict[str, Any] = {}
        if policy is not None and facts is not None:
            told = _of_facts(facts, policy, taken, self.now)
        amount = facts.invoice.amount_remaining if facts is not None else None
        return Debt(
            invoice_id=item.invoice_id,
            number=item.invoice_number,
            name=item.account.account_name or ladder.subject.account_name or text(item.customer.get("name")),
            zone=ZoneInfo("UTC") if policy is None else policy.contact_hours.zone(),
            amount=amount or ladder.subject.amount_remaining or _billed(item),
            charged=charged,
            first_failed_at=ladder.state.first_failed_at,
            attempts=(attempts or {}).get(item.account.invoice_record_id, ()),
            taken=_steps(item, policy),
            owner_name=item.account.owner.name,
            billing_contact=", ".join(filter(None, [item.account.billing_name, item.account.billing_email])),
            links=self._links(item),
            **told,
        )

    def _links(self, item: LadderItem) -> Links:
        base = self._company.record_url
        account, record = item.account.account_id, item.account.invoice_record_id
        return Links(
            account=record_url(base, account) if account else "",
            invoice=record_url(base, record) if record else "",
            payment_page=text(item.invoice.get("hosted_invoice_url")),
            stripe=_DASHBOARD.get(self._company.environment, "").format(item.invoice_id),
            run=self._run,
            hold=self._form.url(item.invoice_id),
        )


async def attempts_of(company: Company, batch: Batch, items: Sequence[LadderItem]) -> Attempts:
    """The failed attempts that Salesforce has of these invoices."""
    records = {item.account.invoice_record_id for item in items} - {""}
    queries = chunked(_PAYMENT_FIELDS, PAYMENT, "Invoice__c", records, also="Status__c = 'failed'")
    found: dict[str, list[Attempt]] = {}
    for row in await ask(company, batch, queries):
        found.setdefault(str(row["Invoice__c"]), []).append(_attempt(row))
    return {record: tuple(sorted(some, key=_when)) for record, some in found.items()}


def _of_facts(facts: Facts, policy: DunningPolicy, taken: Step | None, now: datetime) -> dict[str, Any]:
    ladder = policy.ladder(facts.ladder.collection_method)
    invoice = facts.invoice
    return {
        "subscription": invoice.billing is Billing.SUBSCRIPTION,
        "decline_code": invoice.decline_code or "",
        "attempt_count": invoice.attempt_count,
        "next_attempt_at": invoice.next_payment_attempt,
        "due_at": invoice.due_at,
        "stripe_ends_at": stripes_end(facts, ladder),
        "final_action": ladder.final_action,
        "coming": what_comes(facts, policy, taken, now) if taken is not None else None,
    }


def _steps(item: LadderItem, policy: DunningPolicy | None) -> tuple[Taken, ...]:
    steps = {}
    if policy is not None:
        ladder = policy.ladder(item.claim.ladder.state.collection_method)
        steps = {step.key: step for step in ladder.steps}
    return tuple(
        Taken(
            title=steps[one.key].name if one.key in steps else one.key,
            at=one.decided_at or one.begun_at,
            state=one.state,
            contacted=heard_of_us(one.contacted_at, steps.get(one.key)),
            note=note_in_words(one.note),
        )
        for one in item.claim.ladder.steps
        if one.decided_at is not None
    )


def _billed(item: LadderItem) -> Money | None:
    """What was asked for, where nothing is left of it."""
    amount, currency = whole(item.invoice.get("amount_due")), text(item.invoice.get("currency"))
    return Money(amount, currency) if amount is not None and known_currency(currency) else None


def _attempt(row: Mapping[str, Any]) -> Attempt:
    currency, amount = str(row.get("Currency__c") or ""), row.get("Amount__c")
    made = row.get("Stripe_Created_At__c")
    return Attempt(
        at=datetime.fromisoformat(made) if isinstance(made, str) and made else None,
        amount=Money.from_major(Decimal(str(amount)), currency)
        if amount is not None and known_currency(currency)
        else None,
        code=str(row.get("Failure_Code__c") or ""),
    )


def _when(attempt: Attempt) -> float:
    return attempt.at.timestamp() if attempt.at is not None else 0.0
