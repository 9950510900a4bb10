"""The demo's second act: customers pay, a card is declined, money goes back, and Salesforce shows it.

What is done is done to Stripe alone. What is shown is read from Salesforce's records and its journal, not from ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import typer

from order_to_cash.cli.demo_company import STORY
from order_to_cash.cli.demo_result import Seen
from order_to_cash.cli.output import show_table
from order_to_cash.domain.money import show_amount
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from decimal import Decimal

    from emulators.seeding import Seeder

Row = Mapping[str, Any]
REFUNDED_MINOR = 50_000
SUBSCRIBER = "pine"  # without a deal


@dataclass(frozen=True)
class Turn:
    """What happens to one deal's customer in Stripe, and what Salesforce must show then."""

    ref: str
    happens: str
    health: str
    paid: bool = False
    refunded: str = ""
    chased: bool = False  # one Task; its Case follows after a day, in the third act


TURNS: tuple[Turn, ...] = (
    Turn("harbor", "pays by card", "Healthy", paid=True),
    Turn("sakura", "pays by bank transfer", "Healthy", paid=True),
    Turn("vela", "pays by card, gets $500 back", "Healthy", paid=True, refunded="$500.00 USD"),
    Turn(SUBSCRIBER, "subscribes, the card is declined", "Failed", chased=True),
)
_NAMES = {each.ref: each.deal for each in STORY} | {SUBSCRIBER: "Pine Street Studio"}


@dataclass(frozen=True)
class Shown:
    """One Account as Salesforce has it, with what hangs on it."""

    turn: Turn
    account: Row
    opportunity: Row
    payments: Sequence[Row] = ()
    refunds: Sequence[Row] = ()
    cases: Sequence[Row] = field(default=())
    tasks: Sequence[Row] = field(default=())

    def differences(self) -> Iterator[str]:
        """What is otherwise than the story says; nothing when all is well."""
        turn = self.turn
        if self.account.get("Stripe_Payment_Health__c") != turn.health:
            yield f"payment health is {self.account.get('Stripe_Payment_Health__c')}, not {turn.health}"
        if bool(self.opportunity.get("Stripe_Paid__c")) != turn.paid:
            yield "the deal is not paid" if turn.paid else "the deal is paid"
        good = [row for row in self.payments if row["Status__c"] == "succeeded"]
        if len(good) != turn.paid:
            yield f"{len(good)} payments came in"
        refunds = [_money(row) for row in self.refunds]
        if refunds != ([turn.refunded] if turn.refunded else []):
            yield f"refunds: {', '.join(refunds) or 'none'}"
        for what, rows, wanted in (("Case", self.cases, 0), ("Task", self.tasks, int(turn.chased))):
            if len(rows) != wanted:
                yield f"{len(rows)} {what}s"

    @property
    def in_words(self) -> str:
        """What a person reads on the Account and its related lists."""
        parts = [str(self.account.get("Stripe_Payment_Health__c") or "nothing yet")]
        parts += [f"{_money(row)} {row['Status__c']}" for row in self.payments]
        parts += [f"refund {_money(row)}" for row in self.refunds]
        parts += [f"a {what}" for what, rows in (("Case", self.cases), ("Task", self.tasks)) if rows]
        return ", ".join(parts)


def play(seeder: Seeder, settings: Settings, seen: Sequence[Seen]) -> dict[str, str]:
    """Everything that happens in Stripe; ref → Salesforce Account of those it happens to."""
    deals = {row["Id"]: str(row["AccountId"]) for row in _records(settings, "Opportunity")}
    accounts = {one.expected.ref: deals[one.opportunity_id] for one in seen}
    subscriber = {"type": "Account", "ref": SUBSCRIBER, "Name": _NAMES[SUBSCRIBER]}
    accounts |= seeder.salesforce([subscriber])
    invoices = {one.expected.ref: one.written_back for one in seen}
    seeder.stripe(f"invoices/{invoices['harbor']}/pay", payment_method="pm_card_visa")
    seeder.stripe(f"invoices/{invoices['sakura']}/pay", paid_out_of_band=True)
    seeder.stripe(f"invoices/{invoices['vela']}/pay", payment_method="pm_card_visa")
    payments = seeder.stripe_get("invoice_payments", invoice=invoices["vela"])["data"]
    intent = payments[0]["payment"]["payment_intent"]
    seeder.stripe("refunds", payment_intent=intent, amount=REFUNDED_MINOR, reason="requested_by_customer")
    _subscribe(seeder, accounts[SUBSCRIBER])
    return accounts


def _subscribe(seeder: Seeder, account_id: str) -> None:
    customer = seeder.stripe(
        "customers", name=_NAMES[SUBSCRIBER], metadata={"salesforce_account_id": account_id}
    )["id"]
    card = seeder.stripe("payment_methods/pm_card_chargeCustomerFail/attach", customer=customer)["id"]
    price = seeder.price("Monthly plan, five seats", 49_500, recurring={"interval": "month"})
    seeder.stripe(
        "subscriptions",
        customer=customer,
        items=[{"price": price}],
        default_payment_method=card,
        payment_behavior="allow_incomplete",
    )


def read(settings: Settings, accounts: Mapping[str, str]) -> list[Shown]:
    """One `Shown` for each turn. `accounts`: ref → Account."""
    known = {row["Id"]: row for row in _records(settings, "Account")}
    deals = {row["AccountId"]: row for row in _records(settings, "Opportunity")}
    payments, refunds = _records(settings, "Stripe_Payment__c"), _records(settings, "Stripe_Refund__c")
    cases, tasks = _records(settings, "Case"), _records(settings, "Task")

    def shown(turn: Turn) -> Shown:
        account_id = accounts[turn.ref]

        def mine(rows: Sequence[Row]) -> list[Row]:
            return [row for row in rows if row.get("Account__c", row.get("AccountId")) == account_id]

        return Shown(
            turn,
            known[account_id],
            deals.get(account_id, {}),
            payments=mine(payments),
            refunds=mine(refunds),
            cases=mine(cases),
            tasks=[row for row in mine(tasks) if row["Status"] != "Completed"],
        )

    return [shown(turn) for turn in TURNS]


def show(shown: Sequence[Shown]) -> bool:
    """Print the table; whether Salesforce shows what the story says."""
    rows = [
        (
            "✗" if any(one.differences()) else "✓",
            _NAMES[one.turn.ref],
            one.turn.happens,
            one.in_words,
        )
        for one in shown
    ]
    show_table(("", "Customer", "In Stripe", "In Salesforce"), rows)
    wrong = [(one, difference) for one in shown for difference in one.differences()]
    for one, difference in wrong:
        typer.secho(f"Not as told: {_NAMES[one.turn.ref]}: {difference}", fg="red")
    return not wrong


def _money(row: Row) -> str:
    amount: Decimal = row["Amount__c"]
    return show_amount(amount, str(row["Currency__c"]))


def _records(settings: Settings, sobject: str) -> list[Row]:
    from decimal import Decimal
    from json import loads

    url = f"{settings.salesforce_base_url}/_emulator/records"
    answer = httpx.get(url, params={"type": sobject}, timeout=10, trust_env=False)
    rows: list[Row] = loads(answer.content, parse_float=Decimal)["records"]
    return rows
