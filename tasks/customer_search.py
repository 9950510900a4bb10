"""Which of Stripe's customers an Account is: asked of Stripe and of the ledger's mirror. Changes nothing."""

from __future__ import annotations

import asyncio

from order_to_cash.domain.emails import email_domain, is_free_mail, normalize_email
from order_to_cash.domain.errors import AmbiguousCustomer, RecordGone
from order_to_cash.domain.matching import MatchDecision, check_mailbox, score_candidates
from order_to_cash.domain.records import BillTo, StripeCustomer
from tasks.catalogue import keep_mirror_current
from tasks.company import Company

Found = tuple[MatchDecision, StripeCustomer | None]


async def match_customer(company: Company, bill_to: BillTo, currency: str) -> Found:
    """Who would be billed and why, read from Stripe just now; None when one has to be created.

    Raises AmbiguousCustomer when a person must choose, RecordRejected when the deal's contact is not who gets the
    customer's mail.
    """
    return await search(company, bill_to, currency, await named_on_account(company, bill_to))


async def named_on_account(company: Company, bill_to: BillTo) -> tuple[StripeCustomer, ...]:
    """The customer whose id the Account has, as Stripe has it now, deleted or not."""
    if not bill_to.stripe_customer_id:
        return ()
    try:
        return (await company.stripe.retrieve_customer(bill_to.stripe_customer_id),)
    except RecordGone:
        return ()


async def search(
    company: Company, bill_to: BillTo, currency: str, named: tuple[StripeCustomer, ...]
) -> Found:
    """As `match_customer`, where the customer that the Account names has been read."""
    decision = score_candidates(bill_to, currency, named)
    if decision.customer_id is not None:
        found: StripeCustomer | None = named[0]
    else:
        decision, found = await _search_all(company, bill_to, currency, named)
    if found is not None:
        check_addressee(company, bill_to, found)
    return decision, found


def check_addressee(company: Company, bill_to: BillTo, customer: StripeCustomer) -> None:
    """Raises RecordRejected when the deal's contact is not who gets the customer's mail."""
    check_mailbox(bill_to, customer, f"Account.{company.rules.field_names.account_billing_email}")


async def _search_all(
    company: Company, bill_to: BillTo, currency: str, named: tuple[StripeCustomer, ...]
) -> Found:
    listed = await company.stripe.list_customers(email=normalize_email(bill_to.email))
    await asyncio.to_thread(company.ledger.customers.upsert_many, listed)
    await keep_mirror_current(company)
    mirrored = await _mirrored(company, bill_to, currency)
    known = {customer.customer_id: customer for customer in (*mirrored, *named, *listed)}
    read = {customer.customer_id for customer in (*named, *listed)}
    while True:
        try:
            decision = score_candidates(bill_to, currency, tuple(known.values()))
        except AmbiguousCustomer as error:
            proposed = set(error.ids["customers"].split(", "))
            if proposed <= read:
                raise
        else:
            if decision.customer_id is None:
                return decision, None
            if decision.customer_id in read:
                return decision, known[decision.customer_id]
            proposed = {decision.customer_id}
        # The mirror may be behind: what it proposes is read from Stripe before it is believed.
        for customer_id in sorted(proposed - read):
            known[customer_id] = await read_customer(company, customer_id)
            read.add(customer_id)


async def read_customer(company: Company, customer_id: str) -> StripeCustomer:
    """The customer as Stripe has it now, in the mirror too."""
    customer = await company.stripe.retrieve_customer(customer_id)
    await asyncio.to_thread(company.ledger.customers.upsert_many, [customer])
    return customer


async def _mirrored(company: Company, bill_to: BillTo, currency: str) -> list[StripeCustomer]:
    email = normalize_email(bill_to.email)
    domain = email_domain(email)
    return await asyncio.to_thread(
        company.ledger.customers.candidates,
        account_id=bill_to.account_id,
        email=email,
        domain="" if is_free_mail(domain) else domain,
        name=bill_to.name,
        currency=currency,
    )
