"""How the demo's deals ended, read where people would look: Salesforce, Stripe, the quarantine, Slack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
import typer

from emulators.slack.render import render_journal
from order_to_cash.cli.demo_company import BILLED, HELD, NOT_BILLED, STORY, Expected
from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, open_ledger
from order_to_cash.domain.messages import format_money
from order_to_cash.domain.money import Money
from order_to_cash.settings import Settings


@dataclass(frozen=True)
class Seen:
    """What can be seen of one deal."""

    expected: Expected
    invoice_id: str = ""
    invoice_url: str = ""
    total: Money | None = None
    invoices: int = 0  # of this deal in Stripe, void ones too
    reasons: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether there is an outcome already. A deal that must not be billed has none to wait for."""
        return bool(self.invoice_id or self.reasons or self.expected.ends == NOT_BILLED)

    @property
    def as_told(self) -> bool:
        if self.expected.ends == BILLED:
            shown = f"{self.total.amount_minor} {self.total.currency}" if self.total else ""
            return self.invoices == 1 and shown == self.expected.shows
        held = self.expected.shows in self.reasons if self.expected.ends == HELD else not self.reasons
        return held and self.invoices == 0 and not self.invoice_id

    @property
    def outcome(self) -> str:
        if self.invoice_id:
            return BILLED
        return HELD if self.reasons else NOT_BILLED


def read_outcomes(settings: Settings, ids: Mapping[str, str]) -> list[Seen]:
    """One `Seen` for each deal of the story, in its order."""
    deals = {row["Id"]: row for row in _salesforce(settings)}
    invoices = _invoices(settings)
    with open_ledger(settings, make_clock(settings)) as ledger:
        held = ledger.quarantine.open()
    return [_seen(one, deals[ids[one.ref]], invoices, ids, [
        entry.code for entry in held if entry.record_id == ids[one.ref]
    ]) for one in STORY]  # fmt: skip


def show_outcomes(seen: Sequence[Seen]) -> bool:
    """Print the table; whether every deal ended as the story says."""
    rows = [
        (
            "✓" if one.as_told else "✗",
            one.expected.deal,
            one.outcome,
            format_money(one.total) if one.total else "",
            one.invoice_url or ", ".join(one.reasons),
            one.expected.why,
        )
        for one in seen
    ]
    show_table(("", "Deal", "Outcome", "Amount", "Invoice, or reason", "Because"), rows)
    wrong = [one for one in seen if not one.as_told]
    for one in wrong:
        typer.secho(f"{one.expected.deal}: expected {one.expected.ends} {one.expected.shows}", fg="red")
    return not wrong


async def told_in_slack(settings: Settings) -> str:
    """The channel's messages as text."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.get(f"{settings.slack_base_url}/_emulator/journal")
    return "\n".join(f"  {line}" for line in render_journal(answer.json()["entries"]).splitlines())


def _seen(
    expected: Expected,
    deal: Mapping[str, str],
    invoices: Sequence[Mapping[str, object]],
    ids: Mapping[str, str],
    reasons: Sequence[str],
) -> Seen:
    of_deal = [one for one in invoices if one["opportunity_id"] == ids[expected.ref]]
    written = next((one for one in of_deal if one["id"] == deal.get("Stripe_Invoice_Id__c")), None)
    total = Money(int(str(written["total"])), str(written["currency"])) if written else None
    return Seen(
        expected=expected,
        invoice_id=str(deal.get("Stripe_Invoice_Id__c") or ""),
        invoice_url=str(deal.get("Stripe_Invoice_URL__c") or ""),
        total=total,
        invoices=len(of_deal),
        reasons=tuple(reasons),
    )


def _salesforce(settings: Settings) -> list[dict[str, str]]:
    url = f"{settings.salesforce_base_url}/_emulator/records?type=Opportunity"
    rows: list[dict[str, str]] = httpx.get(url, timeout=10, trust_env=False).json()["records"]
    return rows


def _invoices(settings: Settings) -> list[dict[str, object]]:
    """Every invoice in Stripe with the deal that it is of."""
    key = settings.stripe_api_key.get_secret_value()
    answer = httpx.get(
        f"{settings.stripe_api_base}/v1/invoices?limit=100",
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
        trust_env=False,
    )
    return [
        {**one, "opportunity_id": one["metadata"].get("salesforce_opportunity_id")}
        for one in answer.json()["data"]
    ]
