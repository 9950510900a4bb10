"""How the demo's deals ended, judged by what the emulators were asked to do, not by what we believe of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import typer

from order_to_cash.cli.demo_company import BILLED, HELD, SKIPPED, STORY, Expected
from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, open_ledger
from order_to_cash.domain.money import Money
from order_to_cash.settings import Settings

Entry = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What can be seen of one deal: in Salesforce, in Stripe's journal, in the quarantine."""

    expected: Expected
    opportunity_id: str
    written_back: str = ""  # the invoice that Salesforce names
    invoices: tuple[Mapping[str, Any], ...] = ()  # every invoice that Stripe made for the deal, as it is now
    done: Counter[str] = field(default_factory=Counter)  # "finalized", "sent": how often
    customers: int = 0  # that Stripe made for the deal's account
    page: str = ""  # behind the invoice's address
    reasons: tuple[str, ...] = ()

    @property
    def invoice(self) -> Mapping[str, Any] | None:
        return next((one for one in self.invoices if one["id"] == self.written_back), None)

    @property
    def total(self) -> Money | None:
        return Money(int(self.invoice["total"]), str(self.invoice["currency"])) if self.invoice else None

    @property
    def outcome(self) -> str:
        if self.invoices:
            return BILLED
        return HELD if self.reasons else SKIPPED

    @property
    def in_journal(self) -> str:
        if not self.invoices:
            return "nothing" if not self.customers else "a customer"
        return f"{self.done['finalized']} final, {self.done['sent']} sent"

    def differences(self) -> Iterator[str]:
        """What is otherwise than the story says; nothing when all is well."""
        if self.expected.ends == BILLED:
            yield from self._differences_of_billed()
            return
        if self.invoices or self.customers or self.written_back:
            yield f"{len(self.invoices)} invoices and {self.customers} customers were made"
        reasons = (self.expected.shows,) if self.expected.ends == HELD else ()
        if self.reasons != reasons:
            yield f"held for {', '.join(self.reasons) or 'no reason'}, not for {', '.join(reasons) or 'none'}"

    def _differences_of_billed(self) -> Iterator[str]:
        if len(self.invoices) != 1:
            yield f"{len(self.invoices)} invoices were made"
        for what in ("finalized", "sent"):
            if self.done[what] != 1:
                yield f"{what} {self.done[what]} times"
        if self.invoice is None:
            yield "Salesforce does not name the invoice"
        elif self.total != self.expected.total:
            yield f"billed {self.total}, not {self.expected.total}"
        elif str(self.invoice["number"]) not in self.page:
            yield "its address does not show it"


def read_outcomes(settings: Settings, ids: Mapping[str, str]) -> list[Seen]:
    """One `Seen` for each deal of the story, in its order."""
    deals = {row["Id"]: row for row in _salesforce(settings)}
    journal = journal_of(settings.stripe_api_base)
    invoices = _invoices(settings)
    with open_ledger(settings, make_clock(settings)) as ledger:
        held = ledger.quarantine.open()
    return [
        _seen(
            one,
            deals[ids[one.ref]],
            journal,
            invoices,
            tuple(entry.code for entry in held if entry.record_id == ids[one.ref]),
        )
        for one in STORY
    ]


def show_outcomes(seen: Sequence[Seen], *, addresses: bool) -> bool:
    """Print the table, with `addresses` also each invoice's; whether every deal ended as the story says."""
    rows = [
        (
            "✗" if any(one.differences()) else "✓",
            one.expected.deal,
            one.outcome,
            str(one.total) if one.total else ", ".join(one.reasons),
            one.in_journal,
            one.expected.why,
        )
        for one in seen
    ]
    show_table(("", "Deal", "Outcome", "Amount, or reason", "Stripe's journal", "What is special"), rows)
    if addresses:
        _show_addresses(seen)
    wrong = {one.expected.deal: list(one.differences()) for one in seen}
    for deal, differences in wrong.items():
        for difference in differences:
            typer.secho(f"Not as told: {deal}: {difference}", fg="red")
    return not any(wrong.values())


def _show_addresses(seen: Sequence[Seen]) -> None:
    typer.echo("\nThe invoices as their customers see them (pages of the emulator):")
    for one in seen:
        if one.invoice:
            typer.echo(
                f"  {one.invoice['number']}  {one.expected.deal}\n    {one.invoice['hosted_invoice_url']}"
            )


def journal_of(base_url: str) -> list[Entry]:
    """Every request that an emulator had, with its effects."""
    answer = httpx.get(f"{base_url}/_emulator/journal", timeout=10, trust_env=False)
    entries: list[Entry] = answer.json()["entries"]
    return entries


def _seen(
    expected: Expected,
    deal: Mapping[str, str],
    journal: Sequence[Entry],
    invoices: Mapping[str, Mapping[str, Any]],
    reasons: tuple[str, ...],
) -> Seen:
    created = _created(journal, "invoice", "salesforce_opportunity_id", deal["Id"])
    done = Counter(
        effect["action"]
        for entry in journal
        for effect in entry["effects"]
        if effect["object"] == "invoice" and effect["id"] in created
    )
    now = tuple(invoices[key] for key in created if key in invoices)
    page = next((str(one["hosted_invoice_url"] or "") for one in now), "")
    return Seen(
        expected=expected,
        opportunity_id=deal["Id"],
        written_back=str(deal.get("Stripe_Invoice_Id__c") or ""),
        invoices=now,
        done=done,
        customers=len(_created(journal, "customer", "salesforce_account_id", deal["AccountId"])),
        page=httpx.get(page, timeout=10, trust_env=False).text if page else "",
        reasons=reasons,
    )


def _created(journal: Sequence[Entry], kind: str, name: str, value: str) -> list[str]:
    """Ids of the objects of a kind that were made with this metadata."""
    return [
        effect["id"]
        for entry in journal
        for effect in entry["effects"]
        if effect["object"] == kind
        and effect["action"] == "created"
        and (entry["response"].get("metadata") or {}).get(name) == value
    ]


def _salesforce(settings: Settings) -> list[dict[str, str]]:
    url = f"{settings.salesforce_base_url}/_emulator/records?type=Opportunity"
    rows: list[dict[str, str]] = httpx.get(url, timeout=10, trust_env=False).json()["records"]
    return rows


def _invoices(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """Every invoice in Stripe by id."""
    key = settings.stripe_api_key.get_secret_value()
    answer = httpx.get(
        f"{settings.stripe_api_base}/v1/invoices?limit=100",
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
        trust_env=False,
    )
    return {one["id"]: one for one in answer.json()["data"]}
