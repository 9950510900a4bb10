"""Who pays: the Account's one Stripe customer in the deal's currency, matched before one is created (R3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count

from order_to_cash.domain.emails import email_domain, is_free_mail, normalize_email
from order_to_cash.domain.errors import RecordGone
from order_to_cash.domain.identity import METADATA_CURRENCY, customer_key, digest
from order_to_cash.domain.matching import MatchDecision, score_candidates
from order_to_cash.domain.records import BillTo, CustomerMatch, StripeCustomer
from order_to_cash.domain.wire import Params, customer_changes, customer_params
from order_to_cash.ledger.intents import Operation
from tasks.company import Company
from tasks.effects import CLOCK_SKEW, Effect, LonePage, Outcome, once
from tasks.retrying import step


@dataclass(frozen=True)
class Payer:
    """The Stripe customer of an Account. `is_new`: made by this run, so it cannot have earlier invoices."""

    customer_id: str
    is_new: bool
    found_by: CustomerMatch


@step("customer · {label}")
async def customer_for(company: Company, bill_to: BillTo, currency: str, run_id: str, label: str) -> Payer:
    """The customer to bill: found, or created. Raises AmbiguousCustomer when a person must choose.

    One Account at a time: two of its deals in one run would otherwise both find nobody and both create.
    """
    del label
    async with company.lock(f"customer:{bill_to.account_id}"):
        decision, found = await match_customer(company, bill_to, currency)
        if found is None:
            customer = await _create(company, bill_to, currency, run_id)
        else:
            customer = await _adopt(company, bill_to, found)
    await asyncio.to_thread(
        company.ledger.links.put, "customer", customer.customer_id, "Account", bill_to.account_id
    )
    return Payer(customer.customer_id, found is None, decision.kind)


async def match_customer(
    company: Company, bill_to: BillTo, currency: str
) -> tuple[MatchDecision, StripeCustomer | None]:
    """Who would be billed and why, read from Stripe just now; None when one has to be created. Changes nothing."""
    named = await _named_on_account(company, bill_to)
    decision = score_candidates(bill_to, currency, named)
    if decision.customer_id is not None:
        return decision, named[0]
    listed = await company.stripe.list_customers(email=normalize_email(bill_to.email))
    await asyncio.to_thread(company.ledger.customers.upsert_many, listed)
    known = {customer.customer_id: customer for customer in await _mirrored(company, bill_to, currency)}
    current = {customer.customer_id: customer for customer in (*named, *listed)}
    decision = score_candidates(bill_to, currency, tuple({**known, **current}.values()))
    while decision.customer_id is not None and decision.customer_id not in current:
        # The mirror may be behind: what it proposes is read from Stripe before it is believed.
        confirmed = await company.stripe.retrieve_customer(decision.customer_id)
        current[confirmed.customer_id] = confirmed
        await asyncio.to_thread(company.ledger.customers.upsert_many, [confirmed])
        decision = score_candidates(bill_to, currency, tuple({**known, **current}.values()))
    return decision, None if decision.customer_id is None else current[decision.customer_id]


async def _named_on_account(company: Company, bill_to: BillTo) -> tuple[StripeCustomer, ...]:
    if not bill_to.stripe_customer_id:
        return ()
    try:
        return (await company.stripe.retrieve_customer(bill_to.stripe_customer_id),)
    except RecordGone:
        return ()


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


async def _create(company: Company, bill_to: BillTo, currency: str, run_id: str) -> StripeCustomer:
    """A new customer. One that was created earlier and deleted in Stripe since is followed by another."""
    params = _params(bill_to, currency)
    for generation in count(1):
        about = digest(params if generation == 1 else [params, generation])
        key = customer_key(bill_to.account_id, currency, about)
        effect = _creation(company, bill_to, currency, key)
        customer = await once(LonePage(company.ledger.operations, "customer", run_id, effect), effect)
        await asyncio.to_thread(company.ledger.customers.upsert_many, [customer])
        if not customer.deleted:
            return customer
    raise AssertionError("count() does not end")


def _creation(company: Company, bill_to: BillTo, currency: str, key: str) -> Effect[StripeCustomer]:
    async def make(idempotency_key: str) -> StripeCustomer:
        return await company.stripe.create_customer(_params(bill_to, currency), idempotency_key)

    async def look_up(operation: Operation) -> StripeCustomer | None:
        made = await company.stripe.list_customers(created_gte=operation.intended_at - CLOCK_SKEW)
        ours = [one for one in made if (one.account_id, one.currency) == (bill_to.account_id, currency)]
        return ours[0] if ours else None

    async def recall(outcome: Outcome) -> StripeCustomer:
        return await company.stripe.retrieve_customer(str(outcome["customer_id"]))

    return Effect(
        key,
        {"account_id": bill_to.account_id, "currency": currency},
        make,
        look_up,
        record=lambda customer: {"customer_id": customer.customer_id},
        recall=recall,
    )


def _params(bill_to: BillTo, currency: str) -> Params:
    params = customer_params(bill_to)
    return {**params, "metadata": {**params["metadata"], METADATA_CURRENCY: currency}}


async def _adopt(company: Company, bill_to: BillTo, customer: StripeCustomer) -> StripeCustomer:
    """Bring a matched customer up to date with the Account: name, e-mail, addresses, the Account's id (R1, R3)."""
    changes = customer_changes(bill_to, customer)
    if not changes:
        return customer
    # What it had before is part of the key: A → B → A within a day is three updates, not a replay of the first.
    key = f"o2c:adopt:{customer.customer_id}:{digest([changes, customer])[:16]}"
    updated = await company.stripe.update_customer(customer.customer_id, changes, key)
    await asyncio.to_thread(company.ledger.customers.upsert_many, [updated])
    return updated
