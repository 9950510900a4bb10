"""Ladders at the step that writes to the customer, with the mail emulator behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from blocks.smtp_server import SmtpServer
from emulators.mail.mailbox import Message
from order_to_cash.settings import load_settings
from tests.flows.steps_world import Outcomes, Steps, steps_of
from tests.world import World

STEP = "customer-mail"


@dataclass
class Mails(Steps):
    """As `Steps`, and the mailbox."""

    def inbox(self) -> list[Message]:
        """Every mail that the server took, oldest first."""
        messages: list[Message] = self.world.services["mail"].messages
        return messages

    def chased(self, **account: Any) -> str:
        """An unpaid invoice with a ladder; its customer has a billing contact."""
        given = {"Name": "Acme Ltd", "Billing_Email__c": "billing@acme.example", **account}
        _, invoice = self.unpaid(**given)
        self.facts.open(invoice)
        return invoice

    async def mail(self, *invoices: str, **how: Any) -> Outcomes:
        return await self.take(STEP, *invoices, **how)

    def task(self) -> dict[str, Any]:
        """The one Task that stands for a mail."""
        (found,) = [
            row for row in self.records("Task") if str(row["O2C_Key__c"]).startswith("o2c:contact:email:")
        ]
        return found

    def forget_steps(self) -> None:
        """As with a ledger of before the step was begun."""
        with self.company.ledger.database.write() as connection:
            connection.execute(text("DELETE FROM ledger_ladder_step"))

    def fault(self, **fault: Any) -> None:
        self.world.fault("mail", **fault)

    def pay(self, invoice: str) -> None:
        self.facts.sync.stripe(f"invoices/{invoice}/pay", paid_out_of_band=True)


def outcome_of(outcomes: Outcomes, invoice: str, kind: str = "email") -> tuple[str, bool, str]:
    """Note, whether the customer was contacted, and the code of the error."""
    (one,) = [each for each in outcomes[invoice] if each.action.kind == kind]
    return one.note, one.contacted, one.error.code if one.error else ""


@asynccontextmanager
async def mails_of(world: World) -> AsyncIterator[Mails]:
    async with steps_of(world) as steps:
        company = steps.company
        company.mail = SmtpServer.from_settings(load_settings()).get_client(audit=company.ledger.audit)
        yield Mails(steps.facts)
