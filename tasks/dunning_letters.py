"""Letters about ladders, from what was read of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from order_to_cash.domain.dunning.due import stripes_end
from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.dunning.letters import (
    INVOICE_OVERDUE,
    PAYMENT_FAILED,
    Letter,
    LetterInvoice,
    customer_words,
    day_in_words,
    short_name,
    total_of,
    web_address,
)
from order_to_cash.domain.dunning.policy import DunningPolicy, FinalAction
from order_to_cash.domain.dunning.steps import Billing
from order_to_cash.domain.dunning.texts import name_and_deeds
from order_to_cash.domain.messages import record_url
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync.bodies import text
from order_to_cash.domain.sync.declines import plain_words
from tasks.company import Company
from tasks.dunning_items import LadderItem


def default_template(items: Sequence[LadderItem]) -> str:
    """Where the policy names none: an invoice that is sent was not tried to collect, and the words fit any."""
    return PAYMENT_FAILED if all(map(is_charged, items)) else INVOICE_OVERDUE


def is_charged(item: LadderItem) -> bool:
    return item.claim.ladder.state.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY


def customer_letter(company: Company, items: Sequence[LadderItem], update_url: str = "") -> Letter:
    """To the billing contact about all of `items`, one at least."""
    first = items[0]
    return Letter(
        company=_sender(company, items),
        name=short_name(first.account.billing_name),
        customer=_customer(first),
        invoices=tuple(_invoice(item, _zone(item, theirs=True)) for item in items),
        total=total_of([amount for amount in map(_amount, items) if amount is not None]),
        update_url=web_address(update_url),
        may_end=any(map(_may_end, items)),
    )


def executive_letter(company: Company, item: LadderItem, name: str) -> Letter:
    """To the executive sponsor, or whoever stands in."""
    zone, amount = _zone(item), _amount(item)
    account_id = item.account.account_id
    return Letter(
        company=_sender(company, [item]),
        name=short_name(name),
        customer=_customer(item),
        invoices=(_invoice(item, zone, plain_words),),
        total=str(amount) if amount is not None else "an amount that is not known",
        may_end=_may_end(item),
        owner=short_name(item.account.owner.name),
        ends_on=_ends_on(item, zone),
        account_url=record_url(company.record_url, account_id) if account_id else "",
        done=_done(item, zone),
    )


def _invoice(item: LadderItem, zone: ZoneInfo, words: Callable[[str], str] = customer_words) -> LetterInvoice:
    """`words`: what a decline code means, for whoever reads the letter."""
    facts, amount = item.facts, _amount(item)
    invoice = facts.invoice if facts is not None else None
    charged = is_charged(item)
    return LetterInvoice(
        number=short_name(item.invoice_number),
        amount=str(amount) if amount is not None else "an amount that is not known",
        reason=words((invoice.decline_code or "") if invoice else "") if charged else "",
        due_on=day_in_words(invoice.due_at if invoice else None, zone) if not charged else "",
        retry_on=day_in_words(invoice.next_payment_attempt if invoice else None, zone) if charged else "",
        pay_url=web_address(item.invoice.get("hosted_invoice_url")),
        subscription=invoice is not None and invoice.billing is Billing.SUBSCRIPTION,
    )


def _sender(company: Company, items: Sequence[LadderItem]) -> str:
    """As Stripe shows the business on the invoice, else as the mail's sender is called."""
    named = next((name for item in items if (name := text(item.invoice.get("account_name")).strip())), "")
    return short_name(named or (company.mail.sender_name if company.mail is not None else company.name))


def _customer(item: LadderItem) -> str:
    known = (
        item.account.account_name or text(item.customer.get("name")) or item.claim.ladder.subject.account_name
    )
    return short_name(known) or item.claim.ladder.customer_id


def _amount(item: LadderItem) -> Money | None:
    read = item.facts.invoice.amount_remaining if item.facts is not None else None
    return read or item.claim.ladder.subject.amount_remaining


def _policy(item: LadderItem) -> DunningPolicy:
    assert item.policy is not None  # an item whose step is taken has been read
    return item.policy


def _zone(item: LadderItem, *, theirs: bool = False) -> ZoneInfo:
    known = item.facts.time_zone if theirs and item.facts is not None else None
    return _policy(item).contact_hours.zone(known)


def _may_end(item: LadderItem) -> bool:
    """Whether Stripe cancels in the end, by the policy: no API shows this setting of Stripe's."""
    ladder = _policy(item).ladder(item.claim.ladder.state.collection_method)
    subscription = item.facts is not None and item.facts.invoice.billing is Billing.SUBSCRIPTION
    return subscription and ladder.final_action is FinalAction.CANCEL


def _ends_on(item: LadderItem, zone: ZoneInfo) -> str:
    """When Stripe takes its final action; "" where it takes none."""
    if item.facts is None or item.facts.invoice.billing is not Billing.SUBSCRIPTION:
        return ""
    ladder = _policy(item).ladder(item.claim.ladder.state.collection_method)
    if ladder.final_action is FinalAction.LEAVE_PAST_DUE:
        return ""
    return day_in_words(stripes_end(item.facts, ladder), zone)


def _done(item: LadderItem, zone: ZoneInfo) -> tuple[str, ...]:
    ladder = _policy(item).ladder(item.claim.ladder.state.collection_method)
    names = {step.key: name_and_deeds(step) for step in ladder.steps}
    return tuple(
        f"{day_in_words(one.decided_at, zone)}: {names.get(one.key, one.key)}"
        for one in item.claim.ladder.steps
        if one.state is StepState.DONE and one.decided_at is not None
    )
