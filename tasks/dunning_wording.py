"""Mails of ladders in words, and whether they can be mailed at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from order_to_cash.domain.dunning.letters import EXECUTIVE, Letter
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.emails import is_valid_email
from order_to_cash.domain.errors import ConfigurationError, O2CError
from order_to_cash.domain.identity import digest
from order_to_cash.gateways.mail_templates import MailTemplates, Written
from tasks.company import Company
from tasks.dunning_letters import customer_letter, default_template, executive_letter, is_charged
from tasks.dunning_outgoing import Outgoing

_NO_SERVER = "No mail server is set up (O2C_SMTP_HOST), so nothing was mailed."
_NO_ADDRESS = "There is no e-mail address to write to. Ask for one, and fill it in."
_BAD_ADDRESS = "The e-mail address is not one well-formed address. Correct it."


async def word(company: Company, mail: Outgoing, *, leaves: bool) -> None:
    """Put it into words; with a link to the portal only where it `leaves`: who has that may act as the customer."""
    templates = _templates(company.mail_templates)
    mail.letter = _letter(company, mail)
    mail.shown = _written(templates, mail, mail.letter)
    mail.written = mail.shown
    wants_portal = mail.action.kind is ActionKind.EMAIL and any(map(is_charged, mail.items))
    if wants_portal and leaves:
        url = await _portal(company, mail)
        if url:
            mail.written = _written(templates, mail, customer_letter(company, mail.items, url))


def _letter(company: Company, mail: Outgoing) -> Letter:
    if mail.action.kind is ActionKind.EXECUTIVE_ALERT:
        return executive_letter(company, mail.items[0], mail.to_name)
    return customer_letter(company, mail.items)


def _written(templates: MailTemplates, mail: Outgoing, letter: Letter) -> Written:
    """In the words of the template that the policy names, else of the built-in one: a mistake stops no mail."""
    executive = mail.action.kind is ActionKind.EXECUTIVE_ALERT
    usual = EXECUTIVE if executive else default_template(mail.items)
    try:
        return templates.write(mail.template, letter)
    except ConfigurationError:
        return _templates(None).write(usual, letter)


async def _portal(company: Company, mail: Outgoing) -> str:
    """A session for this mail; "" where Stripe gives none, and the invoices' own pages have to do."""
    customer = mail.items[0].claim.ladder.customer_id
    key = f"o2c:portal:{digest([mail.key, company.clock.now().isoformat()])[:32]}"
    try:
        return await company.stripe.portal_url(customer, key)
    except O2CError:
        return ""


def why_not(company: Company, mail: Outgoing) -> str:
    """Why it cannot be mailed at all; "" when it can."""
    if company.mail is None:
        return _NO_SERVER
    if not mail.to.strip():
        return _NO_ADDRESS
    return "" if is_valid_email(mail.to) else _BAD_ADDRESS


@cache
def _templates(own: Path | None) -> MailTemplates:
    """Compiled once; a file that changes is read again."""
    return MailTemplates(own)
