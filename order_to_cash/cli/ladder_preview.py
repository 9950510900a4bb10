"""`o2c ladder preview`: a mail of a ladder as it would read, for an example or for an invoice. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import typer

from order_to_cash.cli.output import Finding
from order_to_cash.cli.wiring import make_clock, read_ledger, salesforce_gateway, stripe_gateway
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import LadderState
from order_to_cash.domain.dunning.letters import EXECUTIVE, PAYMENT_FAILED, SAMPLE, Letter, sample
from order_to_cash.domain.errors import ConfigurationError, RecordGone
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.bodies import ref
from order_to_cash.domain.sync.shapes import Body
from order_to_cash.gateways.mail_templates import MailTemplates
from order_to_cash.ledger.ladder_records import ClaimedLadder, Ladder, LadderStatus, Subject
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import Settings

ACTOR = "o2c ladder preview"
PORTAL = "https://billing.stripe.com/p/session/made-when-the-mail-is-sent"


def run(settings: Settings, template: str, invoice_id: str, html: Path | None) -> None:
    """Print the text, and write the HTML where it is wanted.

    Raises ConfigurationError (`template_missing`, `template_broken`), RecordGone, and what Stripe and Salesforce raise.
    """
    templates = MailTemplates(settings.mail_templates)
    executive = template == EXECUTIVE
    to = "VP Customers <vp@acme.example>" if executive else "Accounts Payable <ap@umbrella.example>"
    letter, usual = sample(template), PAYMENT_FAILED
    if invoice_id:
        to, letter, usual = asyncio.run(_of_invoice(settings, invoice_id, template))
    written = templates.write(template or usual, letter)
    typer.echo(
        f"From:    {settings.smtp_from or '(no mail server is set up: this would be drafted in a Task)'}"
    )
    typer.echo(f"To:      {to or '(no address: this would be drafted in a Task)'}")
    typer.echo(f"Subject: {written.subject}\n")
    typer.echo(written.text.rstrip())
    if html is not None:
        _write(html, written.html)
        typer.echo(f"\nHTML written to {html}")


def check_templates(settings: Settings) -> Iterator[Finding]:
    """That every template of the company's own can be written with; nothing where there are only the built-in ones."""
    if settings.mail_templates is None:
        return
    if not settings.mail_templates.is_dir():
        remedy = "Correct O2C_MAIL_TEMPLATES, or unset it to use the built-in templates."
        yield Finding(False, "templates", f"{settings.mail_templates} is no folder", remedy)
        return
    templates = MailTemplates(settings.mail_templates)
    broken = False
    for name in templates.names():
        try:
            templates.write(name, SAMPLE)
        except ConfigurationError as error:
            broken = True
            yield Finding(False, "templates", f"{error.message} [{error.code}]", error.remedy)
    if not broken:
        yield Finding(True, "templates", f"those of {settings.mail_templates} before the built-in ones")


async def _of_invoice(settings: Settings, invoice_id: str, template: str) -> tuple[str, Letter, str]:
    """To whom it would go, the letter, and the template for such an invoice."""
    from tasks.company import Company
    from tasks.dunning_facts import read_ladders
    from tasks.dunning_holds import invoice_named
    from tasks.dunning_letters import (
        customer_letter,
        default_template,
        executive_letter,
        is_charged,
    )

    clock = make_clock(settings)
    with read_ledger(settings, clock) as ledger:
        company = Company(
            name="o2c",
            environment=settings.environment,
            rules=settings.billing_rules(),
            stripe=stripe_gateway(settings, NoAudit(), ACTOR),
            salesforce=salesforce_gateway(settings, NoAudit(), ACTOR),
            slack=None,
            ledger=ledger,
            clock=clock,
            record_url=f"{settings.salesforce_login_url.rstrip('/')}/",
            dunning=default_policy(),
        )
        invoice_id = invoice_named(ledger, invoice_id)
        try:
            read = await company.stripe.fetch("invoice", invoice_id)
            if read is None:
                raise _gone(invoice_id)
            if read.body.get("status") != "open":
                said = f"This invoice is {read.body.get('status')}: no mail about it would leave."
                typer.secho(said, fg="yellow", err=True)
            (item,) = await read_ladders.fn(
                company, [_claim(ledger, clock.now(), invoice_id, read.body)], ACTOR
            )
        finally:
            await company.stripe.aclose()
            await asyncio.to_thread(company.salesforce.close)
    if item.error is not None:
        raise item.error
    account = item.account
    if template == EXECUTIVE:
        return account.executive_email, executive_letter(company, item, account.executive.name), EXECUTIVE
    portal = PORTAL if is_charged(item) else ""
    return account.billing_email, customer_letter(company, [item], portal), default_template([item])


def _claim(ledger: Ledger, now: datetime, invoice_id: str, body: Body) -> ClaimedLadder:
    """Its ladder as the ledger has it, else as it would begin now. Nobody is kept from claiming it."""
    ladder = ledger.ladders.get(invoice_id) or Ladder(
        invoice_id=invoice_id,
        customer_id=ref(body.get("customer")),
        state=LadderState(
            policy_version=default_policy().version,
            collection_method=CollectionMethod(str(body.get("collection_method"))),
            opened_at=now,
            journal={},
        ),
        status=LadderStatus.WAITING,
        subject=Subject(),
        steps=(),
        next_step="",
        due_at=None,
        generation=0,
        alarm_generation=0,
        alarm_run_id="",
        hold=None,
        ended_at=None,
    )
    return ClaimedLadder(ladder=ladder, token="", lease_until=now, due=False)


def _gone(invoice_id: str) -> RecordGone:
    return RecordGone(
        "Stripe does not know this invoice.",
        code="invoice_gone",
        remedy="Give the id of an invoice in this environment, such as in_…, or the number of one with a ladder.",
        ids={"invoice": invoice_id},
    )


def _write(file: Path, html: str) -> None:
    try:
        file.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written ({type(error).__name__}).",
            code="file_unusable",
            remedy="Name another file with --html.",
        ) from None
