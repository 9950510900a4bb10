"""Mails of ladders: each at most once, and what cannot be mailed is left to a person (R41, R43, R46).

A mail server cannot be asked what it took. So before a mail leaves, a Task stands for it in Salesforce ("In Progress")
and the ledger knows that it is being sent; after the server's 250 the Task is "Completed". Whatever is found in between
is never sent again: its Task then asks a person to find out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from order_to_cash.domain.dunning.contacts import Contact
from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.dunning.letters import EXECUTIVE
from order_to_cash.domain.dunning.steps import Action, ActionKind, OwnerKind
from order_to_cash.domain.errors import O2CError
from tasks.company import Company
from tasks.dunning_facts import named_owners
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_letters import default_template
from tasks.dunning_outgoing import Outgoing
from tasks.dunning_sending import deliver
from tasks.here import here
from tasks.retrying import step

MAILS_AT_ONCE = 25
"""So many are on their way at a time: as many are in doubt when the process is killed among them."""


async def send_contacts(
    company: Company, contacts: Sequence[tuple[Contact, list[LadderItem]]], run_id: str
) -> dict[str, ActionOutcome]:
    """One mail for each contact about all of its items, whose decisions are to do the steps; key → what came of it.

    Raises nothing of Stripe, Salesforce or the mail server. A retryable error: surely not sent, tried again later. A
    permanent one: not sent, and no person could be given a Task about it.
    """
    mails = [_to_customer(contact, items) for contact, items in contacts if items]
    await here(send_mails)(company, mails, run_id, len(mails))
    return {mail.key: _told(mail) for mail in mails}


async def send_executive(
    company: Company, alerts: Mapping[str, tuple[LadderItem, Action]], run_id: str
) -> dict[str, ActionOutcome]:
    """A mail for each alert, by the key of its effect, to the executive sponsor or whom the policy names; key → what
    came of it.
    """
    mails = {key: await _to_executive(company, item, action, key) for key, (item, action) in alerts.items()}
    await here(send_mails)(company, list(mails.values()), run_id, len(mails))
    return {key: _kept_climbing(mail) for key, mail in mails.items()}


@step("send {count} mails")
async def send_mails(company: Company, mails: Sequence[Outgoing], run_id: str, count: int) -> None:
    """Into each what came of it. Nothing is raised that another try would meet."""
    del count
    for start in range(0, len(mails), MAILS_AT_ONCE):
        some = mails[start : start + MAILS_AT_ONCE]
        try:
            await deliver(company, some, run_id)
        except O2CError as error:  # the ledger's: what was being sent is in doubt, and is found so
            for mail in some:
                if mail.outcome is None:
                    mail.failed(error)


def _told(mail: Outgoing) -> ActionOutcome:
    assert mail.outcome is not None, mail.key
    return mail.outcome


def _kept_climbing(mail: Outgoing) -> ActionOutcome:
    """As `_told`, a permanent error as a note: Slack tells of the alert as well."""
    outcome = _told(mail)
    if outcome.error is None or outcome.error.retryable:
        return outcome
    return ActionOutcome(outcome.action, outcome.key, note=f"mail: {outcome.error.code}")


def _to_customer(contact: Contact, items: list[LadderItem]) -> Outgoing:
    first = items[0].account
    actions = list(map(_email, items))
    named = {action.template for action in actions}
    template = named.pop() if len(named) == 1 else ""
    return Outgoing(
        key=contact.key,
        action=actions[0],
        items=items,
        to=first.billing_email,
        to_name=first.billing_name,
        reader="the billing contact",
        template=template or default_template(items),
    )


async def _to_executive(company: Company, item: LadderItem, action: Action, key: str) -> Outgoing:
    name, email = await _sponsor(company, item, action)
    return Outgoing(
        key=f"{key}:mail",
        action=action,
        items=[item],
        to=email,
        to_name=name,
        reader=name or "the executive sponsor",
        template=action.template or EXECUTIVE,
    )


async def _sponsor(company: Company, item: LadderItem, action: Action) -> tuple[str, str]:
    """Name and address of whom the policy names; where that is nobody, the executive sponsor's."""
    account, owner = item.account, action.owner
    if owner is not None and owner.kind in {OwnerKind.USER, OwnerKind.QUEUE}:
        try:
            found = (await named_owners(company, {owner})).get(owner)
        except O2CError:
            found = None
        if found is not None and found.email:
            return found.person.name, found.email
    people = {
        OwnerKind.CSM: (account.owner.name, account.owner_email),
        OwnerKind.ACCOUNT_OWNER: (account.account_owner.name, account.account_owner_email),
    }
    chosen = people.get(owner.kind, ("", "")) if owner is not None else ("", "")
    return chosen if chosen[1] else (account.executive.name, account.executive_email)


def _email(item: LadderItem) -> Action:
    """What the step that is taken says of its e-mail."""
    assert isinstance(item.decision, Do)
    return next(action for action in item.decision.step.actions if action.kind is ActionKind.EMAIL)
